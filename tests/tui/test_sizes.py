"""Terminals of any size, at any moment, and keys that nobody expected."""

import random
import threading
from collections.abc import Sequence
from functools import partial

import pytest

from expert.errors import ResourceError
from expert.tui.app import ExpertApp
from expert.tui.backend import BaseFacts
from expert.tui.screens.help import HelpScreen
from expert.tui.widgets.prompt import Prompt
from support.tui import FakeBackend, Pilot, drive, shown, type_text, until

SCREENS = ("f1", "f2", "f3", "f4", "f5")
KEYS = [
    *("f1", "f2", "f3", "f4", "f5", "f9", "ctrl+e", "ctrl+o", "ctrl+p", "ctrl+n", "ctrl+s"),
    *("ctrl+r", "ctrl+t", "alt+up", "alt+down", "escape", "enter", "tab", "shift+tab", "up"),
    *("down", "home", "end", "delete", "f8", "ctrl+z", "plus", "minus", "i", "x", "y", "r", "e"),
    *("w", "slash", "at", "ctrl+j", "left", "ctrl+a", "ctrl+k", "ctrl+v", "pageup", "f6"),
]


class Broken(FakeBackend):
    """A backend of which more can be broken."""

    def models(self) -> Sequence[BaseFacts]:
        self._check()
        return super().models()

    def export(self, talk: int) -> str:
        self._check()
        return super().export(talk)


@pytest.mark.parametrize("size", [(40, 10), (200, 60)])
def test_every_screen_opens_and_closes_by_its_key(size: tuple[int, int]) -> None:
    """Small and large: something is on it, no line is longer than the terminal is wide."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.chat.query_one(Prompt).put("How many singers?")
        for key in SCREENS:
            await pilot.press(key)
            await until(pilot, lambda: not app.in_chat)
            lines = shown(app).splitlines()
            assert len(lines) <= size[1] and max(map(len, lines)) <= size[0]
            assert any(line.strip() for line in lines)
            await pilot.press(key)
            await until(pilot, lambda: app.in_chat)
        assert app.chat.query_one(Prompt).text == "How many singers?"

    drive(FakeBackend(), steps, size)


@pytest.mark.parametrize("opens", ["", "f1", "f2", "f4", "f5", "ctrl+s", "slash"])
def test_a_terminal_of_no_columns_to_speak_of(opens: str) -> None:
    """It shows what it can; made larger again, everything is there."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press(*filter(None, [opens]))
        for size in ((6, 10), (1, 1), (3, 2), (2, 50)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: "pocket" in shown(app) or not app.in_chat)

    drive(FakeBackend(), steps)


def test_a_terminal_that_changes_while_an_answer_comes() -> None:
    """Each time in the middle of prose, a table, or a fence; the answer is whole at the end."""
    gates = [threading.Event() for _ in range(6)]
    texts = ["# Title\n\n", "日本語 👩‍👩‍👧 prose ", "\n\n| a | b |\n|---|---|\n", "| 1 | 2 |\n\n"]
    texts += ["```py\nx = '" + "y" * 300 + "'\n", "```\n\nend"]
    script = [part for pair in zip(texts, gates, strict=True) for part in pair]
    sizes = [(40, 10), (200, 60), (5, 5), (80, 24), (13, 40), (120, 40)]

    def says(app: ExpertApp, text: str) -> bool:
        return [turn.answer.text for turn in app.chat.turns] == [text]

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await type_text(pilot, "q")
        await pilot.press("enter")
        for number, (gate, size) in enumerate(zip(gates, sizes, strict=True), 1):
            so_far = "".join(texts[:number])
            await until(pilot, partial(says, app, so_far))
            await pilot.resize_terminal(*size)
            gate.set()
        await until(pilot, lambda: app.chat.turns[0].finished)
        assert app.chat.turns[0].answer.text == "".join(texts)
        await until(pilot, lambda: "end" in shown(app))

    drive(FakeBackend([script]), steps)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_keys_never_end_the_program(seed: int) -> None:
    """In any order, on any screen; the chat still answers."""
    source = random.Random(seed)
    keys = [source.choice(KEYS) for _ in range(25)]

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        for _ in range(8):
            if app.in_chat:
                break
            await pilot.press("escape")
        assert app.in_chat and app.is_running, keys
        app.chat.query_one(Prompt).put("/help")
        app.chat.query_one(Prompt).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))

    drive(FakeBackend(), steps, (60, 20))


@pytest.mark.parametrize("keys", ["f2", "f4", "ctrl+s", "ctrl+r", "f9", "f5", "at"])
def test_what_fails_below_is_told_on_the_screen_that_asked(keys: str) -> None:
    """Whichever part of the backend it is, when it is asked the first time."""
    backend = Broken(damage=ResourceError("It is broken.", "A disk.", "Mend it."))

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.chat.how.talk = 1
        await pilot.press(keys)
        await until(pilot, lambda: "It is broken." in shown(app))
        assert app.is_running

    drive(backend, steps)
