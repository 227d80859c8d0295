"""What the marketplace's verbs say: lines that act on nothing, plans, consent, and mistakes."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.cli import VERBS, diff, main, marketplace
from expert.cli import list as list_verb
from expert.errors import NotFoundError, VerificationError
from expert.market.commit import NewKey
from expert.market.install import Done
from expert.market.plan import Plan
from expert.package.keys import PrivateKey
from expert.package.manifest import Manifest
from support.packages import KEY, draft, make_package

Captured = pytest.CaptureFixture[str]
OTHER = PrivateKey(b"rivals!!" * 4)


def arguments(**values: Any) -> argparse.Namespace:
    """Return parsed arguments."""
    return argparse.Namespace(**{"json": False, "yes": False, "trust": [], **values})


def run(captured: Captured, *words: str | Path) -> tuple[int, str, str]:
    """Run the program in this process; return its code and what it wrote."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as left:
        code = int(left.code or 0)
    said = captured.readouterr()
    return code, said.out, said.err


@pytest.fixture
def shelf(tmp_path: Path, capsys: Captured) -> Path:
    """Return a source with an expert in two versions."""
    folder = tmp_path / "shelf"
    make_package(folder, name="forms", version="1.0.0")
    make_package(folder, name="forms", version="1.2.0")
    assert run(capsys, "source", "add", "shelf", folder)[0] == 0
    return folder


SURE = ("-y", "--any-base", "--trust", KEY.public.fingerprint)


# Lines --------------------------------------------------------------------------------------------


def test_lines_act_on_nothing(capsys: Captured) -> None:
    """Each character that a terminal obeys is replaced, also in warnings; lines stay lines."""
    evil = "a\x1b[2J\x07\x9b\u202e\u2066\tb\udce9"
    marketplace.emit(arguments(), None, [evil, "two"])
    marketplace.warn([evil])
    out, err = capsys.readouterr()
    assert out == "a\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffdb\ufffd\ntwo\n"
    assert err == f"expert: {out.splitlines()[0]}\n"


def test_records_are_one_line_of_json(capsys: Captured) -> None:
    """Characters stand in them as they are, controls escaped; lines are not even made."""

    def never() -> Any:
        raise AssertionError("no line is wanted")
        yield

    marketplace.emit(arguments(json=True), {"a": ["é\x1b\n"]}, never())
    out = capsys.readouterr().out
    assert out == '{"a": ["é\\u001b\\n"]}\n'
    assert json.loads(out) == {"a": ["é\x1b\n"]}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 kB"), (1, "0.0 kB"), (1500, "1.5 kB"), (99_999, "100.0 kB"), (100_000, "0.1 MB"),
     (1_250_000, "1.2 MB"), (5_000_000_000, "5000.0 MB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    """Small ones in kilobytes."""
    assert marketplace.megabytes(size) == text


def test_a_small_file(tmp_path: Path) -> None:
    """Its bytes, or why it cannot be read."""
    (tmp_path / "f").write_bytes(b"\xff\0")
    assert marketplace.read_file(tmp_path / "f") == b"\xff\0"
    with pytest.raises(NotFoundError, match="Cannot read") as caught:
        marketplace.read_file(tmp_path / "none")
    assert caught.value.why == "No such file or directory."


@pytest.mark.parametrize(
    ("expert", "base", "lower", "line"),
    [
        (0.5, 0.4, False, "accuracy 0.5, base alone 0.4 (held out, 9 samples)"),
        (0.4, 0.5, False, "accuracy 0.4, base alone 0.5 (worse) (held out, 9 samples)"),
        (0.4, 0.5, True, "accuracy 0.4, base alone 0.5 (held out, 9 samples)"),
        (0.5, 0.4, True, "accuracy 0.5, base alone 0.4 (worse) (held out, 9 samples)"),
        (0.5, 0.5, False, "accuracy 0.5, base alone 0.5 (held out, 9 samples)"),
        (0.5, 0.5, True, "accuracy 0.5, base alone 0.5 (held out, 9 samples)"),
        (0.25, None, False, "accuracy 0.25 (held out, 9 samples)"),
    ],
)
def test_figures_say_where_the_base_was_better(
    expert: float, base: float | None, lower: bool, line: str
) -> None:
    """Beside the base alone; for an error, less is better."""
    figure = {"metric": "accuracy", "dataset": "held out", "samples": 9, "expert": expert,
              "lower_is_better": lower, **({} if base is None else {"base": base})}  # fmt: skip
    manifest = msgspec.convert(draft(evaluation=[figure]), Manifest)
    assert marketplace.figure_lines(manifest) == [line]


def test_marks_in_the_list() -> None:
    """Who is unsigned, who came along, and who is pinned, stands behind the summary."""
    row = {"name": "a/x", "version": "1.0.0", "summary": "S.", "trust": "signed",
           "requested": True, "selected": True, "pinned": None}  # fmt: skip
    assert list_verb._line(row, 11) == "* a/x@1.0.0  S."
    other = row | {"trust": "unsigned", "requested": False, "selected": False, "pinned": "^1"}
    assert list_verb._line(other, 11) == (
        "  a/x@1.0.0  S.  (unsigned, needed by others, pinned to ^1)"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ("a\x1b", "'a\\x1b'"),
        (3, "3"),
        ([1], "[1]"),
        ("x" * 80, "'" + "x" * 58 + "…"),
    ],
)
def test_values_of_a_difference(value: Any, text: str) -> None:
    """Quoted, and not longer than a line bears."""
    assert diff._short(value) == text


# Consent ------------------------------------------------------------------------------------------


NEW = NewKey("acme", KEY.public)


def plan(*keys: NewKey, warnings: tuple[str, ...] = (), is_empty: bool = False) -> Plan:
    """Return a plan in which nothing but keys is new."""
    return Plan("test", 1, (), (), keys=keys, warnings=warnings, is_empty=is_empty)


def test_a_new_publisher_needs_more_than_yes(capsys: Captured) -> None:
    """-y alone does not trust a key; naming its fingerprint does."""
    unknown = plan(NEW, warnings=("careful\x1b",))
    ask = marketplace.confirmation(arguments(yes=True))
    with pytest.raises(VerificationError, match="publisher acme is new here") as caught:
        ask(unknown)
    assert caught.value.fix.endswith(f"--trust {KEY.public.fingerprint}")
    assert capsys.readouterr().err == "expert: careful\ufffd\n"
    assert marketplace.confirmation(arguments(yes=True, trust=[KEY.public.fingerprint]))(unknown)
    with pytest.raises(VerificationError):
        marketplace.confirmation(arguments(yes=True, trust=[OTHER.public.fingerprint]))(unknown)
    assert marketplace.confirmation(arguments(yes=True))(plan())


@pytest.mark.parametrize(("as_json", "stream"), [(False, "out"), (True, "err")])
def test_a_plan_is_shown_before_the_question(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, as_json: bool, stream: str
) -> None:
    """On stdout for people; beside it where stdout is for JSON. The question names the keys."""
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("expert.cli.options.confirmed", no)
    confirm = marketplace.confirmation(arguments(json=as_json))
    assert confirm(plan(NEW)) is False
    assert confirm(plan()) is False
    assert asked == ["Trust these keys and go on?", "Go on?"]
    said = getattr(capsys.readouterr(), stream)
    assert said == (
        f"key     acme: {KEY.public.fingerprint} (first seen; compare it with what they state)\n"
    )


def test_what_was_done(capsys: Captured) -> None:
    """Nothing to do is success, and a plan that was refused is not."""
    assert marketplace.report(arguments(), Done(plan(is_empty=True), None)) == 0
    assert capsys.readouterr().out == "Everything is as asked for already.\n"
    record = arguments(json=True)
    assert marketplace.report(record, Done(plan(is_empty=True), None)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["up_to_date"] is True and found["installed"] == found["removed"] == []


# Verbs --------------------------------------------------------------------------------------------


def test_installing_and_what_the_lists_say(shelf: Path, capsys: Captured) -> None:
    """From nothing to a pinned expert and back, each line as it stands."""
    assert run(capsys, "list")[1] == "No experts are installed. See `expert search`.\n"
    assert run(capsys, "pin")[1] == "No expert is pinned.\n"
    code, out, _ = run(capsys, "install", "forms@1.0.0", *SURE)
    assert (code, out) == (0, "installed acme/forms@1.0.0\n")
    assert (
        run(capsys, "install", "forms@1.0.0", *SURE)[1] == "Everything is as asked for already.\n"
    )
    assert run(capsys, "pin", "forms@~1.0")[:2] == (0, "acme/forms stays within ~1.0.\n")
    (line,) = run(capsys, "list")[1].splitlines()
    assert line == "* acme/forms@1.0.0  Writes SQL queries.  (pinned to ~1.0)"
    assert run(capsys, "update", "--check", "--any-base")[1] == "Everything is up to date.\n"
    assert run(capsys, "pin", "forms", "--off")[1] == "acme/forms is no longer pinned.\n"
    code, out, _ = run(capsys, "update", "--check", "--any-base", "--json")
    assert json.loads(out) == {"install": ["acme/forms@1.2.0"], "remove": ["acme/forms@1.0.0"]}
    (row,) = json.loads(run(capsys, "list", "--json")[1])
    assert (row["version"], row["trust"], row["pinned"]) == ("1.0.0", "signed", None)
    (hit,) = json.loads(run(capsys, "search", "forms", "--json")[1])
    assert (hit["version"], hit["installed"]) == ("1.2.0", "1.0.0")
    assert run(capsys, "verify")[1] == "1 checked, 0 problems\n"
    assert run(capsys, "uninstall", "forms")[0] == 0
    states = json.loads(run(capsys, "rollback", "--list", "--json")[1])
    assert sum(state["active"] for state in states) == 1


def test_a_lock_file_is_exact(shelf: Path, capsys: Captured, tmp_path: Path) -> None:
    """The same again installs the same version, though there is a newer one."""
    run(capsys, "install", "forms@1.0.0", *SURE)
    lock = tmp_path / "experts.lock"
    lock.write_text(run(capsys, "list", "--lock")[1])
    run(capsys, "uninstall", "forms")
    assert run(capsys, "install", "--lock", lock, *SURE)[:2] == (0, "installed acme/forms@1.0.0\n")
    assert run(capsys, "list", "--lock")[1] == lock.read_text()


def test_keys(shelf: Path, capsys: Captured, tmp_path: Path) -> None:
    """Made, pinned, listed, revoked with a reason, and exported for ssh-keygen."""
    code, out, _ = run(capsys, "keygen", "-o", tmp_path / "k", "-c", "me", "--json")
    made = json.loads(out)
    assert code == 0 and re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", made["fingerprint"])
    assert (tmp_path / "k").stat().st_mode & 0o077 == 0
    code, out, _ = run(capsys, "trust", "pin", "acme", made["public"])
    assert code == 0 and out.startswith(f"{'acme':<20}{made['fingerprint']}  ")
    assert any(line.startswith("acme ") for line in run(capsys, "trust", "export")[1].splitlines())
    code, out, _ = run(
        capsys, "trust", "revoke", "acme", made["fingerprint"], "--reason", "lost\x1b"
    )
    assert code == 0 and out.endswith("revoked (lost\ufffd)\n")
    rows = json.loads(run(capsys, "trust", "list", "--json")[1])
    (row,) = [row for row in rows if row["fingerprint"] == made["fingerprint"]]
    assert (row["state"], row["reason"]) == ("revoked", "lost\x1b")
    assert run(capsys, "keygen", "-o", tmp_path / "k")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["install", "nobody", "-y"], 3, "nobody"),
        (["install", "a b", "-y"], 2, "'a b' is not the name of an expert"),
        (["install"], 2, "give experts, or --lock FILE"),
        (["install", "x", "--lock", "f"], 2, "give experts, or --lock FILE"),
        (["uninstall", "forms"], 3, "No expert forms is installed"),
        (["pin", "forms"], 3, "No expert forms is installed"),
        (["verify", "forms"], 3, "No expert forms is installed"),
        (["rollback", "99"], 3, "There is no generation 99"),
        (["rollback", "x"], 2, "invalid int value: 'x'"),
        (["show", "nobody"], 3, "nobody"),
        (["source", "add", "x\x1b", "/"], 2, "cannot be a source's name"),
        (["source", "add", "shelf", "/"], 2, "shelf"),
        (["source", "remove", "nobody"], 3, "There is no source 'nobody'"),
        (["trust", "revoke", "nobody"], 3, "No key in use is known for nobody"),
        (["trust", "rotate", "acme", "-k", "k", "-o", "o"], 2, "--revoke REASON"),
        (["bundle", "create", "b"], 2, "The bundle would be empty"),
        (["bundle", "install", "none"], 3, "none"),
        (["sign", "none", "-k", "k"], 3, "Cannot read the key k"),
        (["sign", "none"], 2, "one of the arguments"),
        (["inspect", "none"], 3, "Cannot open the package none"),
        (["validate", "none"], 3, "none"),
        (["import", "hf:x"], 2, "is not a repository on the hub"),
        (["search", "--limit", "0"], 2, "must be at least 1"),
    ],
)
def test_mistakes(
    shelf: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    words: list[str], code: int, what: str,
) -> None:  # fmt: skip
    """Each has its code and says what is wrong; stdout stays empty, escapes are quoted."""
    monkeypatch.chdir(tmp_path)
    found, out, err = run(capsys, *words)
    assert (found, out) == (code, "")
    assert what in err and "\x1b" not in err
    assert words[0] in VERBS
