"""No name, title or figure acts on the terminal, wherever in the chat it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.tui.app import ExpertApp
from expert.tui.backend import BaseFacts, ExpertFacts, SettingFacts, TurnFacts
from expert.tui.screens import experts as experts_screen
from expert.tui.screens import models as models_screen
from expert.tui.screens import settings as settings_screen
from expert.tui.screens.experts import describe
from expert.tui.widgets.prompt import Prompt
from expert.types import ExpertChoice
from support.tui import SQL, FakeBackend, Pilot, drive, shown, until

EVIL = "\x1b]0;owned\x07\x9b2J\u202e\n\r\x08[red]"
ACTING = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u202a\u202e\u2066\u2069"}
ACTING -= {"\n"}
"""What a terminal obeys; a screen read as text has line ends of its own."""


@dataclass
class EvilBackend(FakeBackend):
    """A backend in which every text tries to act on the terminal."""

    def models(self) -> Sequence[BaseFacts]:
        return [BaseFacts(f"m{EVIL}", 2048, 1000)]

    def list(self) -> Sequence[SettingFacts]:
        return [SettingFacts("theme", f"v{EVIL}", "about", (f"one{EVIL}", "two"))]

    def choose(self, names: Sequence[str]) -> tuple[ExpertChoice, ...]:
        return tuple(ExpertChoice(Path(f"{name}{EVIL}.gguf".replace("/", ""))) for name in names)


def evil() -> ExpertFacts:
    """Return an expert whose manifest nobody checked."""
    return replace(
        SQL, name=f"e/x{EVIL}", summary=EVIL, licence=EVIL, score=EVIL, limitations=(EVIL,),
        examples=(EVIL,), installed=False,
    )  # fmt: skip


def harmless(app: ExpertApp) -> str:
    """Return the characters on the screen, none of which acts."""
    text = shown(app)
    assert not ACTING & set(text), sorted(map(hex, map(ord, ACTING & set(text))))
    return text


def test_every_screen() -> None:
    """Experts, models, settings and the questions on top of them."""
    backend = EvilBackend(known=[evil()], model=f"base{EVIL}")

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        harmless(app)
        for key in ("f4", "f5", "f2"):
            await pilot.press(key)
            await pilot.pause()
            assert not app.in_chat
            assert "owned" in harmless(app)
            if key == "f4":
                await pilot.press("i")
                await until(pilot, lambda: "Install e/x" in shown(app))
                harmless(app)
                await pilot.press("escape")
            if key == "f2":
                await pilot.press("enter")
                await until(pilot, lambda: "theme: about" in shown(app))
                harmless(app)
                await pilot.press("escape")
            await pilot.press("escape")
            await until(pilot, lambda: app.in_chat)

    drive(backend, steps, (120, 40))


def test_past_conversations() -> None:
    """Titles in the list and above, questions, answers, thoughts and footers of old turns."""
    backend = EvilBackend(titles={1: f"t{EVIL}"})
    backend.stored[1] = [TurnFacts(1, f"q{EVIL}", f"a{EVIL}", f"r{EVIL}", "x", f"f{EVIL}")]

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "t␛]0;owned" in shown(app))
        harmless(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(app.chat.turns) == 1)
        await until(pilot, lambda: "f␛]0;owned" in shown(app))
        text = harmless(app)
        for begun in ("q", "a"):
            assert f"{begun}␛]0;owned" in text

    drive(backend, steps, (120, 40))


def test_errors_and_messages() -> None:
    """What went wrong below may quote anything."""
    problem = UsageError(f"what{EVIL}", f"why{EVIL}", f"fix{EVIL}")
    backend = EvilBackend([[problem]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        app.chat.query_one(Prompt).put("ask")
        await pilot.press("enter")
        await until(pilot, lambda: "what␛" in shown(app))
        harmless(app)
        backend.damage = problem
        await pilot.press("f4")
        await until(pilot, lambda: not app.in_chat and "what␛" in shown(app))
        harmless(app)

    drive(backend, steps, (120, 40))


def test_rows() -> None:
    """Each fact stands on one line, whatever is in it."""
    rows = [
        experts_screen._row(evil()),
        models_screen._row(BaseFacts(EVIL, 1, 1, True)),
        settings_screen._row(SettingFacts(EVIL, EVIL, EVIL)),
    ]
    for row in rows:
        assert row.isprintable()
    for line in describe(evil()).split("\n"):
        assert line.isprintable()


@pytest.mark.parametrize(
    ("changes", "state", "mark"),
    [({"installed": True}, "installed", "●"), ({"installed": False}, "on offer", "+"),
     ({"installed": True, "enabled": False}, "disabled", "○"),
     ({"installed": False, "enabled": False}, "on offer", "+")],
)  # fmt: skip
def test_what_is_told_of_an_expert(changes: dict[str, bool], state: str, mark: str) -> None:
    """Its state by a mark and a word; what is not known says so."""
    made = replace(SQL, **changes)  # type: ignore[arg-type]  # booleans only
    assert experts_screen._row(made) == f"{mark} expert/sql 1.0.0"
    assert describe(made).splitlines()[0] == f"expert/sql 1.0.0, {state}"
    bare = describe(replace(made, score="", signer="", fits=False, examples=(), limitations=()))
    for line in (
        "Base      made for another base", "Signed    by nobody", "Measured  not measured",
        "Size      1.2 MB", "Scale     1",
    ):  # fmt: skip
        assert line in bare.splitlines()
    assert "Examples" not in bare and "Limitations" not in bare
    full = describe(made).splitlines()
    assert full[-5:] == [
        "Examples", "- How many singers are there?", "", "Limitations",
        "- Joins over four tables are often wrong.",
    ]  # fmt: skip


def test_answers_carry_their_names_inert() -> None:
    """An adapter's file name stands in the line below the answer, and nothing of it acts."""
    backend = EvilBackend([["Yes."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        prompt = app.chat.query_one(Prompt)
        prompt.put("/expert sql")
        await pilot.press("enter")
        await until(pilot, lambda: "sql" in shown(app).splitlines()[0])
        harmless(app)
        prompt.put("hello")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[-1].finished)
        await until(pilot, lambda: app.chat.answering is None)
        assert "Yes." in harmless(app)

    drive(backend, steps, (140, 40))
