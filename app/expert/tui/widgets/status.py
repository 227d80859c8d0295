"""The line above everything: which base, which expert, how full the context is, how quick."""

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from expert.screen import one_line
from expert.tui.backend import BaseFacts
from expert.tui.words import tokens
from expert.types import Answer

SHORTEST = 12
"""Cells of a title that are shown in any case."""


class StatusLine(Static):
    """Shows what answers, as far as it is known."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; background: $panel; color: $text; }
    """
    title: reactive[str] = reactive("New conversation")
    base: reactive[BaseFacts | None] = reactive(None)
    expert: reactive[str] = reactive("")
    answer: reactive[Answer | None] = reactive(None)

    def render(self) -> Content:
        """Return the line; the title gives way where there is not room for all."""
        parts = [self.base.name if self.base else "loading …"]
        parts.append(f"● {self.expert}" if self.expert else "○ base")
        if self.base and self.answer:
            used = self.answer.timings.prompt_tokens + self.answer.timings.answer_tokens
            parts.append(f"ctx {tokens(used)}/{tokens(self.base.context)}")
            if self.answer.timings.decode_tokens_per_s:
                parts.append(f"{self.answer.timings.decode_tokens_per_s:.0f} tok/s")
        facts = one_line(" · ".join(parts))
        title, room = Content(one_line(self.title)), self.size.width - cell_len(facts) - 3
        title = title.truncate(max(SHORTEST, room), ellipsis=True)
        return title + Content(f" · {facts}")
