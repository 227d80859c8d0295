"""The conversation: what was said, what is being answered, and where the next question goes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from expert.editor import edited
from expert.errors import ExpertError, ResourceError
from expert.rendering import with_attachments
from expert.tui.answering import events_of
from expert.tui.asking import How
from expert.tui.backend import Answering, Backend, RouteFacts, route_facts
from expert.tui.commands import called
from expert.tui.completing import Known
from expert.tui.mentions import read_mentions
from expert.tui.screens.choose import Choose
from expert.tui.screens.route import RouteScreen
from expert.tui.slash import obey
from expert.tui.telling import tell, told
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.sidebar import Sidebar
from expert.tui.widgets.status import StatusLine
from expert.tui.widgets.suggestions import Suggestions
from expert.tui.widgets.turn import Turn
from expert.tui.widgets.turns import Turns
from expert.tui.widgets.welcome import Welcome
from expert.tui.words import named, took
from expert.types import Delta, Done, Event, ExpertChoice, Notice, Planned


class ChatScreen(Screen[None]):
    """One conversation on the screen."""

    CSS = """
    #talk { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop"),
        Binding("ctrl+n", "new", "New", id="chat.new"),
        Binding("ctrl+s", "sidebar", "History", id="chat.history"),
        Binding("ctrl+r", "search", "Search", show=False, id="chat.search"),
        Binding("ctrl+g", "edit", "Editor", show=False, id="chat.editor"),
        Binding("ctrl+t", "think", "Thinking", show=False, id="chat.think"),
        Binding("f9", "export", "Export", show=False, id="chat.export"),
        Binding("alt+up", "walk(-1)", "Earlier turn", show=False, id="chat.earlier"),
        Binding("alt+down", "walk(1)", "Later turn", show=False, id="chat.later"),
    ]

    def __init__(self, backend: Backend, how: How) -> None:
        super().__init__()
        self.backend = backend
        self.how = how
        self.status = StatusLine()
        self.sidebar = Sidebar(backend.past)
        self.suggestions = Suggestions(Known(self.installed, self._models, Path()))
        self._installed: Sequence[str] | None = None
        self.answering: Answering | None = None
        """The answer that is being written."""

    def compose(self) -> ComposeResult:
        """Lay the screen out: status, history beside the conversation, prompt, keys."""
        yield self.status
        with Horizontal():
            yield self.sidebar
            with Vertical(id="talk"):
                yield Turns()
                yield self.suggestions
                yield Prompt(self.suggestions)
        yield Footer()

    def on_mount(self) -> None:
        """Begin empty, and learn in the background which base there is."""
        self.query_one(Prompt).focus()
        self._load()

    def on_screen_resume(self) -> None:
        """Look anew at what is installed, which may have changed on another screen."""
        self._installed = None

    def installed(self) -> Sequence[str]:
        """Return the names of the installed experts."""
        if self._installed is None:
            self._installed = []
            with told(self):
                self._installed = self.backend.shelf.installed()
        return self._installed

    def _models(self) -> Sequence[str]:
        with told(self):
            return [model.name for model in self.backend.answers.models()]
        return []

    @property
    def turns(self) -> list[Turn]:
        """The turns on the screen, the first one first."""
        return self.query_one(Turns).all

    @work(thread=True, group="load")
    def _load(self) -> None:
        try:
            base = self.backend.answers.base
        except ExpertError as error:
            self.app.call_from_thread(tell, self, str(error), "error")
            return
        self.app.call_from_thread(setattr, self.status, "base", base)

    @on(Welcome.Chosen)
    def _take_example(self, event: Welcome.Chosen) -> None:
        prompt = self.query_one(Prompt)
        prompt.put(event.text)
        prompt.focus()

    # Asking

    @on(Prompt.Sent)
    async def _sent(self, event: Prompt.Sent) -> None:
        prompt, command = self.query_one(Prompt), called(event.text)
        if command is None and self.answering:
            self.notify("One answer at a time: press Esc to stop the present one.")
            return
        with told(self):  # what is refused stays in the prompt
            if command:
                await obey(self, command)
            else:
                await self.ask(event.text)
            if prompt.text.strip() == event.text:
                prompt.text = ""

    async def ask(self, question: str, experts: tuple[ExpertChoice, ...] | None = None) -> None:
        """Show a question and begin its answer; None: whoever is to answer here.

        Raises:
            ExpertError: a file that it mentions cannot be attached.
        """
        mentioned = read_mentions(question, self.installed(), Path())
        how = self.how if experts is None else replace(self.how, experts=experts)
        request = how.request(mentioned, self.turns)
        turn = Turn(question)
        turn.message = with_attachments(request.messages, request.attachments)[-1].content
        answering = self.backend.answers.ask(request)
        await self.query_one(Turns).add(turn)
        turn.tell("…")
        self.answering = answering
        self._answer(turn, answering)

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
                self.status.expert = named(plan.experts, dict(plan.route.candidates))
                turn.route = route_facts(plan)
            case Done(answer, talk, recorded):
                await turn.finish(took(answer))
                turn.expert = next((use.name for use in answer.experts), "")
                turn.recorded, self.how.talk = recorded, talk
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

    def action_edit(self) -> None:
        """Write the question in the editor of one's choice, which takes the terminal meanwhile."""
        prompt = self.query_one(Prompt)
        with told(self):
            try:
                with self.app.suspend():
                    text = edited(prompt.text)
            except SuspendNotSupported as error:
                raise ResourceError("This terminal cannot be lent to an editor.") from error
            prompt.put(text)
        prompt.focus()

    def let_answer(self, experts: tuple[ExpertChoice, ...] | None) -> None:
        """Choose who answers from now on; None: whoever fits the question best."""
        self.how.experts = experts
        self.status.expert = named(experts or ())
        words = "Whoever fits the question" if experts is None else "The base itself"
        tell(self, f"{named(experts or ()) or words} answers from now on.")

    def use_model(self, name: str) -> None:
        """Let another base answer from now on; not while the present one is needed."""
        if self.answering:
            self.notify("Wait for the answer, or press Esc to stop it.")
            return
        with told(self):
            self.backend.answers.use_model(name)
            self.reload()
            tell(self, f"{name} answers from now on.")

    # Turns

    @on(Turn.Acted)
    async def _acted(self, event: Turn.Acted) -> None:
        turn, action = event.turn, event.action
        if action == "copy":
            self.copy_answer(turn)
        elif action == "why" and turn.route:
            self._show_route(turn.question, turn.route)
        elif action == "why":
            self._preview_route(turn.question)
        elif self.answering:
            self.notify("Wait for the answer, or press Esc to stop it.")
        elif action == "edit":
            await self._branch_before(turn)
            self.query_one(Prompt).put(turn.question)
            self.query_one(Prompt).focus()
        elif action == "regenerate":
            await self.ask_again(turn)
        elif action == "retry":
            self._retry(turn)

    def copy_answer(self, turn: Turn) -> None:
        """Copy exactly what the model wrote."""
        self.app.copy_to_clipboard(turn.answer.text)
        self.notify("The answer is copied.")

    async def ask_again(self, turn: Turn, experts: tuple[ExpertChoice, ...] | None = None) -> None:
        """Ask the question of a turn anew; what came of it is kept in history."""
        if self.answering:
            self.notify("Wait for the answer, or press Esc to stop it.")
            return
        with told(self):
            read_mentions(turn.question, self.installed(), Path())  # else the turn would be lost
            await self._branch_before(turn)
            await self.ask(turn.question, experts)

    async def _branch_before(self, turn: Turn) -> None:
        """Go back to before *turn*; what came of it is kept in history."""
        if self.turns[0] is turn:
            self.how.talk = None
        await self.query_one(Turns).cut(turn)

    @work
    async def _retry(self, turn: Turn) -> None:
        with told(self):
            names = ["base", *self.backend.shelf.installed()]
            name = await self.app.push_screen_wait(Choose("Who is to answer?", names))
            if name:
                chosen = self.backend.answers.choose(() if name == "base" else (name,))
                await self.ask_again(turn, chosen)

    def action_walk(self, step: int) -> None:
        """Put the focus on the turn before or after the one that has it; at the end, go back."""
        if not self.query_one(Turns).walk(step):
            self.query_one(Prompt).focus()

    def show_route(self) -> None:
        """Show who would answer what is written, or who answered last."""
        question = self.query_one(Prompt).text.strip() or (
            self.turns[-1].question if self.turns else ""
        )
        if question:
            self._preview_route(question)
        else:
            self.notify("Write a question first.")

    def reload(self) -> None:
        """Learn anew which base there is."""
        self.status.base = None
        self._load()

    def _preview_route(self, question: str) -> None:
        with told(self):
            mentioned = read_mentions(question, self.installed(), Path())
            request = self.how.request(mentioned, self.turns)
            self._show_route(question, self.backend.answers.route(request))

    def _show_route(self, question: str, route: RouteFacts) -> None:
        self.app.push_screen(RouteScreen(question, route))

    # Conversations

    async def action_new(self) -> None:
        """Begin a new conversation; the answer under way ends in its own one."""
        self.action_stop()
        self.workers.cancel_group(self, "answer")
        self.answering = None
        self.how.talk = None
        await self.query_one(Turns).clear()
        self.status.title, self.status.answer = "New conversation", None
        self.status.expert = named(self.how.experts or ())

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
        for facts in past:
            turn = Turn(facts.question, facts.answer, facts.reasoning)
            turn.recorded, turn.expert = facts.id, facts.expert
            await self.query_one(Turns).add(turn)
            turn.tell(facts.footer)
        self.how.talk = talk
        self._refresh_title()
        self.query_one(Prompt).focus()

    def action_export(self) -> None:
        """Write this conversation as Markdown into the present folder."""
        if self.how.talk is None:
            self.notify("There is nothing to export yet.")
            return
        with told(self):
            tell(self, f"Exported to {self.backend.past.export(self.how.talk)}.")

    def action_think(self) -> None:
        """Let the model think before it answers, or not."""
        self.how.think = not self.how.think
        self.notify(f"Thinking is {'on' if self.how.think else 'off'}.")

    @on(Sidebar.Renamed)
    def _refresh_title(self) -> None:
        if self.how.talk is not None:
            with told(self):
                titles = {talk.id: talk.title for talk in self.backend.past.talks()}
                self.status.title = titles.get(self.how.talk, "New conversation")
        self.sidebar.current = self.how.talk
        if self.sidebar.shown:
            self.sidebar.fill()
