"""Every key, every command, and what may stand in a question."""

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

Rows: TypeAlias = Sequence[tuple[str, str]]


class HelpScreen(ModalScreen[None]):
    """Shows sections of keys and commands."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll {
        width: 84; max-width: 95%; height: auto; max-height: 90%; padding: 1 2; background: $panel;
    }
    HelpScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", id="help.close")]

    def __init__(self, sections: Sequence[tuple[str, Rows]]) -> None:
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        """Show the sections below each other."""
        with VerticalScroll():
            for number, (title, rows) in enumerate(self._sections):
                gap = "\n" if number else ""
                yield Static(Content(f"{gap}{title}").stylize("bold"))
                width = max(len(what) for what, _ in rows) + 2
                yield Static(Content("\n".join(f"{what:{width}}{does}" for what, does in rows)))

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)


def keys_of(part: type[App[object]] | type[DOMNode]) -> Rows:
    """Return the keys that a part of the program binds itself, as people write them."""
    bindings = [binding for binding in part.BINDINGS if isinstance(binding, Binding)]
    return [(", ".join(map(key_name, b.key.split(","))), b.description) for b in bindings]


def key_name(key: str) -> str:
    """Return a key as people write it: `Ctrl+N`, `Alt+Up`, `y`."""
    names = {"escape": "Esc", "plus": "+", "minus": "-"}
    *held, last = key.split("+")
    shown = names.get(last, last if len(last) == 1 and not held else last.capitalize())
    return "+".join([*(part.capitalize() for part in held), shown])
