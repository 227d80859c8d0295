"""One turn of the conversation on the screen: the question, thoughts, the answer, what it took."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Collapsible, Static

from expert.screen import one_line, screen_text
from expert.tui.backend import RouteFacts
from expert.tui.widgets.answer import AnswerView


class Turn(Vertical, can_focus=True):
    """A question and its answer; while it has the focus, single keys act on it."""

    DEFAULT_CSS = """
    Turn { height: auto; padding: 0 1 0 1; margin: 0 0 1 0; border-left: outer transparent; }
    Turn:focus { border-left: outer $accent; }
    Turn .question { color: $text-accent; text-style: bold; height: auto; }
    Turn .footer { color: $text-muted; height: auto; }
    Turn .problem { color: $text-error; height: auto; }
    Turn Collapsible { border: none; padding: 0; background: transparent; }
    Turn .thoughts { color: $text-muted; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "act('copy')", "Copy", id="turn.copy"),
        Binding("r", "act('regenerate')", "Regenerate", id="turn.regenerate"),
        Binding("e", "act('edit')", "Edit", id="turn.edit"),
        Binding("w", "act('why')", "Why", id="turn.why"),
        Binding("x", "act('retry')", "Other expert", id="turn.retry"),
    ]

    class Acted(Message):
        """The user wants something done with this turn."""

        def __init__(self, turn: "Turn", action: str) -> None:
            super().__init__()
            self.turn = turn
            self.action = action

    def __init__(self, question: str, answer: str = "", reasoning: str = "") -> None:
        super().__init__()
        self.question = question
        self.answer = AnswerView(answer)
        self.finished = bool(answer)
        self.message = question
        """The question as the model got it, with the files that it mentions."""
        self.expert = ""
        """Who answered, the first of several; empty: the base itself."""
        self.route: RouteFacts | None = None
        """How it was decided who answers, if it was decided just now."""
        self.recorded: int | None = None
        """Its number in the history."""
        self._thoughts = [reasoning] if reasoning else []
        self._footer = Static(markup=False, classes="footer")

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered."""
        return "".join(self._thoughts)

    def compose(self) -> ComposeResult:
        """Show the question at once, the answer below."""
        yield Static(Content(f"❯ {screen_text(self.question)}"), classes="question")
        if self._thoughts:
            yield _thoughts(self.reasoning)
        yield self.answer
        yield self._footer

    async def think(self, text: str) -> None:
        """Add to the thoughts, which are folded away."""
        self._thoughts.append(text)
        if not self.query(Collapsible):
            await self.mount(_thoughts(""), before=self.answer)
        self.query_one(".thoughts", Static).update(Content(screen_text(self.reasoning)))
        title = f"thoughts ({len(self.reasoning.split())} words)"
        self.query_one(Collapsible).title = title

    def tell(self, text: str) -> None:
        """Say below the answer what it took, or what is happening."""
        self._footer.update(Content(one_line(text)))

    async def fail(self, what: str) -> None:
        """Say why there is no answer, or not all of it."""
        await self.mount(Static(Content(screen_text(what)), classes="problem"), before=self._footer)
        self.finished = True

    async def finish(self, footer: str) -> None:
        """Show the whole answer and what it took."""
        await self.answer.finish()
        self.tell(footer)
        self.finished = True

    def action_act(self, action: str) -> None:
        """Hand a wish on to the screen."""
        self.post_message(self.Acted(self, action))


def _thoughts(text: str) -> Collapsible:
    shown = Static(Content(screen_text(text)), classes="thoughts")
    return Collapsible(shown, title="thoughts", collapsed=True)
