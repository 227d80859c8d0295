"""Facts in few words, questions as requests, and answers on their way to the screen."""

import asyncio
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from expert.errors import ExpertError, ResourceError
from expert.history.records import Conversation, Recorded
from expert.history.records import Turn as Kept
from expert.tui import local
from expert.tui.answering import events_of
from expert.tui.asking import How
from expert.tui.backend import route_facts
from expert.tui.mentions import Mentioned, files_like, read_mentions, written
from expert.tui.widgets.answer import OpenFence
from expert.tui.widgets.turn import Turn
from expert.tui.words import named, size, tokens, took
from expert.types import (
    Answer,
    Attachment,
    Delta,
    Done,
    Event,
    ExpertChoice,
    ExpertUse,
    Finish,
    Message,
    Plan,
    Route,
    Sampling,
    Timings,
)

ANSWER = Answer("x", "", "stop", Sampling(), Path("m.gguf"), Timings(0, 0, 2.0, 12, 4, 21))


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (812, "812"), (999, "999"), (1000, "1.0k"), (2048, "2.0k"), (9949, "9.9k"),
     (10_000, "10k"), (32_768, "33k"), (131_072, "131k"), (1_048_576, "1049k")],
)  # fmt: skip
def test_numbers_of_tokens(count: int, text: str) -> None:
    """Whole below a thousand; then thousands, with a decimal while it says something."""
    assert tokens(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (9_133_600, "9.1 MB"),
     (639_000_000, "639.0 MB"), (4_200_000_000, "4.2 GB"), (7_000_000_000_000, "7000.0 GB")],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    """In units of a thousand, as disks are sold."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("finish", "end"),
    [("stop", ""), ("length", " · cut at its longest"), ("cancelled", " · stopped"),
     ("timeout", " · time ran out")],
)  # fmt: skip
def test_what_an_answer_took(finish: Finish, end: str) -> None:
    """Who, how much in and out, how quickly, and how it ended if that was early."""
    assert took(replace(ANSWER, finish=finish)) == f"base · ↑12 ↓21 · 10 tok/s{end}"
    uses = (ExpertUse("a/sql", "", 1.0), ExpertUse("b\x1b\n", "", 0.5))
    assert took(replace(ANSWER, experts=uses)).startswith("a/sql + b␛ · ")
    assert took(replace(ANSWER, timings=Timings())) == "base · ↑0 ↓0"


def test_experts_by_name() -> None:
    """Scales that are not 1, and how sure the router was, where it was asked."""
    chosen = (ExpertChoice(Path("sql.gguf"), 0.5), ExpertChoice(Path("json.gguf")))
    assert named(chosen) == "sql:0.5 + json"
    assert named(chosen, {"json": 0.834}) == "sql:0.5 + json (0.83)"
    assert named(()) == ""


def test_facts_of_a_plan() -> None:
    """The reasons of the route; without any the plan's own."""
    choice = ExpertChoice(Path("sql.gguf"))
    plan = Plan(Sampling(), 1, (choice,), "you asked for it", Route((("sql", 0.9),)))
    assert route_facts(plan).reasons == ("you asked for it",)
    routed = replace(plan, route=Route((("sql", 0.9),), ("a word",)))
    facts = route_facts(routed)
    assert (facts.chosen, facts.candidates) == (("sql",), (("sql", 0.9),))
    assert facts.reasons == ("a word",)


# Days and turns of the past -----------------------------------------------------------------------


def test_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today and yesterday by their names, others by their date, as the clock on the wall says."""
    now = datetime.now(UTC).astimezone()

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # it does not go on
            return now

    monkeypatch.setattr(local, "datetime", Stopped)
    for ago, name in ((0, "Today"), (1, "Yesterday"), (2, None), (400, None), (-1, None)):
        day = now.date() - timedelta(days=ago)
        assert local._day(day) == (name or day.isoformat())
    talk = local._talk(Conversation(3, "T", "x", now.astimezone(UTC).isoformat(), None, 1))
    assert (talk.id, talk.title, talk.when) == (3, "T", "Today")


def test_a_turn_of_the_past() -> None:
    """Who answered, what it took, and that it was cut short."""
    kept = Kept(
        "Q", "A", "length", Sampling(), "tiny", "/m", "hm",
        experts=(ExpertUse("a/sql", "", 0.5, "1.0"), ExpertUse("b", "", 1.0)),
        timings=Timings(prompt_tokens=7, answer_tokens=9),
    )  # fmt: skip
    facts = local._turn(Recorded(5, 1, None, "x", kept))
    assert (facts.id, facts.question, facts.answer, facts.reasoning) == (5, "Q", "A", "hm")
    assert facts.expert == "a/sql"
    assert facts.footer == "tiny + a/sql@1.0:0.5 + b · ↑7 ↓9 · cut at its longest"
    whole = local._turn(Recorded(5, 1, None, "x", replace(kept, finish="stop", experts=())))
    assert (whole.expert, whole.footer) == ("", "tiny · ↑7 ↓9")


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "true"), (False, "false"), (5, "5"), ("x", "x")]
)
def test_settings_as_text(value: object, text: str) -> None:
    """As the settings file has them; nothing is an empty line."""
    assert local._text(value) == text


# Questions ----------------------------------------------------------------------------------------


def turn(question: str, answer: str = "", **more: object) -> Turn:
    """Return a turn on the screen."""
    made = Turn(question, answer)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_question_becomes_a_request() -> None:
    """What was said comes before it; a question without an answer was not said."""
    chosen = (ExpertChoice(Path("sql.gguf")),)
    how = How(chosen, "Be brief.", think=True, talk=4)
    file = Attachment("f", "text")
    turns = [
        turn("one", "1", recorded=7, expert="a/sql", message="one, as it was read"),
        turn("two", recorded=None),
        turn("three", "3", recorded=9, expert=""),
    ]
    request = how.request(Mentioned("four", (file,)), turns)
    assert list(request.messages) == [
        Message("system", "Be brief."),
        Message("user", "one, as it was read"), Message("assistant", "1"),
        Message("user", "three"), Message("assistant", "3"),
        Message("user", "four"),
    ]  # fmt: skip
    assert (request.experts, request.attachments, request.think) == (chosen, (file,), True)
    assert (request.conversation, request.parent, request.previous) == (4, 9, None)
    assert request.truncate and request.origin == "tui"


def test_who_answered_before_counts() -> None:
    """The last turn alone; an expert in the question itself counts more than all of it."""
    how = How((ExpertChoice(Path("sql.gguf")),))
    request = how.request(Mentioned("@json x", names_expert=True), [turn("q", "a", expert="a/sql")])
    assert (request.experts, request.previous, request.parent) == (None, "a/sql", None)
    first = how.request(Mentioned("x"), [])
    assert [message.content for message in first.messages] == ["x"]
    assert (first.previous, first.conversation) == (None, None)


# Answers on their way -----------------------------------------------------------------------------


class Scripted:
    """An answer that gives events, and an error at the end if there is one."""

    def __init__(self, *events: Event, error: BaseException | None = None) -> None:
        self._events = events
        self._error = error
        self.thread = 0

    def __iter__(self) -> Iterator[Event]:
        self.thread = threading.get_ident()
        yield from self._events
        if self._error:
            raise self._error

    def stop(self) -> None:
        raise AssertionError("nobody stops it")


def gathered(answering: Scripted) -> list[Event]:
    """Return what comes on an event loop."""

    async def gather() -> list[Event]:
        return [event async for event in events_of(answering)]

    return asyncio.run(gather())


def test_events_come_in_order_from_a_thread() -> None:
    """All of them, and the loop's own thread is never held up by the model."""
    events: list[Event] = [*(Delta(str(n)) for n in range(500)), Done(ANSWER)]
    answering = Scripted(*events)
    assert gathered(answering) == events
    assert answering.thread != threading.get_ident()
    assert gathered(Scripted()) == []


@pytest.mark.parametrize(
    "error", [ResourceError("Memory is short."), ExpertError("x"), ValueError("x"), KeyError("x")]
)
def test_errors_come_after_what_was_there(error: Exception) -> None:
    """Nothing that was said before is lost, and the error is the one that was raised."""
    seen: list[Event] = []

    async def gather() -> None:
        async for event in events_of(Scripted(Delta("a"), Delta("b"), error=error)):
            seen.append(event)

    with pytest.raises(type(error)) as caught:
        asyncio.run(gather())
    assert caught.value is error
    assert seen == [Delta("a"), Delta("b")]


# Mentions and fences, at random -------------------------------------------------------------------


def test_random_file_names_are_mentioned_and_found_again(tmp_path: Path) -> None:
    """Whatever is offered for a name is read back as that file, beside other words."""
    source = random.Random(14)
    names: set[str] = set()
    while len(names) < 60:
        name = "".join(source.choices("ab .,-_()'!?é日#&$%+=[]{}~@:;", k=source.randrange(1, 9)))
        if name.strip(". ") and not name.startswith("~"):
            names.add(name)
    for name in sorted(names):
        (tmp_path / name).write_text(name)
        found = read_mentions(f"see {written(name)} and go", (), tmp_path)
        assert [(file.name, file.text) for file in found.files] == [(name, name)]
        assert found.text == f"see {name} and go"
    listed = list(files_like("", tmp_path, 1000))
    assert listed == sorted(name for name in names if not name.startswith("."))
    for name in sorted(names)[:20]:
        assert name in list(files_like(name[:1], tmp_path, 1000))


def test_an_open_fence_as_markdown() -> None:
    """However many backticks stand in its code, a parser finds the same code in it."""
    from markdown_it import MarkdownIt

    source = random.Random(15)
    for _ in range(300):
        fence = OpenFence(source.choice(["", "py", "c++"]))
        code = "".join(
            source.choices(["`", "``", "```", "\n", "x", " y", "~~~"], k=source.randrange(8))
        )
        fence._code.append(code)
        (token,) = MarkdownIt("commonmark").parse(fence.markdown)
        assert (token.type, token.info) == ("fence", fence.info)
        assert token.content == (code if code.endswith("\n") or not code else f"{code}\n")
