"""A question on top of the screen that is answered with a line of text."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from expert.screen import one_line


class AskText(ModalScreen[str | None]):
    """Returns what was typed; None when it was left."""

    DEFAULT_CSS = """
    AskText { align: center middle; }
    AskText Vertical { width: 60; max-width: 90%; height: auto; padding: 1 2; background: $panel; }
    AskText Label { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", id="text.leave")]

    def __init__(self, question: str, text: str = "") -> None:
        super().__init__()
        self._question = question
        self._text = text

    def compose(self) -> ComposeResult:
        """Show the question above the line."""
        with Vertical():
            yield Label(one_line(self._question), markup=False)
            yield Input(self._text)

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Answer nothing."""
        self.dismiss(None)
