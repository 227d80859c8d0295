"""Messages beside the conversation; what fails below is told there and never ends the program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from textual.app import App
from textual.widget import Widget

from expert.errors import ExpertError
from expert.screen import screen_text


def tell(
    on: Widget | App[None],
    text: str,
    severity: Literal["information", "warning", "error"] = "information",
) -> None:
    """Show a message, whose text may come from anywhere: nothing in it acts on the screen."""
    on.notify(screen_text(text), severity=severity, markup=False)


@contextmanager
def told(on: Widget | App[None]) -> Iterator[None]:
    """Tell an error of the block, and go on after it."""
    try:
        yield
    except ExpertError as error:
        tell(on, str(error), "error")
