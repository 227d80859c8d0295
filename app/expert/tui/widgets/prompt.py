"""Where the question is written: Enter sends, and it grows with what is typed."""

from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from expert.screen import symbols
from expert.tui.widgets.suggestions import Suggestions

NEWLINE_KEYS = frozenset({"shift+enter", "alt+enter", "ctrl+j"})


class Prompt(TextArea):
    """A text box that sends with Enter and remembers what was sent."""

    DEFAULT_CSS = """
    Prompt { height: auto; max-height: 10; padding: 0 1; }
    Prompt { border: none; border-left: outer $border-blurred; }
    Prompt:focus { border: none; border-left: outer $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", show=False, id="prompt.send"),
        Binding(
            "shift+enter,alt+enter,ctrl+j", "newline", "New line", show=False, id="prompt.newline"
        ),
    ]

    class Sent(Message):
        """The user sent a question."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, suggestions: Suggestions) -> None:
        super().__init__(highlight_cursor_line=False, placeholder="Ask anything", id="prompt")
        self._suggestions = suggestions
        self._sent: list[str] = []
        self._at = 0  # which of the sent ones is shown; len(_sent): none

    async def _on_key(self, event: events.Key) -> None:
        """Keep Enter for sending; an arrow at the edge walks through what was sent."""
        if event.key == "tab":
            self._follow()  # what was typed just before it may not have been followed yet
        if self._suggestions.chosen and event.key in ("tab", "up", "down", "escape"):
            self._stop(event)
            self._suggest(event.key)
        elif event.key == "enter":
            self._stop(event)
            self.action_send()
        elif event.key in NEWLINE_KEYS:
            self._stop(event)
            self.action_newline()
        elif event.key == "up" and self.cursor_location[0] == 0 and self._at > 0:
            self._stop(event)
            self._recall(self._at - 1)
        elif event.key == "down" and self._at < len(self._sent) and self._on_last_line:
            self._stop(event)
            self._recall(self._at + 1)
        else:
            await super()._on_key(event)

    def _suggest(self, key: str) -> None:
        """Take what is suggested, another of it, or none."""
        chosen, begun = self._suggestions.chosen, self._suggestions.begun
        if key == "escape":
            self._suggestions.hide()
        elif key != "tab":
            self._suggestions.walk(1 if key == "down" else -1)
        elif chosen:
            row, column = self.cursor_location
            self.replace(
                chosen.text + (" " if chosen.ends else ""),
                (row, column - len(begun)),
                (row, column),
            )

    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def _follow(self) -> None:
        self._suggestions.follow(self.get_text_range((0, 0), self.cursor_location))

    @property
    def _on_last_line(self) -> bool:
        return self.cursor_location[0] == self.document.line_count - 1

    def _stop(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()

    def get_line(self, line_index: int) -> Text:
        """Return a line as it is shown: what was pasted does not act on the terminal."""
        return Text(symbols(self.document.get_line(line_index)), end="", no_wrap=True)

    def action_send(self) -> None:
        """Send what is written, if anything is."""
        text = self.text.strip()
        if text:
            self._sent.append(text)
            self._at = len(self._sent)
            self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def put(self, text: str) -> None:
        """Show *text*, ready to be changed."""
        self.text = text
        self.move_cursor(self.document.end)

    def _recall(self, index: int) -> None:
        self._at = index
        self.put(self._sent[index] if index < len(self._sent) else "")
