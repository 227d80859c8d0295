"""`expert log` in this process: exact lines, records and codes, beside what the database holds."""

import argparse
import json
import random
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from expert.cli import log, main
from expert.errors import UsageError
from expert.history.history import user_history
from expert.history.records import END, FOUND, Hit, Turn
from expert.types import ExpertUse, Sampling

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def history_folder(home: Path) -> Path:
    """Give each test a home of its own."""
    return home


def record(prompt: str, answer: str = "Yes.", **more: object) -> int:
    """Record a turn, and return its conversation."""
    filled = {"finish": "stop", "sampling": Sampling(seed=3), "model": "tiny", "model_path": "/m"}
    turn = Turn(prompt, answer, **{**filled, **more})  # type: ignore[arg-type]  # checked by use
    return user_history().record(turn).conversation


def run(captured: Captured, *arguments: str) -> tuple[int, str, str]:
    """Run `expert log ARGUMENTS`; return its code and what it wrote."""
    try:
        code = main(["log", *arguments])
    except SystemExit as left:
        code = int(left.code or 0)
    said = captured.readouterr()
    return code, said.out, said.err


def rows(query: str) -> list[tuple[object, ...]]:
    """Ask the database itself, through Python's sqlite3."""
    with closing(sqlite3.connect(user_history().database)) as connection:
        return connection.execute(query).fetchall()


def test_a_row_of_the_list(capsys: Captured) -> None:
    """Number, minute, turns and title stand in columns; one turn is not `1 turns`."""
    first = record("A question\nof two lines")
    record("more", conversation=first)
    record("another")
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    moments = [datetime.fromisoformat(str(row[0])) for row in rows(
        "SELECT updated FROM conversation ORDER BY updated DESC, id DESC")]  # fmt: skip
    minutes = [f"{moment.astimezone():%Y-%m-%d %H:%M}" for moment in moments]
    assert out.splitlines() == [
        f"    2  {minutes[0]}     1 turn  another",
        f"    1  {minutes[1]}    2 turns  A question of two lines",
    ]


@pytest.mark.parametrize("arguments", [[], ["--all"], ["--limit", "50"]])
def test_a_list_without_its_word(capsys: Captured, arguments: list[str]) -> None:
    """`expert log` alone lists, with the options of `list`."""
    numbers = [record(f"question {n}") for n in range(22)]
    _, out, _ = run(capsys, *arguments)
    shown = [int(line.split()[0]) for line in out.splitlines()]
    assert shown == numbers[::-1][: None if arguments else 20]


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", ""])
def test_a_limit_is_a_whole_number_above_zero(capsys: Captured, value: str) -> None:
    """Anything else is code 2, with what is wrong."""
    for action in (["list"], ["search", "x"]):
        code, out, err = run(capsys, *action, "-n", value)
        assert (code, out) == (2, "")
        assert "-n/--limit" in err


def test_the_bin_has_its_own_list(capsys: Captured) -> None:
    """And says when it is empty, on stderr, so that a script sees no line."""
    number = record("x")
    assert run(capsys, "list", "--bin") == (0, "", "expert: the bin is empty\n")
    assert run(capsys, "list", "--bin", "--json") == (0, "[]\n", "")
    run(capsys, "rm", "-y", str(number))
    assert run(capsys, "list") == (0, "", "expert: there is no conversation yet\n")
    _, out, _ = run(capsys, "--bin")
    assert out.endswith("  x\n")


def test_a_conversation_is_shown(capsys: Captured) -> None:
    """Questions and answers in order, who answered, and what was cut short."""
    number = record("\n\nQ1\n", "A1\n\n", experts=(ExpertUse("acme/sql", "ab", 0.5, "1.2.0"),))
    record("Q2", "half", finish="length", conversation=number)
    record("Q3", "", finish="failed", error="It broke.", conversation=number)
    _, out, _ = run(capsys, "show", str(number))
    lines = [line for line in out.splitlines() if not line.startswith("> 20")]
    assert lines == [
        "1  Q1", "", "Q1", "", "< tiny + acme/sql@1.2.0:0.5", "A1",
        "", "Q2", "", "< tiny", "half", "(not complete: cut at its longest)",
        "", "Q3", "", "< tiny", "", "(not complete: It broke.)",
    ]  # fmt: skip


def test_a_record_is_what_the_database_holds(capsys: Captured) -> None:
    """`show --json`, field by field, beside sqlite3."""
    number = record("Q", "A", reasoning="hm", system="S", origin="ask")
    shown = json.loads(run(capsys, "show", "--json")[1])
    (turn,) = shown["turns"]
    (held,) = rows(
        "SELECT id, prompt, answer, reasoning, system, origin, finish, seed, model, created"
        " FROM turn"
    )
    assert held == (
        turn["id"], turn["prompt"], turn["text"], turn["reasoning"], turn["system"],
        turn["origin"], turn["finish"], turn["seed"], turn["model"]["name"], turn["created"],
    )  # fmt: skip
    assert (shown["id"], shown["title"], shown["deleted"]) == (number, "Q", None)
    assert turn["partial"] is False and turn["error"] == ""


def test_titles_that_are_not_clear(capsys: Captured) -> None:
    """The error names the conversations it could be, and how to say which."""
    record("Alpha")
    record("alpha")
    code, out, err = run(capsys, "show", "ALPHA")
    assert (code, out) == (3, "")
    assert err == (
        "expert: 'ALPHA' is not clear.\nWhy: The title is that of 2, 1.\n"
        "Fix: Give its number, as in `expert log list`.\n"
    )
    assert run(capsys, "show", "beta")[2].splitlines()[1] == "Why: No title is or begins so."


def test_errors_as_json(capsys: Captured) -> None:
    """With --json, an error is an object on stderr with its code."""
    code, out, err = run(capsys, "show", "7", "--json")
    assert (code, out) == (3, "")
    assert json.loads(err) == {
        "code": 3, "what": "There is no conversation 7.", "why": "",
        "fix": "See `expert log list`.",
    }  # fmt: skip


def test_removing_several(capsys: Captured) -> None:
    """All are named in one line, with what brings them back, and come back so."""
    one, two = record("one"), record("two")
    code, out, _ = run(capsys, "rm", "one", str(two), "-y")
    assert (code, out) == (0, "removed 1 2; `expert log restore 1 2` brings it back\n")
    assert [row[0] for row in rows("SELECT id FROM conversation WHERE deleted IS NULL")] == []
    assert run(capsys, "restore", "1", "2") == (0, "restored 1 2\n", "")
    assert json.loads(run(capsys, "rm", "1", "-y", "--json")[1]) == {"removed": [one]}
    assert json.loads(run(capsys, "restore", "one", "--json")[1]) == {"restored": [one]}


def test_one_unknown_name_removes_nothing(capsys: Captured) -> None:
    """Names are read before anything is done."""
    record("one")
    assert run(capsys, "rm", "-y", "one", "nobody")[0] == 3
    assert rows("SELECT count(*) FROM conversation WHERE deleted IS NULL") == [(1,)]


def test_removing_for_good_leaves_no_row(capsys: Captured) -> None:
    """Not of the conversation, its turns, its experts, nor of the index; others stay."""
    gone = record("secret xylophone", experts=(ExpertUse("acme/sql", "ab", 1.0),))
    record("kept", experts=(ExpertUse("acme/sql", "ab", 1.0),))
    assert run(capsys, "rm", "--forever", "-y", str(gone)) == (0, f"removed {gone}\n", "")
    for table in ("conversation", "turn", "turn_expert"):
        assert rows(f"SELECT count(*) FROM {table}") == [(1,)]
    assert rows("SELECT count(*) FROM turn_text WHERE turn_text MATCH 'xylophone'") == [(0,)]


def test_without_a_terminal_removing_needs_consent(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what would go and how to agree; nothing is done."""
    record("one")
    real = open

    def no_terminal(file: object, *more: object) -> object:
        if file == "/dev/tty":
            raise OSError(6, "No such device or address")
        return real(file, *more)  # type: ignore[call-overload]  # as it came

    monkeypatch.setattr("builtins.open", no_terminal)
    code, out, err = run(capsys, "rm", "1")
    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith("  one")
    assert "Fix: Add -y to go on without asking." in err
    assert rows("SELECT count(*) FROM conversation WHERE deleted IS NULL") == [(1,)]


def test_a_title_is_one_line(capsys: Captured) -> None:
    """Whatever it is given as; JSON says what was kept."""
    number = record("x")
    code, out, _ = run(capsys, "rename", str(number), " two\n\twords ", "--json")
    assert (code, json.loads(out)["title"]) == (0, "two words")
    assert rows("SELECT title FROM conversation") == [("two words",)]


def test_searching_for_one_expert(capsys: Captured) -> None:
    """Only what it answered is found, with the snippet's marks as text."""
    record("all zebras", experts=(ExpertUse("acme/sql", "ab", 1.0),))
    record("more zebras")
    found = json.loads(run(capsys, "search", "zebras", "--expert", "acme/sql", "--json")[1])
    assert [(hit["conversation"], hit["snippet"]) for hit in found] == [(1, "all zebras")]
    _, out, _ = run(capsys, "search", "zebras")
    first, second = out.splitlines()[:2]
    assert first.endswith("  more zebras") and second == "       more «zebras»"
    assert run(capsys, "search", "zebras", "--expert", "nobody") == (0, "", "")


def test_a_hit_is_inert() -> None:
    """Titles and snippets of any text stay on their two lines."""
    evil = "\x1b[2J\n\u202e\x07"
    hit = Hit(1, 1, f"t{evil}", "2026-01-02T03:04:05.678Z", f"a{FOUND}{evil}{END}b")
    lines = log._hit_row(hit).split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "«" in lines[1] and "»" in lines[1]


def test_exports_are_exact(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    """A pipe and a file get the same bytes, stray ones included."""
    answer = b"caf\xe9\x1b[1m\r\nend".decode("utf-8", "surrogateescape")
    record("Q", answer)
    assert main(["log", "export"]) == 0
    piped = capsysbinary.readouterr().out
    assert b"\ncaf\xe9\x1b[1m\r\nend\n" in piped
    assert main(["log", "export", "-o", str(tmp_path / "x.md")]) == 0
    assert (tmp_path / "x.md").read_bytes() == piped
    assert capsysbinary.readouterr().err == f"wrote {tmp_path / 'x.md'}\n".encode()


def test_an_export_as_json_is_the_record(capsys: Captured) -> None:
    """`--format json` and `--json` are one, and the same as `show` says."""
    record("Q")
    whole = json.loads(run(capsys, "show", "--json")[1])
    assert json.loads(run(capsys, "export", "--json")[1]) == whole
    assert json.loads(run(capsys, "export", "--format", "json")[1]) == whole


def test_saving(tmp_path: Path) -> None:
    """A new file, whole; never over another, and nothing else is left in the folder."""
    target = tmp_path / "a.md"
    log.save(target, "text \udce9\n")
    assert target.read_bytes() == b"text \xe9\n"
    for there in (target, tmp_path):
        with pytest.raises(UsageError, match="there already"):
            log.save(there, "other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]
    assert target.read_bytes() == b"text \xe9\n"


def test_random_conversations_are_listed_as_sqlite_orders_them(capsys: Captured) -> None:
    """The latest first, whatever goes on, is removed and comes back."""
    source = random.Random(4)
    history = user_history()
    for step in range(40):
        numbers = [int(str(row[0])) for row in rows("SELECT id FROM conversation")] if step else []
        known = source.choice([None, *numbers])
        match source.randrange(4):
            case 0 if known is not None:
                history.remove(known)
            case 1 if known is not None:
                history.restore(known)
            case _:
                record(f"step {step}", conversation=known)
    for options, state in (([], "IS NULL"), (["--bin"], "IS NOT NULL")):
        listed = json.loads(run(capsys, "list", "--all", *options, "--json")[1])
        held = rows(
            "SELECT id, (SELECT count(*) FROM turn WHERE conversation = c.id) FROM conversation c"
            f" WHERE deleted {state} ORDER BY updated DESC, id DESC"
        )
        assert [(row["id"], row["turns"]) for row in listed] == held


def test_moments_are_local() -> None:
    """What is kept in UTC is shown as the clock on the wall says."""
    shown = log._moment("2026-07-01T12:30:45.123Z")
    local = datetime.fromisoformat("2026-07-01T12:30:45+00:00").astimezone()
    assert shown == local.replace(tzinfo=None).isoformat(" ", "minutes")


@pytest.mark.parametrize(
    "arguments",
    [["search"], ["rename", "1"], ["restore"], ["export", "--format", "xml"], ["show", "1", "2"],
     ["--nonsense"], ["list", "x"], ["rm", "--yes"]],
)  # fmt: skip
def test_mistakes_do_nothing(capsys: Captured, arguments: list[str], home: Path) -> None:
    """Code 2 and the usage; no database is made."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: expert log")
    assert not list(home.iterdir())


def test_the_parser_names_every_action() -> None:
    """Each action takes --json."""
    parser = log.build_parser()
    (actions,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    assert set(actions.choices) == {
        "list", "show", "search", "rm", "restore", "rename", "export",
    }  # fmt: skip
    for action in actions.choices.values():
        assert "--json" in action.format_help()
