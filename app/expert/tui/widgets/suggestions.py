"""What may take the place of the word that is being written, listed above the prompt."""

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from expert.screen import one_line
from expert.tui.completing import Completion, Known, completions


class Suggestions(OptionList, can_focus=False):
    """A list that comes up while a command, an expert, a model or a file is being named."""

    DEFAULT_CSS = """
    Suggestions {
        display: none; height: auto; max-height: 10; border: none; padding: 0 2;
        background: $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Suggestions.-shown { display: block; }
    """

    def __init__(self, known: Known) -> None:
        super().__init__(id="suggestions")
        self._known = known
        self._found: list[Completion] = []
        self._before = ""
        self.begun = ""
        """What stands before the cursor and would be replaced."""

    @property
    def chosen(self) -> Completion | None:
        """The one under the cursor; None: nothing is offered."""
        return (
            self._found[self.highlighted] if self._found and self.highlighted is not None else None
        )

    def follow(self, before: str) -> None:
        """Offer what fits the text before the cursor; nothing again that was refused for it."""
        if before == self._before:
            return
        self._before = before
        self.begun, self._found = completions(before, self._known)
        self.clear_options()
        self.add_options(Option(_row(one)) for one in self._found)
        self.highlighted = 0 if self._found else None
        self.set_class(bool(self._found), "-shown")

    def walk(self, step: int) -> None:
        """Move the cursor, around the ends."""
        if self.highlighted is not None:
            self.highlighted = (self.highlighted + step) % len(self._found)

    def hide(self) -> None:
        """Offer nothing."""
        self._found = []
        self.remove_class("-shown")


def _row(completion: Completion) -> Content:
    name = Content(f"{one_line(completion.text):<20}")
    return name + Content(f" {completion.about}").stylize("dim")
