"""From a question on the screen to the request that asks it."""

from collections.abc import Sequence
from dataclasses import dataclass

from expert.tui.mentions import Mentioned
from expert.tui.widgets.turn import Turn
from expert.types import ExpertChoice, Message, Request


@dataclass(slots=True)
class How:
    """How questions are asked in this conversation."""

    experts: tuple[ExpertChoice, ...] | None = None
    """Who is to answer; None: whoever fits the question best."""
    system: str | None = None
    max_tokens: int | None = None
    """None: as the experts or the settings say."""
    think: bool = False
    talk: int | None = None
    """Its number in the history; None: nothing is recorded yet."""

    def request(self, question: Mentioned, turns: Sequence[Turn]) -> Request:
        """Return a question as the next turn after *turns*.

        Experts that it names itself count more than those chosen before.
        """
        before = [Message("system", self.system)] if self.system else []
        recorded = [turn.recorded for turn in turns if turn.recorded]
        return Request(
            [*before, *_said(turns), Message("user", question.text)],
            None if question.names_expert else self.experts,
            attachments=question.files,
            max_tokens=self.max_tokens,
            think=self.think,
            truncate=True,
            conversation=self.talk,
            parent=recorded[-1] if recorded else None,
            previous=(turns[-1].expert if turns else "") or None,
            origin="tui",
        )


def _said(turns: Sequence[Turn]) -> list[Message]:
    """Return what was said so far; a question without an answer was not said."""
    messages = []
    for turn in turns:
        if turn.answer.text:
            messages += [Message("user", turn.message), Message("assistant", turn.answer.text)]
    return messages
