"""Cuts SQL into words, names, texts, numbers and signs as it is written, byte by byte."""

from dataclasses import dataclass

_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
_DIGITS = frozenset(b"0123456789")
_SPACE = frozenset(b" \t\r\n")
_QUOTES = {b'"'[0]: '"', b"`"[0]: "`", b"'"[0]: "'"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of SQL: *kind* is word, number, sign, or the quote that stands around its text."""

    kind: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Scanner:
    """The piece being read: what kind of piece, what of it is there, and if its quote closed."""

    kind: str = ""
    text: bytes = b""
    closed: bool = False

    def feed(self, data: bytes) -> tuple["Scanner", list[Piece]]:
        """Return the scanner after *data*, and the pieces that it completed."""
        pieces: list[Piece] = []
        kind, text, closed = self.kind, bytearray(self.text), self.closed
        for byte in data:
            if kind and not _goes_on(kind, byte, closed):
                pieces.append(Piece(kind, bytes(text)))
                kind, closed = "", False
                text.clear()
            if not kind:
                kind = _begin(byte)
                if kind in ("word", "number"):
                    text.append(byte)
                elif kind == "sign":
                    pieces.append(Piece("sign", bytes((byte,))))
                    kind = ""
            elif kind in ("word", "number"):
                text.append(byte)
            elif byte == ord(kind) and not closed:
                closed = True
            else:  # inside a quotation, where a doubled quote stands for one
                text.append(byte)
                closed = False
        return Scanner(kind, bytes(text), closed), pieces

    def end(self) -> list[Piece] | None:
        """Return the last piece, or None inside a quotation."""
        if not self.kind:
            return []
        complete = self.kind in ("word", "number") or self.closed
        return [Piece(self.kind, self.text)] if complete else None


def _goes_on(kind: str, byte: int, closed: bool) -> bool:
    if kind == "word":
        return byte in _WORD
    if kind == "number":
        return byte in _DIGITS or byte == ord(".")
    return not closed or byte == ord(kind)


def _begin(byte: int) -> str:
    if byte in _SPACE:
        return ""
    if byte in _DIGITS:
        return "number"
    if byte in _WORD:
        return "word"
    return _QUOTES.get(byte, "sign")
