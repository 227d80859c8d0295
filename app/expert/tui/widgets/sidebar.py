"""Past conversations: listed, searched, renamed, put away and brought back."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from expert.screen import one_line
from expert.tui.backend import Past, TalkFacts
from expert.tui.screens.ask_text import AskText
from expert.tui.telling import told


class Sidebar(Vertical):
    """The list of conversations under a box that searches all that was said in them."""

    DEFAULT_CSS = """
    Sidebar { width: 32; background: $panel; padding: 0 1; display: none; }
    Sidebar OptionList { height: 1fr; border: none; background: transparent; padding: 0; }
    Sidebar OptionList:focus { border: none; }
    Sidebar Input { border: tall $border-blurred; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f8", "rename", "Rename", id="sidebar.rename"),
        Binding("delete", "put_away", "Delete", id="sidebar.delete"),
        Binding("ctrl+z", "undo", "Undo", id="sidebar.undo"),
    ]
    current: reactive[int | None] = reactive(None)
    """The conversation on the screen."""

    class Opened(Message):
        """The user wants to go on with a conversation."""

        def __init__(self, talk: int) -> None:
            super().__init__()
            self.talk = talk

    class Renamed(Message):
        """A conversation has another title."""

    def __init__(self, past: Past) -> None:
        super().__init__()
        self._past = past
        self._deleted: list[int] = []

    def compose(self) -> ComposeResult:
        """Show the search box above the list."""
        yield Input(placeholder="Search all conversations", id="search")
        yield OptionList(id="talks")

    @property
    def shown(self) -> bool:
        """Whether it is on the screen."""
        return self.display

    def show(self, widget: str) -> None:
        """Come up, with the focus on the list (`#talks`) or on the box (`#search`)."""
        self.display = True  # at once, so that what is typed next already goes there
        self.screen.set_focus(self.query_one(widget))
        self.fill()
        self.query_one(widget).focus()  # once more, when everything asked before is done

    def hide(self) -> None:
        """Go away."""
        self.display = False

    @on(Input.Changed, "#search")
    def fill(self) -> None:
        """List what is looked for, each day once above its own conversations."""
        with told(self):
            self._show(self._past.talks(self.query_one("#search", Input).value))

    def _show(self, talks: Sequence[TalkFacts]) -> None:
        listed = self.query_one("#talks", OptionList)
        at = listed.highlighted
        listed.clear_options()
        day = ""
        for talk in talks:
            if talk.when != day:
                day = talk.when
                listed.add_option(Option(Content(one_line(day)).stylize("dim"), disabled=True))
            mark = "▸ " if talk.id == self.current else "  "
            listed.add_option(Option(Content(mark + one_line(talk.title)), id=str(talk.id)))
        if at is not None and talks:
            listed.highlighted = min(at, listed.option_count - 1)

    @on(OptionList.OptionSelected, "#talks")
    def _open(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(self.Opened(int(event.option.id)))

    @property
    def _chosen(self) -> int | None:
        option = self.query_one("#talks", OptionList).highlighted_option
        return int(option.id) if option and option.id else None

    @work
    async def action_rename(self) -> None:
        """Give the conversation under the cursor another title."""
        talk = self._chosen
        title = await self.app.push_screen_wait(AskText("New title")) if talk else ""
        if talk and title:
            with told(self):
                self._past.rename(talk, title)
                self.fill()
                self.post_message(self.Renamed())

    def action_put_away(self) -> None:
        """Delete the conversation under the cursor, until it is wanted back."""
        if talk := self._chosen:
            with told(self):
                self._past.delete(talk)
                self._deleted.append(talk)
                self.fill()
                self.notify("The conversation is deleted. Ctrl+Z brings it back.")

    def action_undo(self) -> None:
        """Bring the conversation back that was deleted last."""
        if self._deleted:
            with told(self):
                self._past.restore(self._deleted[-1])
                self._deleted.pop()
                self.fill()
                self.notify("The conversation is back.")
