"""The history beside sqlite3 itself: branches, orders, the index, and what a record keeps."""

import json
import random
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from expert.errors import NotFoundError, VerificationError
from expert.history.export import as_markdown, as_record, ending, turn_record, who
from expert.history.history import KEPT_DAYS, History
from expert.history.query import MOST_TERMS, match_expression
from expert.history.reading import as_messages
from expert.history.records import END, FOUND, Conversation, Recorded, Turn
from expert.history.writing import TITLE
from expert.types import ExpertUse, Message, Sampling, Timings


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return an empty history."""
    return History(tmp_path / "expert.db", tmp_path / ".lock")


def turn(prompt: str, answer: str = "Yes.", **more: object) -> Turn:
    """Return a turn to record."""
    filled = {"finish": "stop", "sampling": Sampling(seed=7), "model": "tiny", "model_path": "/m"}
    return Turn(prompt, answer, **{**filled, **more})  # type: ignore[arg-type]  # checked by use


def rows(history: History, query: str, *values: object) -> list[tuple[object, ...]]:
    """Ask the database itself."""
    with closing(sqlite3.connect(history.database)) as connection:
        return connection.execute(query, values).fetchall()


def recorded(finish: str = "stop", **more: object) -> Recorded:
    """Return a turn as it comes back."""
    made = turn("Q", "A", finish=finish, **more)
    return Recorded(1, 1, None, "2026-01-02T03:04:05.678Z", made)


# Trees of turns -----------------------------------------------------------------------------------


def test_branches_are_those_of_a_plain_tree(history: History) -> None:
    """Random conversations that branch anywhere: each way to the root, beside a dictionary."""
    source = random.Random(3)
    parents: dict[int, int | None] = {}
    talks: dict[int, list[int]] = {}
    for step in range(24):
        talk = source.choice([None, *talks])
        parent = source.choice([None, *talks[talk]]) if talk else None
        place = history.record(turn(f"step {step}", conversation=talk, parent=parent))
        last = talks.setdefault(place.conversation, [])
        parents[place.turn] = parent or (last[-1] if last else None)
        last.append(place.turn)
    for talk, numbers in talks.items():
        assert [one.id for one in history.all_turns(talk)] == numbers
        for number in numbers[-3:]:
            way: list[int] = []
            at: int | None = number
            while at is not None:
                way.insert(0, at)
                at = parents[at]
            found = history.turns(talk, number)
            assert [one.id for one in found] == way
            assert [one.parent for one in found] == [None, *way[:-1]]
        assert history.turns(talk) == history.turns(talk, numbers[-1])
        assert history.conversation(talk).turns == len(numbers)


def test_turns_of_another_conversation_are_not_shown(history: History) -> None:
    """Nor those that are not there."""
    first, second = history.record(turn("one")), history.record(turn("two"))
    assert history.turns(first.conversation, second.turn) == []
    assert history.turns(first.conversation, 99) == []
    assert history.turns(99) == history.all_turns(99) == []


def test_recorded_turns_never_change(history: History) -> None:
    """The database itself refuses, so that the index stays right."""
    history.record(turn("one"))
    with closing(sqlite3.connect(history.database)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="turns are not changed"):
            connection.execute("UPDATE turn SET answer = 'other'")
        connection.rollback()
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM conversation")
        assert connection.execute("SELECT count(*) FROM turn").fetchone() == (0,)
        connection.rollback()


def test_numbers_grow(history: History) -> None:
    """The number of a conversation that is gone for good is never another's."""
    numbers = []
    for step in range(5):
        numbers.append(history.record(turn(f"{step}")).conversation)
        history.erase(numbers[-1])
    assert numbers == sorted(set(numbers))
    with pytest.raises(NotFoundError):
        history.erase(numbers[0])


# Times --------------------------------------------------------------------------------------------


def test_moments_sort_as_they_pass(history: History) -> None:
    """UTC with milliseconds, so that texts in their order are moments in theirs."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    history.record(turn("one"))
    ((created, updated, made),) = rows(
        history,
        "SELECT c.created, c.updated, turn.created FROM conversation c JOIN turn "
        "ON turn.conversation = c.id",
    )
    assert created == updated == made
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(created))
    assert before <= datetime.fromisoformat(str(created)) <= datetime.now(UTC)


@pytest.mark.parametrize(("days", "stays"), [(KEPT_DAYS - 1, True), (KEPT_DAYS + 1, False)])
def test_the_bin_keeps_its_days(history: History, days: int, stays: bool) -> None:
    """What has been in it for longer goes with the next question, its words included."""
    number = history.record(turn("an old xylophone")).conversation
    history.remove(number)
    moment = datetime.now(UTC) - timedelta(days=days)
    with closing(sqlite3.connect(history.database)) as connection, connection:
        connection.execute(
            "UPDATE conversation SET deleted = ?", (f"{moment:%Y-%m-%dT%H:%M:%S.000Z}",)
        )
    history.record(turn("a new one"))
    left = rows(history, "SELECT id FROM conversation WHERE deleted IS NOT NULL")
    assert left == ([(number,)] if stays else [])
    found = rows(history, "SELECT rowid FROM turn_text WHERE turn_text MATCH 'xylophone'")
    assert bool(found) is stays


def test_looking_removes_nothing(history: History) -> None:
    """However old the bin is: only what is asked changes anything."""
    history.remove(history.record(turn("one")).conversation)
    with closing(sqlite3.connect(history.database)) as connection, connection:
        connection.execute("UPDATE conversation SET deleted = '2001-01-01'")
    assert len(history.conversations(deleted=True)) == 1
    assert history.search("one") == []
    assert len(history.conversations(deleted=True)) == 1


# Texts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "\0", "a\0b", "\n", "\r\n", "é", "e\u0301", "\u202e", "\x1b[0m", "\udce9",
     "a\udcff\udc80b", "'; DROP TABLE turn; --", "日本語", "\U0001f600", "x" * 100_000,
     "\ufeff", "%s {0} $x"],
)  # fmt: skip
def test_answers_come_back_to_the_byte(history: History, text: str) -> None:
    """Whatever a model made; bytes that are no characters are kept beside what can be searched."""
    place = history.record(turn("Q", text))
    (found,) = history.turns(place.conversation)
    assert found.turn.answer == text
    ((answer, raw),) = rows(history, "SELECT answer, answer_bytes FROM turn")
    assert isinstance(answer, str)
    stray = any(0xD800 <= ord(char) < 0xE000 for char in text)
    assert raw == (text.encode("utf-8", "surrogateescape") if stray else None)


def test_random_turns_come_back(history: History) -> None:
    """Every field, of characters of all kinds."""
    source = random.Random(12)

    def text() -> str:
        return "".join(source.choices("aé日\U0001f600 \n\t\x1b\0\"'\\", k=source.randrange(12)))

    for _ in range(40):
        made = turn(
            text(), text(), reasoning=text(), error=text(), origin=text(), system=text(),
            context=[Message("user", text()) for _ in range(source.randrange(3))],
            experts=tuple(
                ExpertUse(text(), text(), source.uniform(-2, 2), text())
                for _ in range(source.randrange(3))
            ),
            route={text(): [text(), source.random(), None, True]},
            sampling=Sampling(source.random(), 5, source.random(), 0.25, 1.5, 7, 2**32 - 1),
            timings=Timings(source.random(), 1e-9, 1e9, 1, 2, 3),
            finish=source.choice(("stop", "length", "cancelled", "timeout", "failed")),
        )  # fmt: skip
        place = history.record(made)
        (found,) = history.turns(place.conversation)
        wanted = replace(made, conversation=place.conversation)
        assert found.turn == wanted
        assert found.partial is (made.finish != "stop")
        json.dumps(turn_record(found), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("x" * TITLE, "x" * TITLE),
        ("x" * (TITLE + 1), "x" * (TITLE - 1) + "…"),
        ("word " * 30, ("word " * 30)[: TITLE - 1].rstrip() + "…"),
        (" \n\t ", "(empty)"),
        ("\x1b]0;t\x07", "␛]0;t␇"),
        ("a\n\n\nb", "a b"),
        ("\udce9", "\ufffd"),
        ("日" * 61, "日" * 59 + "…"),
        ("\n" * 5000 + "late", "(empty)"),
    ],
)
def test_titles_of_prompts(history: History, prompt: str, title: str) -> None:
    """One harmless line of at most sixty characters, cut between words where that is easy."""
    place = history.record(turn(prompt))
    assert history.conversation(place.conversation).title == title


# Searching ----------------------------------------------------------------------------------------


def test_words_are_found_as_fts5_finds_them(history: History) -> None:
    """Random words of random turns, beside a query of our own to the index."""
    source = random.Random(21)
    words = ["zebra", "apple", "Äpfel", "naïve", "x1", "snake_case", "don't", "日本", "the"]
    for _ in range(40):
        history.record(turn(" ".join(source.choices(words, k=5)), " ".join(source.choices(words))))
    for _ in range(60):
        asked = source.sample(words[:5], k=source.randrange(1, 4))
        wanted = rows(
            history,
            "SELECT rowid FROM turn_text WHERE turn_text MATCH ?",
            " ".join(f'"{word}"' for word in asked),
        )
        found = history.search(" ".join(asked), 100)
        assert {hit.turn for hit in found} >= {number for (number,) in wanted}
        indexed = [hit for hit in found if FOUND in hit.snippet]
        assert len(indexed) == len(wanted)
        for hit in indexed:
            assert hit.snippet.count(FOUND) == hit.snippet.count(END) >= 1


@pytest.mark.parametrize(
    ("query", "expression"),
    [
        ("a", '(("a"))'),
        ("a b", '(("a" AND "b"))'),
        ("a AND b", '(("a" AND "b"))'),
        ("a OR b", '(("a")) OR (("b"))'),
        ("a -b", '(("a") NOT "-b")'),
        ("a NOT b c", '(("a" AND "c") NOT "b")'),
        ('"a b"', '(("a b"))'),
        ('"a b"*', '(("a b*"*))'),
        ("-a", '("-a")'),
        ("NOT a", '("a")'),
        ('a "open', '(("a" AND "open"))'),
        ("OR", None),
        ("NOT", None),
        ("OR a OR", '(("a"))'),
        ("-", None),
        ("", None),
        ("a*", '(("a*"*))'),
        ("*", None),
        ("a\0b", '(("a b"))'),
    ],
)
def test_expressions(query: str, expression: str | None) -> None:
    """What people type, as FTS5 reads it; the operators of FTS5 itself stay within strings."""
    assert match_expression(query) == expression


def test_only_so_many_terms() -> None:
    """More would only make a search slow."""
    found = match_expression(" ".join(f"w{n}" for n in range(100)))
    assert found is not None and found.count('"') == 2 * MOST_TERMS
    assert match_expression(" OR ".join("abcdefgh" * 20)) is not None


def test_a_damaged_database(history: History) -> None:
    """Is said to be one, and never repaired by guessing."""
    history.record(turn("one"))
    history.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    for path in history.database.parent.glob("expert.db-*"):
        path.unlink()
    with pytest.raises(VerificationError):
        history.conversations()
    assert history.database.read_bytes()[16:32] == b"\xff" * 16


# Going on and writing out -------------------------------------------------------------------------


def test_messages_of_a_conversation() -> None:
    """The last system prompt, what came before the first turn, and all that was said since."""
    first = replace(recorded(), turn=turn("1", "a", system="Old.", context=[Message("user", "0")]))
    second = replace(recorded(), turn=turn("2", "b", system="New."))
    assert as_messages(()) == ()
    assert as_messages((first, second)) == (
        Message("system", "New."), Message("user", "0"),
        Message("user", "1"), Message("assistant", "a"),
        Message("user", "2"), Message("assistant", "b"),
    )  # fmt: skip
    assert as_messages((replace(recorded(), turn=turn("1", "a")),))[0].role == "user"


@pytest.mark.parametrize(
    ("finish", "error", "words"),
    [
        ("stop", "", "complete"),
        ("length", "", "cut at its longest"),
        ("cancelled", "", "interrupted"),
        ("timeout", "", "the time limit ran out"),
        ("failed", "", "failed"),
        ("failed", "No \x1b[2Jmemory.\nTry again.", "No ␛[2Jmemory. Try again."),
        ("odd", "", "odd"),
    ],
)
def test_how_an_answer_ended(finish: str, error: str, words: str) -> None:
    """In words for one line."""
    assert ending(recorded(finish, error=error)) == words


def test_who_answered() -> None:
    """The base, then each expert with version and scale where these say something."""
    uses = (
        ExpertUse("acme/sql", "ab", 0.5, "1.2.0"), ExpertUse("bare", "cd", 1.0),
        ExpertUse("x\x1b\n", "ef", -1.25, ""),
    )  # fmt: skip
    assert who(recorded(experts=uses)) == "tiny + acme/sql@1.2.0:0.5 + bare + x␛:-1.25"
    assert who(recorded(model="\x1b[2J")) == "␛[2J"


def test_markdown_repeats_no_system_prompt() -> None:
    """It stands where it changes, and what was said stands unchanged between empty lines."""
    talk = Conversation(1, "T\n# x", "c", "u", None, 3)
    turns = [
        replace(recorded(), turn=turn("Q1", "# A1", system="S")),
        replace(recorded(), turn=turn("Q2\n\nmore", "A2", system="S")),
        replace(recorded(), turn=turn("Q3", "half", system="", finish="length")),
    ]
    text = as_markdown(talk, turns)
    assert text == (
        "# T # x\n\n## System\n\nS\n\n## You, 2026-01-02T03:04:05.678Z\n\nQ1\n\n## tiny\n\n# A1\n"
        "\n## You, 2026-01-02T03:04:05.678Z\n\nQ2\n\nmore\n\n## tiny\n\nA2\n"
        "\n## System\n\n\n\n## You, 2026-01-02T03:04:05.678Z\n\nQ3\n\n## tiny\n\nhalf\n"
        "\n*Not complete: cut at its longest.*\n"
    )
    assert as_markdown(talk, []) == "# T # x\n"


def test_a_record_says_all() -> None:
    """What a record holds is enough to ask the same again."""
    made = recorded(
        system="S", experts=(ExpertUse("a", "d", 0.5, "1"),), context=[Message("user", "x")]
    )
    found = as_record(Conversation(1, "T", "c", "u", None, 1), [made])
    (one,) = found["turns"]
    assert Sampling(**one["params"]) == made.turn.sampling and one["seed"] == 7
    assert one["experts"] == [asdict(made.turn.experts[0])]
    assert (one["system"], one["context"]) == ("S", [{"role": "user", "content": "x"}])
    assert one["model"] == {"name": "tiny", "path": "/m"}
    assert {"title": "T", "id": 1, "deleted": None}.items() <= found.items()
