"""What is asked: arguments, pipes, files, templates and earlier turns, put together in order."""

import argparse
import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from expert.cli import ask, options, stdin
from expert.cli.question import Question, read_question, typed_and_piped
from expert.collecting import Deadline
from expert.errors import InputTooLongError, NotFoundError, TimeLimitError, UsageError
from expert.history.history import user_history
from expert.history.records import Turn
from expert.types import Attachment, ExpertUse, Message, Sampling

NO_LIMIT = Deadline(None)


@contextmanager
def piped(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> Iterator[None]:
    """Let standard input be a pipe that holds *raw*, written by a thread as fast as it is read."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(raw)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=stream))
        yield
    writer.join()


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let standard input be /dev/null, which is nothing that was piped in."""
    with open(os.devnull, "rb") as stream:
        monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=stream))
        yield


def question(*arguments: str) -> Question:
    """Return what these arguments of `expert ask` ask."""
    return read_question(ask.build_parser().parse_args(arguments), NO_LIMIT)


# Standard input -----------------------------------------------------------------------------------


def test_what_counts_as_piped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pipe, a file and a socket do; a terminal, /dev/null, a closed and no input do not."""
    found = {}
    one, other = socket.socketpair()
    primary, secondary = os.openpty()
    (tmp_path / "file").write_text("x")
    reading, writing = os.pipe()
    with (
        one, other, open(tmp_path / "file") as file, open(os.devnull) as null,
        os.fdopen(reading) as pipe, os.fdopen(secondary) as screen,
    ):  # fmt: skip
        streams = {"pipe": pipe, "file": file, "socket": one, "terminal": screen, "null": null}
        for name, stream in {**streams, "none": None, "unreal": io.StringIO("x")}.items():
            monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=stream))
            found[name] = stdin.piped()
    monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=file))
    found["closed"] = stdin.piped()
    os.close(writing)
    os.close(primary)
    assert {name for name, there in found.items() if there} == {"pipe", "file", "socket"}


@pytest.mark.parametrize("raw", [b"", b"x", b"a\r\nb\n", "é日\U0001f600".encode(), b"\0", b"\n\n"])
def test_a_pipe_is_read_whole(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    """To the byte, line ends included."""
    with piped(monkeypatch, raw):
        assert stdin.read(NO_LIMIT, hint=True) == raw.decode()


def test_a_long_pipe_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters may be cut by the parts in which a pipe gives them."""
    raw = "aé日".encode() * 700_000
    with piped(monkeypatch, raw):
        assert stdin.read(NO_LIMIT, hint=False) == raw.decode()


def test_too_long_a_pipe_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends soon after the limit, which is said in MiB, with what to do."""
    monkeypatch.setattr(stdin, "LONGEST", 3 << 20)
    with piped(monkeypatch, b"x" * (3 << 20)):
        assert len(stdin.read(NO_LIMIT, hint=False)) == 3 << 20
    reader = stdin._text
    with pytest.raises(InputTooLongError, match="longer than 3 MiB") as caught:
        reader(b"x" * ((3 << 20) + 1))
    assert "head" in caught.value.fix


@pytest.mark.parametrize(
    ("raw", "place"),
    [(b"caf\xe9", "Byte 3 (0xe9)"), (b"\xff\xfea\0", "Byte 0 (0xff)"), (b"ab\xc3", "Byte 2 (0xc3)"),
     (b"\xed\xa0\x80", "Byte 0 (0xed)"), (b"\xc0\xaf", "Byte 0 (0xc0)")],
)  # fmt: skip
def test_what_is_not_text(monkeypatch: pytest.MonkeyPatch, raw: bytes, place: str) -> None:
    """The error names the first stray byte, and how to convert it."""
    with piped(monkeypatch, raw), pytest.raises(UsageError, match="not valid UTF-8") as caught:
        stdin.read(NO_LIMIT, hint=False)
    assert caught.value.why.startswith(place)
    assert "iconv" in caught.value.fix


def test_an_input_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder as standard input is said to be one."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        stream = SimpleNamespace(fileno=lambda: descriptor)
        monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=stream))
        with pytest.raises(UsageError, match="cannot be read") as caught:
            stdin.read(NO_LIMIT, hint=False)
        assert caught.value.why == "Is a directory."
    finally:
        os.close(descriptor)


def test_a_pipe_that_never_ends_ends_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit counts while input is awaited; what to do is said."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(stdin, "sys", SimpleNamespace(stdin=stream))
        with pytest.raises(TimeLimitError, match="while standard input was read") as caught:
            stdin.read(Deadline(0.05), hint=True)
        os.close(writing)
    assert "--no-stdin" in caught.value.fix


# Arguments and pipes together ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "raw", "text"),
    [
        ("Q", b"", "Q"),
        ("Q", b"text\n", "text\n\nQ"),
        ("Q", b"\n\ntext\n\n", "text\n\nQ"),
        ("Q", b" \n\t\n", "Q"),
        ("\n Q \n", b"", " Q "),
        (None, b"text\n", "text"),
        ("-", b"text\n", "text"),
        ("", b"text", "text"),
        ("  ", b"", ""),
        (None, b"", ""),
    ],
)
def test_the_pipe_comes_first(
    monkeypatch: pytest.MonkeyPatch, typed: str | None, raw: bytes, text: str
) -> None:
    """An empty line stands between; lines that are empty at the edges do not count."""
    with piped(monkeypatch, raw):
        assert typed_and_piped(typed, NO_LIMIT, wanted=True, more=False) == text


def test_a_pipe_that_is_not_wanted_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-stdin; but `-` asks for it by name."""
    with piped(monkeypatch, b"text"):
        assert typed_and_piped("Q", NO_LIMIT, wanted=False, more=False) == "Q"
        assert typed_and_piped("-", NO_LIMIT, wanted=False, more=False) == "text"


@pytest.mark.usefixtures("nothing")
def test_arguments_with_stray_bytes() -> None:
    """A shell passes any bytes on; which character it is, is said."""
    for arguments in (["caf\udce9"], ["Q", "-s", "caf\udce9"]):
        with pytest.raises(UsageError, match="not valid UTF-8") as caught:
            question(*arguments)
        assert caught.value.why == "Character 3 of it is a stray byte."


@pytest.mark.usefixtures("nothing")
def test_nothing_is_asked() -> None:
    """No text at all is a mistake, with an example of what to write; a file alone is enough."""
    for arguments in ([], [""], [" \n"]):
        with pytest.raises(UsageError, match="prompt is empty") as caught:
            question(*arguments)
        assert 'expert ask "' in caught.value.fix


@pytest.mark.usefixtures("nothing")
def test_files_come_with_the_question(tmp_path: Path) -> None:
    """In their order, with the names they were given by; a mark at the beginning is none."""
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo".encode())
    (tmp_path / "b.txt").write_text("b")
    asked = question("-f", str(tmp_path / "a.txt"), "-f", str(tmp_path / "b.txt"))
    assert asked == Question(
        "",
        attachments=(
            Attachment(str(tmp_path / "a.txt"), "one\ntwo"),
            Attachment(str(tmp_path / "b.txt"), "b"),
        ),
    )
    with pytest.raises(NotFoundError, match=r"none\.txt cannot be read"):
        question("-f", str(tmp_path / "none.txt"))
    with pytest.raises(NotFoundError) as caught:
        question("-f", str(tmp_path))
    assert caught.value.why == "Is a directory."


# Templates ----------------------------------------------------------------------------------------


@pytest.fixture
def template(home: Path, nothing: None) -> Path:
    """Return a template's file, called `explain`."""
    path = home / "config" / "templates" / "explain.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        'system = "You teach {{language}}."\nprompt = "Explain {{ topic }}:\\n{{input}}"\n'
        '[defaults]\nlanguage = "Python"\n'
    )
    return path


def test_a_template_is_filled(template: Path) -> None:
    """Defaults, values and the question take their places; values are not read again."""
    asked = question("-t", "explain", "-p", "topic", "{{language}}", "x = 1")
    assert asked.text == "Explain {{language}}:\nx = 1"
    assert asked.before == (Message("system", "You teach Python."),)
    asked = question("-t", "explain", "-p", "topic", "a", "-p", "language", "C", "-s", "Be brief.")
    assert asked.before == (Message("system", "Be brief."),)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-t", "explain", "x"], "needs a value for 'topic'"),
        (["-t", "explain", "-p", "topic", "a", "-p", "colour", "b", "x"], "no place for 'colour'"),
        (["-p", "topic", "a", "x"], "-p fills the holes of a template"),
        (["-t", "explain", "-p", "topic", "caf\udce9", "x"], "not valid UTF-8"),
    ],
)
def test_templates_that_do_not_fit(template: Path, arguments: list[str], words: str) -> None:
    """Each mistake says what there is, and what to add or leave out."""
    with pytest.raises(UsageError, match=words) as caught:
        question(*arguments)
    assert caught.value.fix


def test_a_template_that_is_not_there(template: Path) -> None:
    """A near name is offered."""
    with pytest.raises(NotFoundError) as caught:
        question("-t", "explian", "x")
    assert "explain" in str(caught.value)


# Earlier turns ------------------------------------------------------------------------------------


@pytest.fixture
def talk(home: Path, nothing: None) -> int:
    """Return a conversation of two turns, the last one by an expert."""
    turn = Turn("one", "1", "stop", Sampling(), "tiny", "/m", system="Be odd.",
                context=[Message("user", "zero"), Message("assistant", "0")])  # fmt: skip
    number = user_history().record(turn).conversation
    use = ExpertUse("acme/sql", "ab", 1.0)
    user_history().record(
        Turn("two", "2", "stop", Sampling(), "tiny", "/m", system="Be odd.", experts=(use,),
             conversation=number)
    )  # fmt: skip
    user_history().record(Turn("other", "x", "stop", Sampling(), "tiny", "/m"))
    return number


def test_going_on(talk: int) -> None:
    """All that was said comes before, and who answered last is known; -c takes the last one."""
    asked = question("--cid", str(talk), "three")
    assert asked.before == (
        Message("system", "Be odd."), Message("user", "zero"), Message("assistant", "0"),
        Message("user", "one"), Message("assistant", "1"),
        Message("user", "two"), Message("assistant", "2"),
    )  # fmt: skip
    assert (asked.conversation, asked.previous) == (talk, "acme/sql")
    last = question("-c", "more")
    assert [message.content for message in last.before] == ["other", "x"]
    assert (last.previous, last.conversation) == (None, talk + 1)


def test_another_system_prompt_takes_the_old_ones_place(talk: int) -> None:
    """There is never more than one."""
    asked = question("--cid", str(talk), "-s", "Be even.", "three")
    systems = [message.content for message in asked.before if message.role == "system"]
    assert systems == ["Be even."]
    assert asked.before[0].role == "system" and len(asked.before) == 7


def test_going_on_with_nothing(talk: int) -> None:
    """What is not there is said before anything is loaded."""
    with pytest.raises(NotFoundError, match="no conversation 99"):
        question("--cid", "99", "x")


# Options of `ask` ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "low", "high", "beyond"),
    [
        ("--temperature", "0", "100", ("-0.1", "100.5", "nan", "inf")),
        ("--top-p", "0", "1", ("-1", "1.01", "nan")),
        ("--min-p", "0", "1", ("-1", "2")),
        ("--repeat-penalty", "0.01", "100", ("0", "101", "nan")),
        ("--top-k", "0", "1073741824", ("-1", "1073741825")),
        ("--seed", "0", "4294967295", ("-1", "4294967296")),
        ("--timeout", "0", "1e9", ("-1", "nan", "inf")),
        ("--logprobs", "0", "1000", ("-1", "1001")),
    ],
)
def test_ranges(flag: str, low: str, high: str, beyond: tuple[str, ...]) -> None:
    """The limits themselves are right; beyond them the option, value and range are named."""

    def check(value: str) -> None:
        args: argparse.Namespace = ask.build_parser().parse_args(["x", f"{flag}={value}"])
        options.require_ranges(args)

    check(low)
    check(high)
    for value in beyond:
        with pytest.raises(UsageError, match=f"{flag} .* is out of range") as caught:
            check(value)
        assert caught.value.why.startswith("It must lie between ")


@pytest.mark.parametrize(
    "arguments",
    [["--json", "--extract"], ["--stream-json", "--json"], ["-x", "--stream-json"],
     ["--max-tokens", "0"], ["--beam", "-1"], ["--temperature", "warm"], ["-p", "only"],
     ["--kv-type", "f8"], ["a", "b"], ["--thin"]],
)  # fmt: skip
def test_options_that_do_not_go(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Code 2 with the usage, before anything is loaded."""
    with pytest.raises(SystemExit, match="2"):
        ask.run(["x", *arguments])
    assert capsys.readouterr().err.startswith("usage: expert ask")
