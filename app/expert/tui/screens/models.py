"""The base models on this machine, and which one answers."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from expert.screen import one_line
from expert.tui.backend import Backend, BaseFacts
from expert.tui.telling import told
from expert.tui.words import size, tokens


class ModelsScreen(Screen[str]):
    """Returns the name of the base that is to answer; empty when nothing changes."""

    CSS = """
    #models { height: 1fr; border: none; }
    .hint { padding: 1 1; color: $text-muted; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", id="models.back")]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self._models: list[BaseFacts] = []

    def compose(self) -> ComposeResult:
        """List the models."""
        yield Static("Base models", classes="heading")
        yield OptionList(id="models")
        yield Static("`expert model pull` fetches larger ones.", classes="hint", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Fill the list."""
        with told(self):
            self._models = list(self.backend.answers.models())
        listed = self.query_one("#models", OptionList)
        listed.add_options(Option(Content(_row(model))) for model in self._models)
        if self._models:
            listed.highlighted = 0
        listed.focus()

    @on(OptionList.OptionSelected, "#models")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._models[event.option_index].name)

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss("")


def _row(model: BaseFacts) -> str:
    embedded = ", embedded" if model.embedded else ""
    return one_line(f"{model.name}: {size(model.size)}, {tokens(model.context)} tokens{embedded}")
