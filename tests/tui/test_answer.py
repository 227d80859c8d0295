"""The view of an answer: the same at its end however it came, and readable on the way."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown, Static

from expert.tui.widgets.answer import PAUSE, SEALED_LINES, AnswerView, OpenFence
from support.tui import shown, until

ANSWERS = [
    "Plain text, **bold** and a\n\n- list\n- of two\n",
    "Before\n\n```python\nfor i in range(3):\n    print(i)\n```\n\nafter\n",
    "```\nonly code, never closed\nsecond line",
    "1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "~~~sql\nSELECT '```'\n~~~\nend",
    "",
]


class Page(App[None]):
    """A page with one answer."""

    def __init__(self, view: AnswerView) -> None:
        super().__init__()
        self.view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self.view


def at_once(text: str) -> str:
    """Return the screen with an answer that was there from the start."""

    async def run() -> str:
        app = Page(AnswerView(text))
        async with app.run_test(size=(60, 20)) as pilot:
            await pilot.pause()
            await until(pilot, lambda: not text or bool(shown(app).strip()))
            return shown(app)

    return asyncio.run(run())


def streamed(parts: Sequence[str]) -> str:
    """Return the screen after an answer came in parts."""

    async def run() -> str:
        app = Page(AnswerView())
        async with app.run_test(size=(60, 20)) as pilot:
            for part in parts:
                app.view.write(part)
                await asyncio.sleep(0.001)
            await app.view.finish()
            await pilot.pause()
            assert app.view.text == "".join(parts)
            return shown(app)

    return asyncio.run(run())


@pytest.mark.parametrize("text", ANSWERS)
def test_the_end_is_the_same_however_it_came(text: str) -> None:
    """Character by character, or all at once: one Markdown document at the end."""
    expected = at_once(text)
    assert streamed(list(text)) == expected
    chance = Random(len(text))
    cuts = sorted(chance.sample(range(len(text) + 1), min(4, len(text))))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert streamed(parts) == expected


def test_code_is_shown_while_it_is_written() -> None:
    """An open fence is plain text in sealed parts; when it closes it becomes Markdown."""

    async def run() -> None:
        app = Page(AnswerView())
        async with app.run_test(size=(60, 20)) as pilot:
            view = app.view
            view.write("See:\n```py\nx = 1\n")
            await until(pilot, lambda: "x = 1" in shown(app))
            fence = app.screen.query_one(OpenFence)
            assert fence.code == "x = 1\n" and fence.info == "py"
            for number in range(2 * SEALED_LINES):
                view.write(f"y = {number}\n")
                await asyncio.sleep(PAUSE / 20)
            await until(pilot, lambda: fence.code.endswith(f"y = {2 * SEALED_LINES - 1}\n"))
            assert len(fence.query(Static)) >= 2
            view.write("```\nDone.")
            await until(pilot, lambda: not app.screen.query(OpenFence))
            await until(pilot, lambda: any("Done." in m.source for m in view.query(Markdown)))
            assert any("y = 7\n" in m.source for m in view.query(Markdown))

    asyncio.run(run())


def test_a_fence_with_fences_inside_closes_right() -> None:
    """The Markdown of a closed fence is fenced by more ticks than stand in it."""
    fence = OpenFence("md")
    fence._code.append("a\n````\nb")  # what a model may write between ~~~
    assert fence.markdown == "`````md\na\n````\nb\n`````\n"


def test_finishing_twice_and_without_a_word() -> None:
    """An empty answer stays empty; a second end changes nothing."""

    async def run() -> None:
        app = Page(AnswerView())
        async with app.run_test(size=(60, 20)) as pilot:
            await app.view.finish()
            app.view.write("late")
            await app.view.finish()
            await app.view.finish()
            await pilot.pause()
            assert shown(app).strip() == "late"

    asyncio.run(run())
