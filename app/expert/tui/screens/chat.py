"""The conversation: what was said, what is being answered, and where the next question goes."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static

from expert.errors import ExpertError
from expert.tui.answering import events_of
from expert.tui.backend import Answering, Backend
from expert.tui.screens.choose import Choose
from expert.tui.screens.route import RouteScreen
from expert.tui.telling import tell, told
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.sidebar import Sidebar
from expert.tui.widgets.status import StatusLine
from expert.tui.widgets.turn import Turn
from expert.tui.words import took
from expert.types import (
    Delta,
    Done,
    Event,
    ExpertChoice,
    Message,
    Notice,
    Planned,
    Request,
)

EXAMPLES = (
    "find all files ending in .txt below the current directory",
    "JSON: play some jazz by miles davis",
    "colour=green; size=large; shape=round; size?",
)
WELCOME = """\
Ask anything. The right expert answers; nothing leaves this machine.

Try one of these (Tab, then Enter):"""


class ChatScreen(Screen[None]):
    """One conversation on the screen."""

    CSS = """
    #turns { height: 1fr; padding: 1 0 0 0; }
    #welcome { padding: 0 1; color: $text-muted; height: auto; }
    #welcome Static { padding: 0 1; height: auto; }
    #examples { height: auto; border: none; background: transparent; margin: 1 0; }
    #talk { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop"),
        Binding("ctrl+n", "new", "New", id="chat.new"),
        Binding("ctrl+s", "sidebar", "History", id="chat.history"),
        Binding("ctrl+r", "search", "Search", show=False, id="chat.search"),
        Binding("ctrl+t", "think", "Thinking", show=False, id="chat.think"),
        Binding("f9", "export", "Export", show=False, id="chat.export"),
        Binding("alt+up", "walk(-1)", "Earlier turn", show=False, id="chat.earlier"),
        Binding("alt+down", "walk(1)", "Later turn", show=False, id="chat.later"),
    ]

    def __init__(
        self,
        backend: Backend,
        experts: tuple[ExpertChoice, ...] | None = None,
        system: str | None = None,
    ) -> None:
        super().__init__()
        self.backend = backend
        self.experts = experts
        """Who is to answer; None: whoever fits the question best."""
        self._before = [Message("system", system)] if system else []
        self.think = False
        self.status = StatusLine()
        self.sidebar = Sidebar(backend.past)
        self.talk: int | None = None
        self.answering: Answering | None = None
        """The answer that is being written."""

    def compose(self) -> ComposeResult:
        """Lay the screen out: status, history beside the conversation, prompt, keys."""
        yield self.status
        with Horizontal():
            yield self.sidebar
            with Vertical(id="talk"):
                yield VerticalScroll(id="turns", can_focus=False)
                yield Prompt()
        yield Footer()

    def on_mount(self) -> None:
        """Begin empty, and learn in the background which base there is."""
        self.query_one("#turns", VerticalScroll).anchor()
        self.query_one(Prompt).focus()
        self._welcome()
        self._load()

    @property
    def turns(self) -> list[Turn]:
        """The turns on the screen, the first one first."""
        return list(self.query(Turn))

    @work(thread=True, group="load")
    def _load(self) -> None:
        try:
            base = self.backend.answers.base
        except ExpertError as error:
            self.app.call_from_thread(tell, self, str(error), "error")
            return
        self.app.call_from_thread(setattr, self.status, "base", base)

    def _welcome(self) -> None:
        examples = OptionList(*EXAMPLES, id="examples", markup=False)
        self.query_one("#turns").mount(
            Vertical(Static(WELCOME, markup=False), examples, id="welcome")
        )

    @on(OptionList.OptionSelected, "#examples")
    def _take_example(self, event: OptionList.OptionSelected) -> None:
        prompt = self.query_one(Prompt)
        prompt.put(EXAMPLES[event.option_index])
        prompt.focus()

    # Asking

    @on(Prompt.Sent)
    async def _sent(self, event: Prompt.Sent) -> None:
        if self.answering:
            self.notify("One answer at a time: press Esc to stop the present one.")
            return
        self.query_one(Prompt).text = ""
        await self.ask(event.text)

    async def ask(self, question: str, experts: tuple[ExpertChoice, ...] | None = None) -> None:
        """Show a question and begin its answer; None: whoever fits it best answers."""
        await self.query("#welcome").remove()
        request = self._request(question, self.experts if experts is None else experts)
        turn = Turn(question)
        scroll = self.query_one("#turns", VerticalScroll)
        await scroll.mount(turn)
        scroll.anchor()
        turn.tell("…")
        self.answering = self.backend.answers.ask(request)
        self._answer(turn, self.answering)

    def _request(self, question: str, experts: tuple[ExpertChoice, ...] | None) -> Request:
        """Return a question as the next turn of what is on the screen."""
        turns = self.turns
        return Request(
            [*self._before, *_messages(turns), Message("user", question)],
            experts,
            think=self.think,
            truncate=True,
            conversation=self.talk,
            parent=next((turn.recorded for turn in reversed(turns) if turn.recorded), None),
            origin="tui",
        )

    @work(group="answer")
    async def _answer(self, turn: Turn, answering: Answering) -> None:
        try:
            async for event in events_of(answering):
                if not self.is_running:  # the program is being left
                    answering.stop()
                    return
                await self._take(turn, event)
        except ExpertError as error:
            await self._failed(turn, error)
        self.answering = None
        self._refresh_title()

    def on_unmount(self) -> None:
        """End the answer that nobody waits for any more."""
        if self.answering:
            self.answering.stop()

    async def _take(self, turn: Turn, event: Event) -> None:
        """Show one event of the answer."""
        match event:
            case Notice(text, level):
                tell(self, text, "warning" if level == "warning" else "information")
            case Delta(text, True):
                await turn.think(text)
            case Delta(text):
                turn.answer.write(text)
            case Planned(plan):
                chance = dict(plan.route.candidates)
                self.status.expert = " + ".join(_named(choice, chance) for choice in plan.experts)
            case Done(answer, talk, recorded):
                await turn.finish(took(answer))
                turn.recorded, self.talk = recorded, talk
                self.status.answer = answer
            case _:
                pass

    async def _failed(self, turn: Turn, error: ExpertError) -> None:
        await turn.answer.finish()
        turn.tell("")
        await turn.fail(str(error))
        prompt = self.query_one(Prompt)
        if not prompt.text:
            prompt.put(turn.question)

    def action_stop(self) -> None:
        """End the answer that is being written; else go back to the prompt."""
        if self.answering:
            self.answering.stop()
        self.query_one(Prompt).focus()

    # Turns

    @on(Turn.Acted)
    async def _acted(self, event: Turn.Acted) -> None:
        turn, action = event.turn, event.action
        if action == "copy":
            self.app.copy_to_clipboard(turn.answer.text)
            self.notify("The answer is copied.")
        elif action == "why":
            self._show_route(turn.question)
        elif self.answering:
            self.notify("Wait for the answer, or press Esc to stop it.")
        elif action == "edit":
            await self._branch_before(turn)
            self.query_one(Prompt).put(turn.question)
            self.query_one(Prompt).focus()
        elif action == "regenerate":
            await self._branch_before(turn)
            await self.ask(turn.question)
        elif action == "retry":
            self._retry(turn)

    async def _branch_before(self, turn: Turn) -> None:
        """Go back to before *turn*; what came of it is kept in history."""
        turns = self.turns
        for later in turns[turns.index(turn) :]:
            await later.remove()
        if turns[0] is turn:
            self.talk = None

    @work
    async def _retry(self, turn: Turn) -> None:
        with told(self):
            names = [expert.name for expert in self.backend.shelf.experts() if expert.installed]
            name = await self.app.push_screen_wait(Choose("Who is to answer?", ["base", *names]))
            if name:
                chosen = self.backend.answers.choose(() if name == "base" else (name,))
                await self._branch_before(turn)
                await self.ask(turn.question, chosen)

    def action_walk(self, step: int) -> None:
        """Put the focus on the turn before or after the one that has it."""
        turns = self.turns
        if not turns:
            return
        focused = self.focused
        at = turns.index(focused) if isinstance(focused, Turn) else len(turns) - (step > 0)
        if at + step >= len(turns):
            self.query_one(Prompt).focus()
        else:
            turns[max(0, at + step)].focus()

    def show_route(self) -> None:
        """Show who would answer what is written, or who answered last."""
        question = self.query_one(Prompt).text.strip() or (
            self.turns[-1].question if self.turns else ""
        )
        if question:
            self._show_route(question)
        else:
            self.notify("Write a question first.")

    def reload(self) -> None:
        """Learn anew which base there is."""
        self.status.base = None
        self._load()

    def _show_route(self, question: str) -> None:
        with told(self):
            self.app.push_screen(RouteScreen(question, self.backend.answers.route(question)))

    # Conversations

    async def action_new(self) -> None:
        """Begin a new conversation."""
        self.action_stop()
        self.talk = None
        await self.query(Turn).remove()
        await self.query("#welcome").remove()
        self._welcome()
        self.status.title, self.status.answer, self.status.expert = "New conversation", None, ""

    def action_sidebar(self) -> None:
        """Show or hide past conversations."""
        if self.sidebar.shown:
            self.sidebar.hide()
            self.query_one(Prompt).focus()
        else:
            self.sidebar.show("#talks")

    def action_search(self) -> None:
        """Search everything that was ever said."""
        self.sidebar.show("#search")

    @on(Sidebar.Opened)
    async def _opened(self, event: Sidebar.Opened) -> None:
        with told(self):
            await self.open(event.talk)

    async def open(self, talk: int) -> None:
        """Show a past conversation, to go on with it.

        Raises:
            ExpertError: it cannot be read; what is on the screen stays.
        """
        past = self.backend.past.turns(talk)
        await self.action_new()
        await self.query("#welcome").remove()
        scroll = self.query_one("#turns", VerticalScroll)
        for facts in past:
            turn = Turn(facts.question, facts.answer, facts.reasoning)
            turn.recorded = facts.id
            await scroll.mount(turn)
            turn.tell(facts.footer)
        self.talk = talk
        scroll.anchor()
        self._refresh_title()
        self.query_one(Prompt).focus()

    def action_export(self) -> None:
        """Write this conversation as Markdown into the present folder."""
        if self.talk is None:
            self.notify("There is nothing to export yet.")
            return
        with told(self):
            tell(self, f"Exported to {self.backend.past.export(self.talk)}.")

    def action_think(self) -> None:
        """Let the model think before it answers, or not."""
        self.think = not self.think
        self.notify(f"Thinking is {'on' if self.think else 'off'}.")

    @on(Sidebar.Renamed)
    def _refresh_title(self) -> None:
        if self.talk is not None:
            with told(self):
                titles = {talk.id: talk.title for talk in self.backend.past.talks()}
                self.status.title = titles.get(self.talk, "New conversation")
        self.sidebar.current = self.talk
        if self.sidebar.shown:
            self.sidebar.fill()


def _messages(turns: Sequence[Turn]) -> list[Message]:
    """Return what was said so far; a question without an answer was not said."""
    messages = []
    for turn in turns:
        if turn.answer.text:
            messages += [Message("user", turn.question), Message("assistant", turn.answer.text)]
    return messages


def _named(choice: ExpertChoice, chance: dict[str, float]) -> str:
    """Return an expert's name, its scale if it is not 1, and how sure the router was of it."""
    name = choice.name
    scale = "" if choice.scale == 1 else f":{choice.scale:g}"
    sure = f" ({chance[name]:.2f})" if name in chance else ""
    return f"{name}{scale}{sure}"
