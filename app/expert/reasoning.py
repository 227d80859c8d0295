"""Telling a model's reasoning, between <think> and </think>, from its answer as both stream."""

from collections.abc import Iterator

from expert.types import Delta

_OPEN, _CLOSE = "<think>", "</think>"


class ReasoningSplitter:
    """Sorts streamed text into reasoning and answer.

    Reasoning can only stand before the answer. Newlines around the tags belong to the tags, as
    in Qwen3's template.
    """

    def __init__(self, *, inside: bool = False) -> None:
        """*inside*: the prompt itself already opened the reasoning."""
        self._reasoning = inside
        self._undecided = not inside
        self._held = ""
        self._at_start = True

    def push(self, text: str) -> Iterator[Delta]:
        """Add streamed text and yield what can be told apart now."""
        self._held += text
        if self._undecided:
            self._decide()
        if self._reasoning:
            yield from self._split_reasoning()
        if not self._undecided and not self._reasoning:
            yield from self._take(len(self._held), reasoning=False)

    def finish(self) -> Iterator[Delta]:
        """Yield what was still held back."""
        reasoning, self._undecided = self._reasoning, False
        yield from self._take(len(self._held), reasoning=reasoning)

    def _decide(self) -> None:
        """Find out whether the text begins with an opening tag."""
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._held = start.removeprefix(_OPEN)
            self._undecided, self._reasoning = False, True
        elif not _OPEN.startswith(start):
            self._undecided = False
            self._at_start = False  # an answer that was never reasoned about keeps its spaces

    def _split_reasoning(self) -> Iterator[Delta]:
        end = self._held.find(_CLOSE)
        if end >= 0:
            yield from self._take(len(self._held[:end].rstrip()), reasoning=True)
            self._held = self._held[self._held.find(_CLOSE) + len(_CLOSE) :]
            self._reasoning, self._at_start = False, True
            return
        safe = len(self._held.rstrip())
        for size in range(min(len(_CLOSE) - 1, len(self._held)), 0, -1):
            if _CLOSE.startswith(self._held[-size:]):
                safe = len(self._held[:-size].rstrip())
                break
        yield from self._take(safe, reasoning=True)

    def _take(self, size: int, *, reasoning: bool) -> Iterator[Delta]:
        text, self._held = self._held[:size], self._held[size:]
        if self._at_start:
            text = text.lstrip()
        if text:
            self._at_start = False
            yield Delta(text, reasoning)
