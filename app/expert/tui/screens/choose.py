"""A question on top of the screen with a few answers to choose from."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from expert.screen import one_line


class Choose(ModalScreen[str]):
    """Returns the chosen answer; empty when none was."""

    DEFAULT_CSS = """
    Choose { align: center middle; }
    Choose Vertical { width: 50; max-width: 90%; height: auto; padding: 1 2; background: $panel; }
    Choose Label { width: 100%; height: auto; }
    Choose OptionList { height: auto; max-height: 12; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", id="choose.leave")]

    def __init__(self, question: str, answers: Sequence[str]) -> None:
        super().__init__()
        self._question = question
        self._answers = answers

    def compose(self) -> ComposeResult:
        """Show the question above the answers."""
        with Vertical():
            yield Label(one_line(self._question), markup=False)
            yield OptionList(*(Option(Content(one_line(answer))) for answer in self._answers))

    def on_mount(self) -> None:
        """Put the cursor on the first answer."""
        self.query_one(OptionList).highlighted = 0

    @on(OptionList.OptionSelected)
    def _done(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._answers[event.option_index])

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss("")
