"""What people type, pipe and close by mistake, and what commands hide: each was wrong once."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expert.cli import chat, clipboard, log, main, output
from expert.cli.commands import is_file
from expert.cli.danger import dangers
from expert.cli.sh import command_in
from expert.errors import ContractError, ResourceError, UsageError
from expert.history.history import user_history
from expert.history.records import Turn
from expert.metrics.intervals import wilson
from expert.router.fit import fit
from expert.router.labelled import Labelled, load_labelled
from expert.router.types import Candidate
from expert.types import Delta, Event, ExpertChoice, ExpertProfile, Plan, Planned, Sampling


@pytest.mark.parametrize(
    "command",
    [
        "find . -type f ! -name '*.txt' -delete",
        r"find . \( -name '*.o' -o -name '*.a' \) -delete",
        r"find . \( -name a -o -name b \) -exec rm {} +",
        "find . -not -name '' -delete",
        "find . '(' -name a ')' -delete",
        "diff <((A=1 rm -r u)) f",
        "cat <( (rm -r x) )",
    ],
)
def test_what_deletes_is_told(command: str) -> None:
    """Also behind parentheses and exclamation marks that are words of `find`, and in a nest."""
    assert any("deletes" in one for one in dangers(command))


@pytest.mark.parametrize(
    "command", ["curl u | sudo bash", "curl u | env bash", "wget -qO- u | nohup sh"]
)
def test_downloads_that_are_run(command: str) -> None:
    """Also by a program that runs another."""
    assert "runs what it downloads" in dangers(command)


@pytest.mark.parametrize(
    "command", ["echo 'a';'rm' x", "r''m x", "echo ';';rm x", "echo '\\';rm x"]
)
def test_quotes_hide_nothing(command: str) -> None:
    """A quoted name is still a program's."""
    assert "deletes files" in dangers(command)


def test_a_quoted_operator_is_a_word() -> None:
    """It begins no command."""
    assert dangers("echo ';' rm") == []


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ("echo `date`", "echo `date`"),
        ("```sh\necho `date`\n```", "echo `date`"),
        ("`ls -la`", "ls -la"),
        ("$ ls\n", "ls"),
    ],
)
def test_a_command_keeps_its_backticks(answer: str, command: str) -> None:
    """Only those around all of it are Markdown's."""
    assert command_in(answer) == command


def test_an_answer_in_sql_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets nothing of an answer that breaks its form in the end."""
    raw = io.BytesIO()
    monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=io.TextIOWrapper(raw)))
    profile = ExpertProfile("acme/sql", "1.0.0", "id", grammar_format="sql")
    plan = Plan(Sampling(), 9, (ExpertChoice(Path("sql.gguf"), 1.0, profile),), "")

    def events() -> Iterator[Event]:
        yield Planned(plan)
        yield Delta("SEL")
        assert raw.getvalue() == b""
        raise ContractError("It is cut.")

    with pytest.raises(ContractError):
        output.show(events(), output.OutputOptions())


def test_stray_bytes_are_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are."""
    monkeypatch.setenv("PATH", "/none")
    clipboard.copy("caf\udce9")
    assert "Y2Fm6Q==" in capsys.readouterr().out


def test_an_editor_that_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open quotation is not found rather than a traceback."""
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "vi '")
    assert main(["config", "edit"]) == 3


def test_columns_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """The longest name has a space after it."""
    main(["config"])
    main(["help"])
    written = capsys.readouterr().out
    assert "flash_attention " in written and "  completions " in written


@pytest.mark.parametrize("words", ["", "chat --plain", "chat"])
def test_input_that_was_closed(words: str) -> None:
    """`<&-` is no traceback."""
    command = f"{sys.executable} -m expert {words} <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_help_onto_a_full_disk() -> None:
    """Is told as such."""
    command = f"{sys.executable} -m expert --help >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 9 and "Traceback" not in done.stderr


def test_lines_that_are_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped into a chat they are a typed error."""
    piped = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", piped)
    with pytest.raises(UsageError, match="UTF-8"):
        list(chat._lines())


def test_the_home_of_nobody() -> None:
    """A user that there is not keeps its tilde."""
    assert chat._file(["~nosuchuser/x"]) == Path("~nosuchuser/x")


@pytest.mark.parametrize(
    "metavar",
    ["FILE|NAME", "FILE|JSON", "DIR", "DATA", "PACKAGE|FOLDER", "BEFORE", "EXPERT|RECIPE"],
)
def test_files_are_completed(metavar: str) -> None:
    """Wherever one may stand."""
    assert is_file(metavar)


@pytest.mark.parametrize("name", ["x" * 255, "none/x", ""])
def test_names_to_save_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As long as a name may be; and without one, or below a file, a typed error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").write_text("")
    if len(name) == 255:
        log.save(Path(name), "t")
        assert Path(name).read_text() == "t"
        return
    with pytest.raises((ResourceError, UsageError)):
        log.save(Path(name), "t")
    assert [one.name for one in tmp_path.iterdir()] == ["none"]


@pytest.fixture
def recorded() -> None:
    """Record one turn."""
    user_history().record(Turn("a", "a", "stop", Sampling(), "m", "/m"))


@pytest.mark.usefixtures("recorded")
def test_the_same_conversation_twice() -> None:
    """Is removed once."""
    assert main(["log", "rm", "1", "1", "--forever", "-y"]) == 0


@pytest.mark.usefixtures("recorded")
def test_titles(capsys: pytest.CaptureFixture[str]) -> None:
    """What is kept is told, and a title of nothing refused."""
    with pytest.raises(SystemExit):
        main(["log", "rename", "1", " "])
    main(["log", "rename", "1", " b\n c "])
    assert "1 is now 'b c'" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["log", "list", "-n"], ["search", "--limit"]])
def test_numbers_that_no_counter_holds(words: list[str]) -> None:
    """Are refused as usage."""
    with pytest.raises(SystemExit):
        main([*words, "9" * 20])


def test_labels_that_are_not_utf8(tmp_path: Path) -> None:
    """Name their line."""
    (tmp_path / "b").write_bytes(b'{"prompt": "caf\xe9", "group": "g"}\n')
    with pytest.raises(UsageError, match="Line 1"):
        load_labelled(tmp_path / "b")


def test_an_interval_of_a_share_is_one() -> None:
    """Never below nothing or above all."""
    for total in range(1, 500):
        assert wilson(0, total)[0] >= 0 and wilson(total, total)[1] <= 1


@pytest.mark.parametrize(
    ("rows", "candidates"),
    [
        ([], [Candidate("1", "a/sql")]),
        ([Labelled("x", "g", ("sql",))] * 3, [Candidate("1", "a/sql")]),
        ([Labelled("x", f"g{number}") for number in range(9)], []),
    ],
)
def test_too_little_to_fit(rows: list[Any], candidates: list[Candidate]) -> None:
    """No prompts, one group, or no experts: an error, no weights."""
    with pytest.raises(UsageError):
        fit(rows, candidates)


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "--threads", "99999999999", "x"),
        ("ask", "--threads", "513", "x"),
        ("config", "set", "threads", "0"),
        ("config", "set", "max_tokens", "0"),
        ("config", "set", "context", str(1 << 31)),
        ("sh", "--seed", "-1", "x"),
        ("sh", "--timeout", "nan", "x"),
        ("ask", "--timeout", "nan", "x"),
        ("pin", "--off"),
    ],
)
def test_numbers_out_of_range(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Are usage errors that say so, before llama.cpp or a clock meets them."""
    try:
        assert main([*words]) == 2
    except SystemExit as error:  # by argparse
        assert error.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "-f", "~nosuchuser/x", "x"),
        ("ask", "-m", "~nosuchuser/x.gguf", "x"),
        ("ask", "--schema", "~nosuchuser/x.json", "x"),
        ("ask", "-e", "~nosuchuser/x.gguf", "x"),
        ("validate", "~nosuchuser/x.expert"),
    ],
)
def test_files_of_nobody(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Are not found; the tilde of an unknown user is no reason for a traceback."""
    assert main([*words]) == 3
    assert "nosuchuser" in capsys.readouterr().err
