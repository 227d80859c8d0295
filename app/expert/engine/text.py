"""From token bytes to whole characters, stopping before a stop sequence is shown."""

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of successive tokens into text that is safe to show at once.

    Bytes of an unfinished UTF-8 character wait for the rest; bytes that never become a character
    come out as lone surrogates (PEP 383), so that a pipe still receives them unchanged. Text that
    may be the start of a stop sequence waits until that is decided.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False
        """A stop sequence was met; nothing more will come out."""

    def push(self, piece: bytes) -> str:
        """Add the bytes of a token and return the text that can be shown now."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """Return what was still held back."""
        rest = self._release(self._decoder.decode(b"", final=True))
        rest, self._held = rest + self._held, ""
        return rest

    def _release(self, text: str) -> str:
        if not self._stops:
            return text
        if self.stopped:
            return ""
        self._held += text
        found = [self._held.find(stop) for stop in self._stops if stop in self._held]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        split = len(self._held) - self._undecided()
        shown, self._held = self._held[:split], self._held[split:]
        return shown

    def _undecided(self) -> int:
        """Return how many characters at the end may begin a stop sequence."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
