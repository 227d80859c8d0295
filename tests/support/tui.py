"""A backend that replays scripts, and helpers to drive the app without a terminal."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot as Pilot

from expert.errors import ExpertError, UsageError
from expert.tui.app import ExpertApp
from expert.tui.backend import (
    Backend,
    BaseFacts,
    ExpertFacts,
    RouteFacts,
    SettingFacts,
    TalkFacts,
    TurnFacts,
)
from expert.types import (
    Answer,
    Delta,
    Done,
    Event,
    ExpertChoice,
    ExpertUse,
    Finish,
    Plan,
    Planned,
    Request,
    Route,
    Sampling,
    Timings,
)

Script = Sequence[str | Delta | ExpertError | threading.Event]

SQL = ExpertFacts(
    name="expert/sql",
    version="1.0.0",
    publisher="expert",
    summary="Writes SQL for a schema you paste.",
    licence="Apache-2.0",
    signer="SHA256:abcdefgh",
    installed=True,
    fits=True,
    size=1_200_000,
    score="31 % of answers run right, base 2 %",
    limitations=("Joins over four tables are often wrong.",),
    examples=("How many singers are there?",),
)
REGEX = replace(SQL, name="expert/regex", summary="Writes regular expressions.", installed=False)


@dataclass
class FakeBackend:
    """Implements the interfaces of `expert.tui.backend` in memory; `scripts` answer in turn."""

    scripts: list[Script] = field(default_factory=lambda: [["Forty-", "two."]])
    known: list[ExpertFacts] = field(default_factory=lambda: [SQL, REGEX])
    requests: list[Request] = field(default_factory=list)
    stored: dict[int, list[TurnFacts]] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=lambda: {"theme": "textual-dark"})
    model: str = "pocket"
    problem: ExpertError | None = None
    damage: ExpertError | None = None
    """What the history, the shelf and the settings raise, once it is set."""

    @property
    def base(self) -> BaseFacts:
        if self.problem:
            raise self.problem
        return BaseFacts(self.model, 2048, 9_133_600, self.model == "pocket")

    def ask(self, request: Request) -> "FakeAnswering":
        self.requests.append(request)
        script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
        return FakeAnswering(self, request, script)

    def record(self, request: Request, text: str) -> tuple[int, int]:
        """Keep a turn where the request says, and return its conversation and number."""
        question, talk = request.messages[-1].content, request.conversation
        if talk is None:
            talk = len(self.titles) + 1
            self.titles[talk] = question[:30]
        number = sum(map(len, self.stored.values())) + 1
        chain = [
            turn for turn in self.stored.get(talk, []) if turn.id <= (request.parent or number)
        ]
        self.stored[talk] = [*chain, TurnFacts(number, question, text, footer="kept")]
        return talk, number

    def answer(self, text: str, request: Request, finish: Finish) -> Answer:
        uses = tuple(ExpertUse(c.adapter.stem, "0" * 64, c.scale) for c in request.experts or ())
        timings = Timings(0.1, 0.1, 0.5, 12, 0, 21)
        return Answer(text, "", finish, Sampling(), Path("pocket.gguf"), timings, uses)

    def route(self, request: Request) -> RouteFacts:
        chances = (("sql", 0.83), ("none", 0.12), ("regex", 0.05))
        return RouteFacts(("sql",), chances, ("it names a table", "“select” is a word of SQL"))

    def _check(self) -> None:
        if self.damage:
            raise self.damage

    def installed(self) -> Sequence[str]:
        self._check()
        return [expert.name for expert in self.known if expert.installed]

    def experts(self) -> Sequence[ExpertFacts]:
        self._check()
        return self.known

    def _change(self, name: str, **changes: Any) -> None:
        if name not in [expert.name for expert in self.known]:
            raise UsageError(f"There is no expert {name}.", "", "Choose another.")
        self.known = [replace(e, **changes) if e.name == name else e for e in self.known]

    def install(self, name: str) -> None:
        self._change(name, installed=True)

    def set_enabled(self, name: str, enabled: bool) -> None:
        self._change(name, enabled=enabled)

    def set_scale(self, name: str, scale: float) -> None:
        self._change(name, scale=scale)

    def choose(self, names: Sequence[str]) -> tuple[ExpertChoice, ...]:
        return tuple(ExpertChoice(Path(f"{name.rpartition('/')[2]}.gguf")) for name in names)

    def models(self) -> Sequence[BaseFacts]:
        return [BaseFacts("pocket", 2048, 9_133_600, True), BaseFacts("big", 32_768, 639_000_000)]

    def use_model(self, name: str) -> None:
        self.model = name

    def talks(self, query: str = "") -> Sequence[TalkFacts]:
        self._check()
        return [
            TalkFacts(number, self.titles[number], "Today")
            for number, turns in sorted(self.stored.items(), reverse=True)
            if number in self.titles and number not in self.deleted and _said(turns, query)
        ]

    def turns(self, talk: int) -> Sequence[TurnFacts]:
        self._check()
        return self.stored[talk]

    def rename(self, talk: int, title: str) -> None:
        self.titles[talk] = title

    def delete(self, talk: int) -> None:
        self.deleted.add(talk)

    def restore(self, talk: int) -> None:
        self.deleted.remove(talk)

    def export(self, talk: int) -> str:
        return f"{self.titles[talk]}.md"

    def list(self) -> Sequence[SettingFacts]:
        self._check()
        themes = ("textual-dark", "textual-light", "nord")
        return [
            SettingFacts("theme", self.values["theme"], "colours", themes),
            SettingFacts("max_tokens", self.values.get("max_tokens", "1024"), "longest answer"),
        ]

    def set(self, name: str, value: str) -> None:
        if name == "max_tokens" and value and not value.isdecimal():
            raise UsageError("max_tokens is a number.", "", "Write a number.")
        self.values[name] = value
        if not value:
            del self.values[name]

    @property
    def backend(self) -> Backend:
        """What the app takes."""
        return Backend(self, self, self, self)


@dataclass
class FakeAnswering:
    """An answer that replays a script; it can be stopped."""

    fake: FakeBackend
    request: Request
    script: Script
    stopped: bool = False

    def __iter__(self) -> Iterator[Event]:
        parts: list[str] = []
        chance = (("sql", 0.83), ("none", 0.17))
        yield Planned(Plan(Sampling(), 100, self.request.experts or (), "it fits", Route(chance)))
        for step in self.script:
            if isinstance(step, ExpertError):
                raise step
            if isinstance(step, threading.Event):
                step.wait(20)
            if self.stopped:
                break
            if not isinstance(step, threading.Event):
                delta = Delta(step) if isinstance(step, str) else step
                parts += [] if delta.reasoning else [delta.text]
                yield delta
        text = "".join(parts)
        talk, number = self.fake.record(self.request, text)
        answer = self.fake.answer(text, self.request, "cancelled" if self.stopped else "stop")
        yield Done(answer, talk, number)

    def stop(self) -> None:
        self.stopped = True


def _said(turns: Sequence[TurnFacts], query: str) -> bool:
    return any(query.lower() in f"{turn.question} {turn.answer}".lower() for turn in turns)


Drive = Callable[[ExpertApp, Pilot[None]], Awaitable[None]]


def drive(backend: FakeBackend, steps: Drive, size: tuple[int, int] = (100, 30)) -> None:
    """Run the app on *backend* at a size, and *steps* on it."""

    async def run() -> None:
        app = ExpertApp(backend.backend)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(_within(run(), 60))


async def _within(work: Coroutine[Any, Any, None], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await work


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true of the app."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen:\n" + shown(pilot.app)
        await pilot.pause(0.02)
    await pilot.pause()


async def type_text(pilot: Pilot[None], text: str) -> None:
    """Type text as a person does."""
    await pilot.press(*[{" ": "space", "?": "question_mark"}.get(char, char) for char in text])


def shown(app: App[Any]) -> str:
    """Return the characters on the screen."""
    lines = app.screen._compositor.render_strips()  # the only way to the cells as text
    return "\n".join(line.text.rstrip() for line in lines)
