"""Every screen in every state, at three sizes, against what it looked like before.

EXPERT_UPDATE=1 writes the snapshots anew; look at the difference before committing it.
"""

import os
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.tui.app import ExpertApp
from support.tui import FakeBackend, Pilot, Script, drive, shown, type_text, until

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = [(120, 40), (80, 24), (60, 20)]
UPDATE = bool(os.environ.get("EXPERT_UPDATE"))
ANSWER: Script = [
    "Look below:\n\n", "```sql\n", "SELECT name\nFROM singer\nWHERE age > 30\n", "```\n\n",
    "It lists *names*, not ages.\n\n- one\n- two\n",
]  # fmt: skip
HOLD = threading.Event()
OPEN: Script = ["So:\n\n```python\n", "for i in range(3):\n    print(i)\n", HOLD]
Steps = Callable[[ExpertApp, Pilot[None]], Awaitable[None]]


async def asked(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Ask a question and wait for the whole answer."""
    await type_text(pilot, "Which singers are over 30?")
    await pilot.press("enter")
    await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[-1].finished)
    await until(pilot, lambda: app.chat.answering is None)


async def welcome(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Wait for the base."""
    await until(pilot, lambda: "pocket" in shown(app))


async def answered(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Put the focus on the answered turn."""
    await asked(app, pilot)
    await pilot.press("alt+up")


async def writing(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Hold an answer in the middle of a fence."""
    await type_text(pilot, "A loop?")
    await pilot.press("enter")
    await until(pilot, lambda: "print(i)" in shown(app))


async def failed(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Ask what cannot be answered."""
    await asked(app, pilot)


async def history(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Open the list of conversations."""
    await asked(app, pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Today" in shown(app))


def pressing(*keys: str, until_shown: str) -> Steps:
    """Return steps that press keys and wait for a text."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await welcome(app, pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: until_shown in shown(app))

    return steps


async def route(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Open the inspector of a turn."""
    await asked(app, pilot)
    await pilot.press("alt+up", "w")
    await until(pilot, lambda: "Answered by" in shown(app))


async def completing(app: ExpertApp, pilot: Pilot[None]) -> None:
    """Begin a command."""
    await welcome(app, pilot)
    await pilot.press("slash", "e")
    await until(pilot, lambda: "/export" in shown(app))


STATES: dict[str, tuple[FakeBackend, Steps]] = {
    "welcome": (FakeBackend(), welcome),
    "answered": (FakeBackend([ANSWER]), answered),
    "writing": (FakeBackend([OPEN]), writing),
    "failed": (
        FakeBackend([[UsageError("The question is odd.", "It has no verb.", "Add a verb.")]]),
        failed,
    ),
    "history": (FakeBackend([ANSWER]), history),
    "experts": (FakeBackend(), pressing("f4", until_shown="Limitations")),
    "no-experts": (FakeBackend(known=[]), pressing("f4", until_shown="No experts")),
    "install": (FakeBackend(), pressing("f4", "down", "i", until_shown="yes")),
    "models": (FakeBackend(), pressing("f5", until_shown="big")),
    "settings": (FakeBackend(), pressing("f2", until_shown="max_tokens")),
    "setting": (FakeBackend(), pressing("f2", "down", "enter", until_shown="longest answer")),
    "route": (FakeBackend([ANSWER]), route),
    "completing": (FakeBackend(), completing),
    "help": (FakeBackend(), pressing("f1", until_shown="Everywhere")),
}
PICTURES = {"answered": "chat", "experts": "experts", "route": "route"}


@pytest.mark.parametrize("state", STATES)
def test_a_screen_looks_as_before(state: str) -> None:
    """The characters on the screen are those of the snapshots."""
    backend, steps = STATES[state]
    HOLD.clear()
    seen: dict[tuple[int, int], str] = {}
    pictures: dict[tuple[int, int], str] = {}

    async def look(app: ExpertApp, pilot: Pilot[None]) -> None:
        await steps(app, pilot)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
            seen[size] = shown(app)
            pictures[size] = app.export_screenshot(title="Expert")
        HOLD.set()

    drive(backend, look, SIZES[0])
    for width, height in SIZES:
        compare(SNAPSHOTS / f"{state}-{width}x{height}.txt", seen[width, height] + "\n")
    if state in PICTURES:
        compare(ROOT / "docs/screens" / f"{PICTURES[state]}.svg", normal(pictures[SIZES[0]]))


def compare(path: Path, text: str) -> None:
    """Compare *text* with a file, or write it."""
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name}; EXPERT_UPDATE=1 writes it anew"


def normal(picture: str) -> str:
    """Return a picture without names that differ from run to run and fonts from the network."""
    picture = re.sub(r"terminal-\d+", "terminal", picture)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return re.sub(r"font-family: [^;]*Fira Code[^;]*;", "font-family: monospace;", picture)


def test_every_snapshot_belongs_to_a_state() -> None:
    """No file is left of a state that is gone."""
    expected = {f"{state}-{w}x{h}.txt" for state in STATES for w, h in SIZES}
    assert {path.name for path in SNAPSHOTS.iterdir()} == expected
