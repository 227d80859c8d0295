"""`expert log` and going on with conversations: the real program over a history on disk."""

import json
from pathlib import Path

import pytest

from expert.history.history import History, user_history
from expert.history.records import Turn
from expert.types import ExpertUse, Sampling
from support.program import expert, in_terminal

GREEDY = ("--temperature", "0", "--max-tokens", "6")


def record(prompt: str, answer: str = "Yes.", **more: object) -> int:
    """Record a turn, and return its conversation."""
    filled = {"finish": "stop", "sampling": Sampling(seed=3), "model": "tiny", "model_path": "/m"}
    turn = Turn(prompt, answer, **{**filled, **more})  # type: ignore[arg-type]  # checked by use
    return user_history().record(turn).conversation


def numbers(*arguments: str) -> list[int]:
    """Return the numbers that a listing gives."""
    return [row["id"] for row in json.loads(expert("log", *arguments, "--json").out)]


def test_an_empty_history(home: Path) -> None:
    """Lists nothing, says so on stderr, and creates nothing."""
    done = expert("log")
    assert (done.code, done.out) == (0, b"")
    assert "no conversation yet" in done.message
    assert json.loads(expert("log", "--json").out) == []
    assert expert("log", "search", "x").code == 0
    assert expert("log", "show").code == 3
    assert not list(home.iterdir())


def test_asking_is_recorded_and_goes_on(tiny_path: Path) -> None:
    """What `ask` answered is in the log, with what is needed to repeat it; -c goes on with it."""
    asked = json.loads(expert("ask", "-m", tiny_path, "--json", "-s", "Be odd.", *GREEDY, "Hi").out)
    (turn,) = json.loads(expert("log", "show", "--json").out)["turns"]
    assert (turn["prompt"], turn["system"], turn["text"]) == ("Hi", "Be odd.", asked["text"])
    assert turn["origin"] == "ask"
    assert (turn["finish"], turn["seed"]) == (asked["finish"], asked["seed"])
    assert turn["id"] == asked["turn"]
    more = json.loads(expert("ask", "-m", tiny_path, "-c", "--json", *GREEDY, "More").out)
    assert more["conversation"] == asked["conversation"]
    dry = expert("ask", "-m", tiny_path, "-c", "--dry-run", "Again").text
    for text in ("Be odd.", "Hi", "More", "Again"):
        assert text in dry
    assert len(json.loads(expert("log", "show", "--json").out)["turns"]) == 2


def test_what_should_not_be_kept_is_not(tiny_path: Path, home: Path) -> None:
    """By a flag for once, by a setting for ever."""
    expert("ask", "-m", tiny_path, "-n", *GREEDY, "Hi")
    expert("ask", "-m", tiny_path, *GREEDY, "Hi", EXPERT_HISTORY="false")
    assert expert("config", "set", "history", "false").code == 0
    expert("ask", "-m", tiny_path, *GREEDY, "Hi")
    assert not (home / "data").exists()


def test_a_conversation_by_number_or_title(tiny_path: Path) -> None:
    """--cid takes both; what does not exist is code 3."""
    first, second = record("Alpha"), record("Beta")
    for name, number in ((str(first), first), ("alpha", first), ("Beta", second)):
        asked = expert("ask", "-m", tiny_path, "--cid", name, "--json", *GREEDY, "x")
        assert json.loads(asked.out)["conversation"] == number
    assert expert("ask", "-m", tiny_path, "--cid", "99", "x").code == 3


def test_listing_searching_renaming_removing(home: Path) -> None:
    """Each action as lines and as JSON; removing asks, and can be undone."""
    first, second = record("find a zebra", "in a zoo"), record("count to ten")
    assert numbers("list") == [second, first]
    assert numbers("--limit", "1") == [second]
    lines = expert("log").text.splitlines()
    assert [line.split()[0] for line in lines] == [str(second), str(first)]
    assert "«zebra»" in expert("log", "search", "zebra").text
    (hit,) = json.loads(expert("log", "search", "zebra", "--json").out)
    assert (hit["conversation"], hit["snippet"]) == (first, "find a zebra")
    assert expert("log", "search", "--", "-rf", "OR", '"').code == 0
    assert expert("log", "rename", str(first), "Animals").code == 0
    assert json.loads(expert("log", "show", "animals", "--json").out)["id"] == first
    assert expert("log", "rm", "Animals", "-y").text.startswith(f"removed {first}; `expert log res")
    assert numbers("list") == [second]
    assert numbers("list", "--bin") == [first]
    assert expert("log", "restore", "animals").code == 0
    assert numbers("list", "--bin") == []
    assert expert("log", "rm", "--forever", "-y", str(first)).code == 0
    assert expert("log", "restore", str(first)).code == 3


def test_removing_asks_a_person(home: Path) -> None:
    """y removes, Enter does not, and without a terminal -y is needed."""
    number = str(record("keep me"))
    done = in_terminal(["log", "rm", number], typed=[(b"[y/N]", b"\n")])
    assert "nothing was removed" in done.text
    assert numbers() == [int(number)]
    in_terminal(["log", "rm", number], typed=[(b"[y/N]", b"y\n")])
    assert numbers() == []


def test_exports(tmp_path: Path, home: Path) -> None:
    """Markdown or JSON, to stdout or a new file, never over an old one."""
    number = record("Q", "```\ncode\n```", experts=(ExpertUse("sql", "ab", 2.0),))
    assert "\n```\ncode\n```\n" in expert("log", "export").text
    assert json.loads(expert("log", "export", "--format", "json").out)["turns"][0]["seed"] == 3
    file = tmp_path / "talk.md"
    assert expert("log", "export", str(number), "-o", file).code == 0
    assert file.read_text().startswith("# Q\n")
    again = expert("log", "export", "-o", file)
    assert (again.code, again.out) == (2, b"")
    assert "there already" in again.message
    assert expert("log", "export", "-o", tmp_path / "none" / "x").code == 9
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_recorded_acts_on_a_screen(home: Path) -> None:
    """Escapes in questions, answers, titles and names are shown; a pipe gets them exactly."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    use = ExpertUse(evil, "ab", 1.0)
    number = record(f"ask {evil}", f"answer {evil}\udcff", model=evil, experts=(use,))
    user_history().rename(number, f"title {evil}")
    for action in (["list"], ["show"], ["search", "ask"], ["export"], ["rename", "1", evil]):
        done = in_terminal(["log", *action])
        assert done.code == 0
        assert b"\x1b" not in done.out.replace(b"\x1b[1m", b"").replace(b"\x1b[0m", b"")
        assert b"\x07" not in done.out
        assert "\u202e" not in done.text
    assert f"answer {evil}".encode() + b"\xff\n" in expert("log", "show").out


def test_a_newer_database_and_a_damaged_one(home: Path, tiny_path: Path) -> None:
    """`log` says what is wrong; `ask` answers all the same, with a warning."""
    record("x")
    database = user_history().database
    database.write_bytes(b"nonsense" * 1000)
    for path in database.parent.glob("expert.db-*"):
        path.unlink()
    assert expert("log").code == 5
    done = expert("ask", "-m", tiny_path, *GREEDY, "Hi")
    assert done.code == 0
    assert done.out.strip()
    assert "not kept in the history" in done.message


@pytest.mark.parametrize("arguments", [["log", "--debug"], ["log", "rm"], ["log", "nonsense"]])
def test_mistakes(arguments: list[str], home: Path) -> None:
    """Are code 2 with the usage."""
    done = expert(*arguments)
    assert done.code == 2
    assert "usage" in done.message


def test_history_is_private(home: Path, tiny_path: Path) -> None:
    """Nobody else on the machine can read it."""
    expert("ask", "-m", tiny_path, *GREEDY, "secret")
    history: History = user_history()
    assert history.database.stat().st_mode & 0o077 == 0
    assert history.database.parent.stat().st_mode & 0o077 == 0
