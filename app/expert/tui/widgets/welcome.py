"""What an empty conversation shows: what this is, and three questions to try."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static

EXAMPLES = (
    "find all files ending in .txt below the current directory",
    "JSON: play some jazz by miles davis",
    "colour=green; size=large; shape=round; size?",
)
WELCOME = """\
Ask anything. The right expert answers; nothing leaves this machine.

Try one of these (Tab, then Enter):"""
MORE = "/ begins a command, @ names an expert or a file, F1 shows all keys."


class Welcome(Vertical):
    """An invitation, with examples to choose from."""

    DEFAULT_CSS = """
    Welcome { padding: 0 1; color: $text-muted; height: auto; }
    Welcome Static { padding: 0 1; height: auto; }
    Welcome OptionList { height: auto; border: none; background: transparent; margin: 1 0; }
    """

    class Chosen(Message):
        """The user wants to try an example."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def compose(self) -> ComposeResult:
        """Show the words above the examples."""
        yield Static(WELCOME, markup=False)
        yield OptionList(*EXAMPLES, id="examples", markup=False)
        yield Static(MORE, markup=False)

    @on(OptionList.OptionSelected, "#examples")
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(EXAMPLES[event.option_index]))
