"""Conversations on disk: recorded, read back exactly, branched, removed and restored."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from expert.errors import NotFoundError, ResourceError
from expert.history.export import as_markdown, as_record
from expert.history.history import History, user_history
from expert.history.records import Turn
from expert.store.database import Schema, connect
from expert.types import ExpertUse, Message, Sampling, Timings


@pytest.fixture
def history(home: Path) -> History:
    """Return an empty history."""
    return user_history()


def turn(prompt: str, answer: str = "Yes.", **more: object) -> Turn:
    """Return a turn to record."""
    filled = {"finish": "stop", "sampling": Sampling(seed=7), "model": "tiny", "model_path": "/m"}
    return Turn(prompt, answer, **{**filled, **more})  # type: ignore[arg-type]  # checked by use


def test_looking_creates_nothing(history: History, home: Path) -> None:
    """Lists and searches of no history are empty, and leave no file."""
    assert history.conversations() == []
    assert history.search("x") == []
    assert history.turns(1) == []
    assert not list(home.iterdir())


def test_a_turn_comes_back_as_it_was(history: History) -> None:
    """Everything known of a turn is there, to the byte."""
    recorded = turn(
        "How?",
        "caf\udce9 \x1b[31m\0end",
        reasoning="hm",
        finish="timeout",
        system="Be brief.",
        origin="ask",
        context=[Message("user", "earlier")],
        experts=(ExpertUse("sql", "ab" * 32, 0.5, "1.2.0"), ExpertUse("b", "cd" * 32, 1.0)),
        sampling=Sampling(temperature=0.7, top_k=5, seed=2**32 - 1),
        route={"mode": "auto", "reason": "SELECT"},
        timings=Timings(load_s=0.5, prompt_tokens=3, answer_tokens=4),
    )
    place = history.record(recorded)
    (found,) = history.turns(place.conversation)
    assert found.id == place.turn
    assert found.turn.answer == recorded.answer
    for name in ("prompt", "reasoning", "finish", "system", "context", "experts", "sampling",
                 "route", "timings", "origin", "model", "model_path"):  # fmt: skip
        assert getattr(found.turn, name) == getattr(recorded, name), name
    assert found.partial


def test_a_conversation_goes_on_and_branches(history: History) -> None:
    """A turn follows the last one, or the one it names; both branches stay."""
    first = history.record(turn("one"))
    second = history.record(turn("two", conversation=first.conversation))
    third = history.record(turn("three", conversation=first.conversation, parent=first.turn))
    assert second.conversation == third.conversation == first.conversation
    prompts = [found.turn.prompt for found in history.turns(first.conversation)]
    assert prompts == ["one", "three"]
    prompts = [found.turn.prompt for found in history.turns(first.conversation, second.turn)]
    assert prompts == ["one", "two"]
    assert len(history.all_turns(first.conversation)) == 3
    assert history.conversation(first.conversation).turns == 3


def test_going_on_with_what_is_gone_begins_anew(history: History) -> None:
    """Out of the bin it comes back; erased, a new conversation begins."""
    first = history.record(turn("one"))
    history.remove(first.conversation)
    history.record(turn("two", conversation=first.conversation))
    assert history.conversation(first.conversation).deleted is None
    history.erase(first.conversation)
    again = history.record(turn("three", conversation=first.conversation))
    assert again.conversation != first.conversation  # numbers are never given twice


def test_removed_is_not_lost_until_erased(history: History) -> None:
    """The bin is out of lists and searches; restoring brings all back."""
    place = history.record(turn("a zebra"))
    history.remove(place.conversation)
    assert history.conversations() == []
    assert history.search("zebra") == []
    assert [one.id for one in history.conversations(deleted=True)] == [place.conversation]
    history.restore(place.conversation)
    assert [one.id for one in history.conversations()] == [place.conversation]
    assert len(history.search("zebra")) == 1
    history.erase(place.conversation)
    with pytest.raises(NotFoundError):
        history.conversation(place.conversation)
    assert history.search("zebra") == []


def test_what_was_erased_is_not_in_the_files(history: History) -> None:
    """Not a word of it can be found in the database or its log, nor in the index."""
    kept = history.record(turn("an ordinary question", "kept words"))
    secret = history.record(turn("my password is Xylophagous", "Xylophagous indeed"))
    history.erase(secret.conversation)
    raw = b"".join(path.read_bytes() for path in history.database.parent.glob("expert.db*"))
    assert b"kept words" in raw
    assert b"xylophagous" not in raw.lower()
    _check_index(history)
    assert history.search("ordinary")[0].conversation == kept.conversation


def test_the_bin_is_emptied_after_a_month(history: History) -> None:
    """Recording erases what was removed more than 30 days ago, and nothing else."""
    old = history.record(turn("old"))
    new = history.record(turn("new"))
    history.remove(old.conversation)
    history.remove(new.conversation)
    with closing(sqlite3.connect(history.database)) as connection, connection:
        connection.execute(
            "UPDATE conversation SET deleted = '2020-01-01' WHERE id = ?", (old.conversation,)
        )
    history.record(turn("another"))
    assert [one.id for one in history.conversations(deleted=True)] == [new.conversation]
    _check_index(history)


def test_titles(history: History) -> None:
    """A title is the beginning of the prompt on one harmless line; it can be changed."""
    long = history.record(turn("line\n\x1b[2Jtwo " + "x" * 100))
    title = history.conversation(long.conversation).title
    assert title.startswith("line ␛[2Jtwo xxx") and title.endswith("…") and len(title) == 60
    history.rename(long.conversation, " Two\n words ")
    assert history.conversation(long.conversation).title == "Two words"
    assert history.conversation(history.record(turn("")).conversation).title == "(empty)"


def test_finding_a_conversation(history: History) -> None:
    """By number, by title, by the beginning of one; the last without a name."""
    first = history.record(turn("Alpha one")).conversation
    second = history.record(turn("Alpha two")).conversation
    assert history.find(None).id == second
    assert history.find(str(first)).id == first
    assert history.find("alpha ONE").id == first
    assert history.find("alpha t").id == second
    for name in ("alpha", "beta", "99", "1" * 30, "²"):
        with pytest.raises(NotFoundError):
            history.find(name)


def test_finding_in_an_empty_history(history: History) -> None:
    """There is nothing to go on with."""
    with pytest.raises(NotFoundError, match="no conversation yet"):
        history.find(None)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Is a typed error, for whoever records to tell."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    history = History(blocked / "expert.db", blocked / ".lock")
    with pytest.raises(ResourceError):
        history.record(turn("x"))


def test_a_full_disk_leaves_what_was_there(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that does not fit is refused whole."""
    place = history.record(turn("first"))

    with closing(sqlite3.connect(history.database)) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]

    def small(path: Path, schema: Schema, lock: Path) -> sqlite3.Connection:
        connection = connect(path, schema, lock)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr("expert.history.history.connect", small)
    with pytest.raises(ResourceError, match="cannot be used"):
        history.record(turn("x" * 100_000))
    monkeypatch.undo()
    assert [found.turn.prompt for found in history.all_turns(place.conversation)] == ["first"]
    _check_index(history)


def test_exports(history: History) -> None:
    """Markdown holds what was said, JSON everything; both say what is not complete."""
    first = history.record(
        turn("Q1", "```py\nx\n```", experts=(ExpertUse("sql", "ab", 0.5, "1.0.0"),), system="S")
    )
    history.record(turn("Q2", "half", finish="cancelled", conversation=first.conversation))
    conversation = history.conversation(first.conversation)
    turns = history.turns(first.conversation)
    text = as_markdown(conversation, turns)
    assert text.startswith("# Q1\n\n## System\n\nS\n")
    assert "\n```py\nx\n```\n" in text
    assert "## tiny + sql@1.0.0:0.5" in text
    assert "*Not complete: interrupted.*" in text
    record = json.loads(json.dumps(as_record(conversation, turns)))
    assert [one["partial"] for one in record["turns"]] == [False, True]
    assert record["turns"][0]["experts"][0]["digest"] == "ab"
    assert record["turns"][0]["seed"] == 7


def _check_index(history: History) -> None:
    """Let FTS5 compare its index with the turns."""
    with closing(sqlite3.connect(history.database)) as connection:
        connection.execute("INSERT INTO turn_text (turn_text, rank) VALUES ('integrity-check', 1)")
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
