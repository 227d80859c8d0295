"""Commands, mentions and completion in the chat, driven by keys."""

from pathlib import Path

import pytest

from expert.errors import NotFoundError
from expert.tui.app import HELP, ExpertApp
from expert.tui.commands import COMMANDS
from expert.tui.screens.help import HelpScreen
from expert.tui.screens.models import ModelsScreen
from expert.tui.slash import ACTS
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.suggestions import Suggestions
from expert.types import Delta
from support.tui import FakeBackend, Pilot, drive, shown, until


async def enter(app: ExpertApp, pilot: Pilot[None], text: str) -> None:
    """Write a line and send it."""
    app.chat.query_one(Prompt).put(text)
    await pilot.press("enter")
    await pilot.pause()


async def ask(app: ExpertApp, pilot: Pilot[None], text: str) -> None:
    """Ask a question and wait for its answer."""
    await enter(app, pilot, text)
    await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[-1].finished)
    await until(pilot, lambda: app.chat.answering is None)


def names(backend: FakeBackend, number: int) -> list[tuple[str, float]] | None:
    """Return who was asked, with their scales; None: whoever fits."""
    experts = backend.requests[number].experts
    return None if experts is None else [(choice.name, choice.scale) for choice in experts]


def test_every_command_does_something() -> None:
    """What help lists is what is obeyed."""
    assert set(ACTS) == {command.name for command in COMMANDS}


def test_who_answers_is_chosen_by_hand() -> None:
    """/expert and /scale count from then on; alone, whoever fits answers again."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await enter(app, pilot, "/scale sql 2")
        await until(pilot, lambda: "No experts are chosen by hand." in shown(app))
        app.chat.query_one(Prompt).text = ""
        for line in ("/expert sql regex", "/scale 2 0.5", "/scale sql 2"):
            await enter(app, pilot, line)
        await until(pilot, lambda: "● sql:2 + regex:0.5" in shown(app).splitlines()[0])
        await ask(app, pilot, "one")
        await enter(app, pilot, "/expert none")
        await until(pilot, lambda: "The base itself answers from now on." in shown(app))
        await ask(app, pilot, "two")
        await enter(app, pilot, "/expert")
        await ask(app, pilot, "three")

    drive(backend, steps)
    assert [names(backend, n) for n in range(3)] == [[("sql", 2.0), ("regex", 0.5)], [], None]


def test_wrong_commands_stay_in_the_prompt() -> None:
    """What is wrong is said, and the line is there to be mended."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        prompt = app.chat.query_one(Prompt)
        await enter(app, pilot, "/expert sql")
        await enter(app, pilot, "/nothing")
        await until(pilot, lambda: "There is no command /nothing." in shown(app))
        for line in ("/scale", "/scale 2 1", "/scale sql nan", "/scale sql much"):
            await enter(app, pilot, line)
            assert prompt.text == line
            prompt.text = ""
        await until(pilot, lambda: "Chosen: 1. sql." in shown(app))
        backend.damage = NotFoundError("There is no expert x.")
        await enter(app, pilot, "/expert x")

    drive(backend, steps)
    assert backend.requests == []


def test_new_copy_export_and_retry() -> None:
    """They act on the conversation as their keys do; on an empty one they say so."""
    backend = FakeBackend([["One."], ["Two."], ["Three."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        for line in ("/copy", "/retry", "/export"):
            await enter(app, pilot, line)
        text = shown(app)
        assert "nothing to copy" in text and "to ask again" in text and "to export" in text
        await ask(app, pilot, "question")
        await enter(app, pilot, "/copy")
        assert app.clipboard == "One."
        await enter(app, pilot, "/export")
        await until(pilot, lambda: "Exported to question.md." in shown(app))
        await enter(app, pilot, "/retry")
        await until(pilot, lambda: [t.answer.text for t in app.chat.turns] == ["Two."])
        await until(pilot, lambda: app.chat.answering is None)
        await enter(app, pilot, "/retry sql")
        await until(pilot, lambda: [t.answer.text for t in app.chat.turns] == ["Three."])
        await until(pilot, lambda: app.chat.answering is None)
        await enter(app, pilot, "/new")
        await until(pilot, lambda: not app.chat.turns)

    drive(backend, steps)
    assert [names(backend, n) for n in range(3)] == [None, None, [("sql", 1.0)]]
    assert [request.messages[-1].content for request in backend.requests] == ["question"] * 3


def test_model_help_and_quit() -> None:
    """/model with a name and without, /help, /quit."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await enter(app, pilot, "/model big")
        await until(pilot, lambda: "big" in shown(app).splitlines()[0])
        await enter(app, pilot, "/model")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen))
        await pilot.press("escape")
        await enter(app, pilot, "/help")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        for command in COMMANDS:
            assert command.line in shown(app)
        await pilot.press("f1")
        await until(pilot, lambda: app.in_chat)
        await enter(app, pilot, "/quit")
        assert app._exit

    drive(backend, steps)
    assert backend.model == "big"


def test_a_file_goes_with_its_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """@FILE attaches it; the next question still knows what was in it; one that cannot be
    attached keeps the question back."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("milk\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    backend = FakeBackend([["Yes."], ["Also."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await enter(app, pilot, "see @picture.png")
        await until(pilot, lambda: "picture.png is not text" in shown(app))
        assert app.chat.query_one(Prompt).text == "see @picture.png"
        await ask(app, pilot, "sum up @notes.txt")
        assert "❯ sum up @notes.txt" in shown(app)
        await ask(app, pilot, "more")

    drive(backend, steps)
    first, second = backend.requests
    assert [(file.name, file.text) for file in first.attachments] == [("notes.txt", "milk\n")]
    assert first.messages[-1].content == "sum up notes.txt"
    assert second.attachments == ()
    assert [message.content for message in second.messages] == [
        "notes.txt:\n```\nmilk\n```\n\nsum up notes.txt", "Yes.", "more",
    ]  # fmt: skip


def test_an_expert_named_in_the_question_answers_it() -> None:
    """@NAME leaves the choice to the router, which reads it, for this question alone; and the
    router is told who answered before."""
    backend = FakeBackend([["One."], ["Two."], [Delta("Three.")]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await enter(app, pilot, "/expert sql")
        for question in ("one", "@regex two", "three"):
            await ask(app, pilot, question)

    drive(backend, steps)
    assert [names(backend, n) for n in range(3)] == [[("sql", 1.0)], [("sql", 1.0)], [("sql", 1.0)]]
    backend = FakeBackend([["One."], ["Two."], [Delta("Three.")]])

    async def named(app: ExpertApp, pilot: Pilot[None]) -> None:
        await enter(app, pilot, "/expert sql")
        for question in ("one", "@sql two", "three"):
            await ask(app, pilot, question)

    drive(backend, named)
    assert [names(backend, n) for n in range(3)] == [[("sql", 1.0)], None, [("sql", 1.0)]]
    assert [request.previous for request in backend.requests] == [None, "sql", None]


def test_completing_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tab takes what is offered, arrows choose another, Esc wants none; Tab then goes on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sqlite.db").touch()
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        prompt, offered = app.chat.query_one(Prompt), app.chat.query_one(Suggestions)
        await pilot.press("slash", "e")
        await until(pilot, lambda: "/export" in shown(app))
        await pilot.press("down", "up", "up", "tab")
        assert prompt.text == "/export " and not offered.chosen
        prompt.text = ""
        await pilot.press("slash", "e", "x", "p", "tab")
        await until(pilot, lambda: prompt.text == "/expert ")
        await pilot.press("s", "tab")
        await until(pilot, lambda: prompt.text == "/expert sql ")
        prompt.text = ""
        await pilot.press("a", "space", "at", "s")
        await until(pilot, lambda: "@sqlite.db" in shown(app))
        await pilot.press("escape")
        assert not offered.has_class("-shown") and prompt.text == "a @s"
        await pilot.press("q", "down", "tab")
        await until(pilot, lambda: prompt.text == "a @sqlite.db ")
        assert not offered.chosen
        await pilot.press("tab")
        assert app.focused is not prompt

    drive(backend, steps)


def test_an_editor_needs_a_terminal_that_can_be_lent() -> None:
    """Where there is none, it is said, and nothing is lost."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.chat.query_one(Prompt).put("text")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "cannot be lent to an editor" in shown(app))
        assert app.chat.query_one(Prompt).text == "text"

    drive(FakeBackend(), steps)


def test_the_page_about_the_chat() -> None:
    """It has every command, and names only keys that are bound."""
    page = (Path(__file__).parents[2] / "docs" / "chat.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"| `/{command.name}" in page
    keys = {row[0] for _, rows in HELP for row in rows}
    for key in ("F1", "Tab", "Ctrl+G", "Alt+Up", "y", "r", "e", "w", "x"):
        assert f"`{key}`" in page and key in keys
