"""Screens beside the conversation: experts, models, settings, history, help, the palette."""

import threading

from textual.widgets import Input, OptionList

from expert.errors import UsageError
from expert.tui.app import ExpertApp
from expert.tui.screens.experts import ExpertsScreen
from expert.tui.widgets.prompt import Prompt
from support.tui import FakeBackend, Pilot, drive, shown, type_text, until


async def ask(app: ExpertApp, pilot: Pilot[None], text: str) -> None:
    """Ask a question and wait for its answer."""
    await type_text(pilot, text)
    await pilot.press("enter")
    await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[-1].finished)
    await until(pilot, lambda: app.chat.answering is None)


def test_an_expert_is_installed_after_a_yes() -> None:
    """Signer, licence and size stand in the question; without a yes nothing is installed."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f4", "down")
        await until(pilot, lambda: "expert/regex 1.0.0, on offer" in shown(app))
        for answers, installed in ((["enter"], False), (["down", "enter"], True)):
            await pilot.press("i")
            await until(pilot, lambda: "SHA256:abcdefgh?" in shown(app))
            assert "1.2 MB" in shown(app) and "Apache-2.0" in shown(app)
            await pilot.press(*answers)
            await pilot.pause()
            assert backend.known[1].installed is installed
        await until(pilot, lambda: "expert/regex is installed." in shown(app))

    drive(backend, steps)


def test_an_expert_is_disabled_and_scaled() -> None:
    """`x` takes an installed expert out of routing; + and - change how strongly it acts."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+e")
        await until(pilot, lambda: "31 % of answers run right" in shown(app))
        assert "Joins over four tables are often wrong." in shown(app)
        await pilot.press("x", "plus", "plus", "minus")
        await pilot.pause()
        assert not backend.known[0].enabled and backend.known[0].scale == 1.25
        assert "○ expert/sql" in shown(app)
        await pilot.press("x", "escape")
        assert backend.known[0].enabled and app.in_chat

    drive(backend, steps)


def test_no_experts_at_all() -> None:
    """An empty list says so."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f4")
        await until(pilot, lambda: "No experts are installed" in shown(app))
        await pilot.press("i", "x", "plus", "escape")

    drive(FakeBackend(known=[]), steps)


def test_another_base_is_chosen() -> None:
    """The line above names the base that answers from now on."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f5")
        await until(pilot, lambda: "big: 639.0 MB, 33k tokens" in shown(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "big" in shown(app).splitlines()[0])
        await pilot.press("ctrl+o", "escape")

    drive(backend, steps)
    assert backend.model == "big"


def test_settings_change_and_refuse() -> None:
    """A choice takes effect at once; a wrong value is refused with its reason."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f2", "enter")
        await until(pilot, lambda: "theme: colours" in shown(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.theme == "textual-light")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "max_tokens: longest answer" in shown(app))
        app.screen.query_one(Input).value = "many"
        await pilot.press("enter")
        await until(pilot, lambda: "max_tokens is a number." in shown(app))
        for typed, told in (("64", "64 "), ("", "1024")):
            await pilot.press("enter")
            await until(pilot, lambda: "max_tokens: longest answer" in shown(app))
            app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            row = f"max_tokens     {told}"
            await until(pilot, lambda row=row: row in shown(app))  # type: ignore[misc]  # bound now
        await pilot.press("enter")
        await until(pilot, lambda: "max_tokens: longest answer" in shown(app))
        app.screen.query_one(Input).value = "7"
        await pilot.press("escape", "escape")

    drive(backend, steps)
    assert backend.values == {"theme": "textual-light"}


def test_history_opens_searches_renames_deletes() -> None:
    """Past conversations come back whole; a deletion can be undone."""
    backend = FakeBackend([["A."], ["B."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "first")
        await pilot.press("ctrl+n")
        await ask(app, pilot, "second")
        await pilot.press("ctrl+r")
        await type_text(pilot, "first")
        listed = app.screen.query_one("#talks", OptionList)
        await until(pilot, lambda: listed.option_count == 2)  # the day and one conversation
        await pilot.press("tab", "down")
        await until(pilot, lambda: listed.highlighted == 1)
        await pilot.press("enter")
        await until(pilot, lambda: [t.question for t in app.chat.turns] == ["first"])
        assert "A." in shown(app) and "kept" in shown(app)
        await pilot.press("ctrl+s", "ctrl+s", "down", "down", "f8")
        await until(pilot, lambda: "New title" in shown(app))
        await type_text(pilot, "other")
        await pilot.press("enter")
        await until(pilot, lambda: "other" in backend.titles.values())
        await pilot.press("delete")
        await until(pilot, lambda: bool(backend.deleted))
        await pilot.press("ctrl+z")
        await until(pilot, lambda: not backend.deleted)

    drive(backend, steps)


def test_exporting() -> None:
    """F9 writes the conversation, or says that there is none."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f9")
        await until(pilot, lambda: "There is nothing to export yet." in shown(app))
        await ask(app, pilot, "question")
        await pilot.press("f9")
        await until(pilot, lambda: "Exported to question.md." in shown(app))

    drive(backend, steps)


def test_help_and_palette() -> None:
    """F1 lists keys and commands; the palette offers every action."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f1")
        await until(pilot, lambda: "@FILE" in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: "Delete" in shown(app))
        await pilot.press("f1")
        await pilot.press("ctrl+p")
        await type_text(pilot, "experts")
        await until(pilot, lambda: "Installed experts and those on offer" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExpertsScreen))

    drive(FakeBackend(), steps)


def test_ctrl_c_twice_quits() -> None:
    """Once it only warns; a second time it leaves."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "Press Ctrl+C again to quit." in shown(app))
        assert app.is_running
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert app._exit

    drive(FakeBackend(), steps)


def test_the_prompt_remembers_and_breaks_lines() -> None:
    """Arrows at the edge walk through what was sent; three keys begin a new line."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        for question in ("one", "two"):
            await ask(app, pilot, question)
        prompt = app.screen.query_one(Prompt)
        await pilot.press("up")
        assert prompt.text == "two"
        await pilot.press("up", "up")
        assert prompt.text == "one"
        await pilot.press("down", "down")
        assert prompt.text == ""
        await pilot.press("a", "shift+enter", "b", "ctrl+j", "c")
        assert prompt.text == "a\nb\nc"
        await pilot.press("enter")
        await until(pilot, lambda: len(backend.requests) == 3)
        await until(pilot, lambda: app.chat.answering is None)

    drive(backend, steps)
    assert backend.requests[2].messages[-1].content == "a\nb\nc"


def test_nothing_that_fails_below_ends_the_chat() -> None:
    """A damaged history, shelf and settings are told, as harmless text; questions still work."""
    damage = UsageError("The [/file] is \x1b[31mdamaged.", "", "Mend it.")
    backend = FakeBackend(damage=damage)

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "one")
        await until(pilot, lambda: "The [/file] is ␛[31mdamaged." in shown(app))
        assert "Forty-two." in app.chat.turns[0].answer.text
        for keys in (["ctrl+s"], ["ctrl+s"], ["f4"], ["escape"], ["f2"], ["escape"], ["ctrl+r"]):
            await pilot.press(*keys)
            await pilot.pause()
        app.screen.query_one(Prompt).focus()
        await pilot.press("alt+up", "x")
        await pilot.pause()
        app.screen.query_one(Prompt).focus()
        await ask(app, pilot, "two")
        assert app.is_running and len(app.chat.turns) == 2

    drive(backend, steps)


def test_the_base_is_not_changed_under_an_answer() -> None:
    """While it answers, the base stays."""
    wait = threading.Event()
    backend = FakeBackend([["one ", wait, "two"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await type_text(pilot, "q")
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.answering is not None)
        await pilot.press("f5")
        await until(pilot, lambda: "Wait for the answer" in shown(app))
        assert app.in_chat
        wait.set()
        await until(pilot, lambda: app.chat.answering is None)

    drive(backend, steps)
