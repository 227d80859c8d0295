"""Where the question is written: Enter sends, and it grows with what is typed."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

NEWLINE_KEYS = frozenset({"shift+enter", "alt+enter", "ctrl+j"})


class Prompt(TextArea):
    """A text box that sends with Enter and remembers what was sent."""

    DEFAULT_CSS = """
    Prompt { height: auto; max-height: 10; border: tall $border-blurred; padding: 0 1; }
    Prompt:focus { border: tall $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="prompt.send"),
        Binding("shift+enter,alt+enter,ctrl+j", "newline", "New line", id="prompt.newline"),
    ]

    class Sent(Message):
        """The user sent a question."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            compact=True, highlight_cursor_line=False, placeholder="Ask anything", id="prompt"
        )
        self._sent: list[str] = []
        self._at = 0  # which of the sent ones is shown; len(_sent): none

    async def _on_key(self, event: events.Key) -> None:
        """Keep Enter for sending; an arrow at the edge walks through what was sent."""
        if event.key == "enter":
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

    @property
    def _on_last_line(self) -> bool:
        return self.cursor_location[0] == self.document.line_count - 1

    def _stop(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()

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
