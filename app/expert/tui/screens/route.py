"""Why this expert: every candidate with its probability, and the reasons."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from expert.screen import one_line
from expert.tui.backend import RouteFacts

BAR = 24  # cells of a full bar


class RouteScreen(ModalScreen[None]):
    """Shows how a question is routed."""

    DEFAULT_CSS = """
    RouteScreen { align: center middle; }
    RouteScreen VerticalScroll {
        width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2; background: $panel;
    }
    RouteScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", id="route.close")]

    def __init__(self, question: str, route: RouteFacts) -> None:
        super().__init__()
        self._question = question
        self._route = route

    def compose(self) -> ComposeResult:
        """Show the question, who answers, all candidates, and the reasons."""
        chosen = one_line(" + ".join(self._route.chosen)) or "the base itself"
        rows = [f"{one_line(self._question)[:200]}", "", f"Answered by {chosen}", ""]
        for name, probability in self._route.candidates:
            bar = "█" * round(probability * BAR)
            rows.append(f"{one_line(name)[:16]:16} {probability:5.0%} {bar}")
        rows += ["", *(f"- {one_line(reason)}" for reason in self._route.reasons)]
        with VerticalScroll():
            yield Static(Content("\n".join(rows)))

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)
