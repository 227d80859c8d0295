"""Where a turn is recorded: after which other one, and never in two conversations at once."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from expert.errors import ExpertError, ResourceError, VerificationError
from expert.history.history import History
from expert.history.records import Place, Turn
from expert.types import Sampling

TURN = Turn("question", "answer", "stop", Sampling(), "tiny", "/models/tiny.gguf")


@pytest.fixture(name="history")
def empty_history(tmp_path: Path) -> History:
    """A history of its own."""
    return History(tmp_path / "expert.db", tmp_path / ".lock")


def after(history: History, conversation: int | None, parent: int | None, text: str = "q") -> Place:
    """Record a turn after another one."""
    return history.record(replace(TURN, prompt=text, conversation=conversation, parent=parent))


def parents(history: History) -> dict[int, tuple[int, int | None]]:
    """Return the conversation and the turn before, of every turn."""
    return {
        one.id: (one.conversation, one.parent)
        for talk in history.conversations()
        for one in history.all_turns(talk.id)
    }


def test_a_turn_of_another_conversation_is_not_before_it(history: History) -> None:
    """Nor one that does not exist: the latest one of its own conversation is."""
    first, second = after(history, None, None), after(history, None, None)
    for wanted in (first.turn, 999, -1, 2**62):
        place = after(history, second.conversation, wanted)
        found = parents(history)[place.turn]
        assert found == (second.conversation, place.turn - 1)
    assert [one.id for one in history.turns(first.conversation)] == [first.turn]


def test_a_conversation_that_is_gone_begins_anew(history: History) -> None:
    """With the turn before it, it is forgotten; a removed one comes back."""
    gone = after(history, None, None)
    history.erase(gone.conversation)
    place = after(history, gone.conversation, gone.turn)
    assert place.conversation != gone.conversation
    assert parents(history) == {place.turn: (place.conversation, None)}
    history.remove(place.conversation)
    again = after(history, place.conversation, place.turn)
    assert again.conversation == place.conversation
    assert history.conversation(place.conversation).deleted is None


def test_random_trees_equal_a_model(history: History) -> None:
    """Whatever is asked again from wherever: each turn's way back is the one a list would keep."""
    source = random.Random(5)
    model: dict[int, tuple[int, int | None]] = {}
    for number in range(60):
        talks = sorted({talk for talk, _ in model.values()})
        talk = source.choice([None, 77, *talks])
        parent = source.choice([None, None, 500, *model])
        place = after(history, talk, parent, f"question {number}")
        own = [turn for turn, (where, _) in model.items() if where == talk]
        before = parent if parent in own else max(own, default=None)
        model[place.turn] = (place.conversation, before)
        assert (place.conversation == talk) == bool(own)
        if own:
            assert talk is not None
            chain, turn = [], place.turn
            while turn is not None:
                chain.append(turn)
                turn = model[turn][1]  # type: ignore[assignment]  # None ends it
            assert [one.id for one in history.turns(talk)] == sorted(chain)
    assert parents(history) == model
    for turn, (talk, _) in source.sample(sorted(model.items()), 10):
        assert history.turns(talk, turn)[-1].id == turn


def test_a_newer_history_is_left_alone(history: History) -> None:
    """It is told, for reading and for writing, and not a byte changes."""
    after(history, None, None)
    with closing(sqlite3.connect(history.database)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('history', '999_future', '')"
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = history.database.read_bytes()
    with pytest.raises(VerificationError, match="newer"):
        after(history, None, None)
    with pytest.raises(VerificationError, match="newer"):
        history.conversations()
    assert history.database.read_bytes() == before


def test_a_history_that_another_one_holds_is_told(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; it can be read all the time, and written when the other one is done."""
    monkeypatch.setattr("expert.store.database.BUSY_MS", 50)
    after(history, None, None)
    with closing(sqlite3.connect(history.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResourceError):
            after(history, None, None)
        with pytest.raises(ResourceError):
            history.rename(1, "x")
        assert [one.title for one in history.conversations()] == ["q"]
        other.execute("ROLLBACK")
    assert after(history, 1, None).turn == 2


def test_every_kind_of_damage_is_an_error_of_ours(history: History) -> None:
    """Whichever part of the file is overwritten or lost: what is read is right, or it is told."""
    texts = [f"question {number} " * 40 for number in range(12)]
    for text in texts:
        after(history, None, None, text)
    with closing(sqlite3.connect(history.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = history.database.read_bytes()
    source, told = random.Random(2), 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(source.choice([1, 1, 3])):
            start, length = source.randrange(len(data)), source.choice([1, 4, 600])
            data[start : start + length] = source.randbytes(min(length, len(data) - start))
        if source.random() < 0.2:
            data = data[: source.randrange(len(data))]
        for beside in history.database.parent.glob("expert.db-*"):
            beside.unlink()
        history.database.write_bytes(data)
        try:
            history.conversations()
            for number in (1, 6, 12):
                history.turns(number)
            history.search("question")
            history.search("?!")
            after(history, None, None, "new")
        except ExpertError:
            told += 1
    assert told > 20


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("sampling", '{"temperature": '),
        ("sampling", '{"warmth": 1}'),
        ("sampling", "[]"),
        ("context", "null"),
        ("context", "[" * 5000),
        ("timings", '{"load_s": 0, "load_s2": 0}'),
        ("route", "{'a'}"),
        ("prompt", b"\xff\xfe"),
        ("reasoning", b"\xc3"),
    ],
)
def test_a_damaged_turn_is_named(history: History, column: str, value: str | bytes) -> None:
    """Its conversation can still be listed, and removed; others are as they were."""
    for _ in range(2):
        after(history, None, None)
    with closing(sqlite3.connect(history.database)) as connection:
        connection.execute("DROP TRIGGER turn_stays")
        raw = value if isinstance(value, bytes) else value.encode()
        query = f"UPDATE turn SET {column} = CAST(? AS TEXT) WHERE id = 1"
        connection.execute(query, (raw,))
        connection.commit()
    with pytest.raises(VerificationError, match="damaged"):
        history.turns(1)
    with pytest.raises(VerificationError, match="damaged"):
        history.all_turns(1)
    assert len(history.turns(2)) == 1
    assert [one.id for one in history.conversations()] == [2, 1]
    history.remove(1)
    assert [one.id for one in history.conversations()] == [2]
