"""Splitting streamed Markdown at its code fences, so that code can be shown as it comes.

Inside an open fence a Markdown parser must start over with every token; outside it need not.
The rules for fences are those of CommonMark 0.31, section 4.5, at the top level of a document.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_OPENING = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_MAYBE_OPENING = re.compile(r" {0,3}(`{0,2}|~{0,2}|`{3,}[^`]*|~{3,}.*)")


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown outside of fences."""

    text: str


@dataclass(frozen=True, slots=True)
class FenceOpened:
    """A fence begins; *info* names the language, if the model said it."""

    info: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text inside the open fence."""

    text: str


@dataclass(frozen=True, slots=True)
class FenceClosed:
    """The open fence ends."""


Piece: TypeAlias = Prose | FenceOpened | Code | FenceClosed


class FenceSplitter:
    """Tells prose from code in text that arrives in pieces of any size.

    The beginning of a line waits only while it may still become a fence.
    """

    def __init__(self) -> None:
        self._held = ""  # the beginning of a line that is not decided yet
        self._decided = False  # the current line is known to be no fence
        self._fence = ""  # the opening fence; empty outside

    def push(self, text: str) -> Iterator[Piece]:
        """Add text and yield what is decided."""
        for part in re.findall(r"[^\n]*\n|[^\n]+", text):
            if self._decided:
                yield self._plain(part)
            else:
                self._held += part
                yield from self._decide()
            if part.endswith("\n"):
                self._decided = False

    def finish(self) -> Iterator[Piece]:
        """Yield what still waited."""
        held, self._held = self._held, ""
        if held:
            yield from self._whole_line(held)

    def _decide(self) -> Iterator[Piece]:
        line = self._held
        if line.endswith("\n"):
            self._held = ""
            yield from self._whole_line(line)
        elif not self._may_be_fence(line):
            self._held, self._decided = "", True
            yield self._plain(line)

    def _whole_line(self, line: str) -> Iterator[Piece]:
        bare = line.rstrip("\r\n")
        if self._fence and self._closes(bare):
            self._fence = ""
            yield FenceClosed()
        elif not self._fence and (match := _OPENING.fullmatch(bare)) and _plausible(match):
            self._fence = match["fence"]
            yield FenceOpened(match["info"].strip())
        else:
            yield self._plain(line)

    def _may_be_fence(self, line: str) -> bool:
        bare = line.rstrip("\r")
        if self._fence:
            return bool(re.fullmatch(rf" {{0,3}}{re.escape(self._fence[0])}*[ \t]*", bare))
        return bool(_MAYBE_OPENING.fullmatch(bare))

    def _closes(self, line: str) -> bool:
        pattern = rf" {{0,3}}{re.escape(self._fence[0])}{{{len(self._fence)},}}[ \t]*"
        return bool(re.fullmatch(pattern, line))

    def _plain(self, text: str) -> Piece:
        return Code(text) if self._fence else Prose(text)


def _plausible(match: re.Match[str]) -> bool:
    """Tell a fence of backticks from code in a line, which may hold no backtick after them."""
    return match["fence"][0] == "~" or "`" not in match["info"]
