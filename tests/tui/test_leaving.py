"""Leaving what is being answered: for another conversation, for another base, for good."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from textual.events import Paste

from expert.assistant import Assistant
from expert.config import load_config, save_setting
from expert.errors import ExpertError, UsageError
from expert.history.history import History
from expert.tui.app import ExpertApp
from expert.tui.commands import place
from expert.tui.local import LocalAnswers, LocalPast
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.status import StatusLine
from expert.types import Delta, Request
from support.tui import FakeAnswering, FakeBackend, Pilot, drive, shown, type_text, until


async def begin(app: ExpertApp, pilot: Pilot[None], text: str) -> None:
    """Ask a question and wait until it is on the screen."""
    before = len(app.chat.turns)
    await type_text(pilot, text)
    await pilot.press("enter")
    await until(pilot, lambda: len(app.chat.turns) > before)


@pytest.mark.parametrize("late", ["two", Delta("late thoughts", True)])
def test_a_new_conversation_does_not_go_on_with_the_old_one(late: str | Delta) -> None:
    """The answer that was left ends where it belongs, whatever of it still comes."""
    gate = threading.Event()
    backend = FakeBackend([["one ", gate, late, "three"], ["new answer"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await begin(app, pilot, "old")
        await until(pilot, lambda: app.chat.turns[0].answer.text == "one ")
        answering = app.chat.answering
        assert isinstance(answering, FakeAnswering)
        await pilot.press("ctrl+n")
        assert answering.stopped and app.chat.answering is None
        answering.stopped = False  # a model that does not hear of it at once
        gate.set()
        await until(pilot, lambda: 1 in backend.stored)
        await pilot.pause()
        assert app.chat.how.talk is None and app.chat.turns == []
        await begin(app, pilot, "new")
        await until(pilot, lambda: app.chat.turns[0].finished)
        assert "new answer" in shown(app) and "three" not in shown(app)

    drive(backend, steps)
    assert [request.conversation for request in backend.requests] == [None, None]
    assert [m.content for m in backend.requests[1].messages] == ["new"]
    assert {talk: turns[0].question for talk, turns in backend.stored.items()} == {
        1: "old",
        2: "new",
    }


def test_another_conversation_is_opened_while_one_is_answered() -> None:
    """What is asked then goes on with the one on the screen."""
    gate = threading.Event()
    backend = FakeBackend([["kept"], ["one ", gate, "two"], ["more"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await begin(app, pilot, "first")
        await until(pilot, lambda: app.chat.turns[0].finished)
        await pilot.press("ctrl+n")
        await begin(app, pilot, "second")
        await until(pilot, lambda: app.chat.turns[0].answer.text == "one ")
        await app.chat.open(1)
        gate.set()
        await until(pilot, lambda: 2 in backend.stored)
        await pilot.pause()
        assert app.chat.how.talk == 1
        await begin(app, pilot, "third")
        await until(pilot, lambda: app.chat.turns[-1].finished)

    drive(backend, steps)
    assert backend.requests[2].conversation == 1
    assert [m.content for m in backend.requests[2].messages] == ["first", "kept", "third"]


def test_an_answer_that_cannot_begin_leaves_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the question is still there to be sent again."""
    backend = FakeBackend()

    def refuse(request: Request) -> FakeAnswering:
        raise UsageError("Not now.", "", "Later.")

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(backend, "ask", refuse)
            await type_text(pilot, "q")
            await pilot.press("enter")
            await until(pilot, lambda: "Not now." in shown(app))
            assert app.chat.turns == [] and app.chat.answering is None
            assert app.chat.query_one(Prompt).text == "q"
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[0].finished)

    drive(backend, steps)


def test_a_turn_whose_file_is_gone_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, it is told what is wrong with the file; the answer that there was is kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.chat.query_one(Prompt).put("read @notes.txt")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[0].finished)
        (tmp_path / "notes.txt").write_bytes(b"\xff\xfe\0")
        app.chat.query_one(Prompt).put("/retry")
        await pilot.press("enter")
        await until(pilot, lambda: "not text in UTF-8" in shown(app))
        assert [turn.answer.text for turn in app.chat.turns] == ["Forty-two."]

    drive(backend, steps)
    assert len(backend.requests) == 1


def test_leaving_while_the_base_loads_is_leaving() -> None:
    """Nobody is told then, and nothing fails."""
    gate = threading.Event()

    class Slow(FakeBackend):
        """A backend whose base takes its time."""

        @property
        def base(self):  # type: ignore[no-untyped-def]  # as the one it covers
            gate.wait(20)
            return super().base

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        assert "loading …" in shown(app)
        threading.Timer(0.2, gate.set).start()
        await pilot.press("ctrl+q")

    drive(Slow(), steps)


@pytest.mark.parametrize("word", ["1" * 5000, "0", "-1", "3", "٣", "²", "1.0", "", "9" * 20])
def test_numbers_of_no_expert_are_none(word: str) -> None:
    """However long they are, and whatever digits they are written in."""
    assert place(word, ["acme/sql", "json"]) is None
    assert place("2", ["acme/sql", "json"]) == 1 == place("json", ["acme/sql", "json"])


@pytest.mark.parametrize("title", ["日本語の長い題名" * 6, "e\u0301" * 60, "x" * 90])
@pytest.mark.parametrize("width", [40, 60])
def test_a_title_of_wide_characters_gives_way(title: str, width: int) -> None:
    """What answers is to be seen beside it, in cells and not in characters."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.chat.status.base is not None)
        app.chat.query_one(StatusLine).title = title
        await pilot.pause()
        assert shown(app).splitlines()[0].rstrip().endswith("· pocket · ○ base")
        assert "…" in shown(app).splitlines()[0]

    drive(FakeBackend(), steps, (width, 10))


PASTES = {
    "an escape": "\x1b[31mred\x1b]0;title\x07",
    "two lines": "one\r\ntwo\rthree\n",
    "wide": "日本語 e\u0301 \u202eabc",
    "zeros": "a\0b\x7f",
    "long": "word " * 4000,
}


@pytest.mark.parametrize("what", PASTES)
def test_whatever_is_pasted_is_shown_inert_and_asked(what: str) -> None:
    """In a small terminal as well; the model gets it but for its ends."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.post_message(Paste(PASTES[what]))
        await until(pilot, lambda: bool(app.chat.query_one(Prompt).text))
        assert not set(shown(app)) & set("\x1b\x07\0\x7f\r\u202e")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[-1].finished)
        assert not set(shown(app)) & set("\x1b\x07\0\x7f\r\u202e")

    drive(backend, steps, (40, 10))
    asked = backend.requests[0].messages[-1].content
    assert asked.split() == PASTES[what].split()


def test_another_base_keeps_what_the_command_line_said(tiny_path: Path) -> None:
    """And takes what the settings say now about all else."""
    config = replace(load_config(), context=256, threads=1)
    answers = LocalAnswers(Assistant(tiny_path, config))
    try:
        save_setting("max_tokens", "7")
        save_setting("threads", "2")
        answers.use_model(str(tiny_path))
        used = answers._assistant.config  # what it answers with is told nowhere else
        assert (used.context, used.threads, used.max_tokens) == (256, 1, 7)
    finally:
        answers.close()


def test_a_history_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """The list of conversations is empty then, and the chat goes on."""
    (tmp_path / "expert.db").write_bytes(b"no database" * 100)
    past = LocalPast(History(tmp_path / "expert.db", tmp_path / ".lock"))
    for use in (past.talks, lambda: past.talks("x"), lambda: past.turns(1), lambda: past.export(1)):
        with pytest.raises(ExpertError, match="damaged"):
            use()
    for change in (past.delete, past.restore, lambda talk: past.rename(talk, "x")):
        with pytest.raises(ExpertError, match="damaged"):
            change(1)
