"""Files of text, read one bounded line at a time, whatever is in them.

A line that cannot be used is reported with its number and does not end the reading.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import zstandard

from expert.errors import NotFoundError, VerificationError

LONGEST = 16 << 20
"""Characters of a line, element or cell; a longer one is a bad row."""
CHUNK = 1 << 16
PIECE = 1 << 8
"""Packed bytes unpacked at once, which become 8 MB at the very most."""
WINDOW = 1 << 27
"""Bytes of memory that a packed file may ask for: what `zstd --long` asks for."""
PACKED = (".zst", ".gz")
_BETWEEN = re.compile(r"[\s,]*")
_NO_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds at one place: an object, or the reason why there is none."""

    number: int
    """The line, counted from 1; the row where a file has no lines."""
    fields: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or the reason why it is none."""

    number: int
    text: str
    problem: str = ""


@contextmanager
def opened(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Yield a file's text, unpacked if its name ends in .zst or .gz.

    Bytes that are no characters come as surrogates, for `lines` to report.

    Raises:
        NotFoundError: the file cannot be read.
        VerificationError: it is damaged, or not in this encoding.
    """
    try:
        with path.open("rb") as packed, _unpacked(path, packed) as plain:
            escape = "surrogateescape" if _is_utf8(encoding) else "strict"
            yield io.TextIOWrapper(plain, _with_mark(encoding), errors=escape, newline="\n")
    except LookupError as error:
        raise NotFoundError(
            f"There is no encoding {encoding!r}.", "", "Give one such as utf-8, cp1252 or utf-16."
        ) from error
    except (zstandard.ZstdError, EOFError, gzip.BadGzipFile, UnicodeError) as error:
        raise VerificationError(
            f"{path} cannot be read.", f"{error}.", "Check the file, or name its --encoding."
        ) from error
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read.", f"{error.strerror or error}.", "Check the path."
        ) from error


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def _with_mark(encoding: str) -> str:
    return "utf-8-sig" if _is_utf8(encoding) else encoding


@contextmanager
def _unpacked(path: Path, packed: BinaryIO) -> Iterator[BinaryIO]:
    if path.suffix == ".zst":
        yield cast(BinaryIO, io.BufferedReader(ZstdReader(packed)))
    elif path.suffix == ".gz":
        with gzip.open(packed) as plain:
            yield cast(BinaryIO, plain)
    else:
        yield packed


class ZstdReader(io.RawIOBase):
    """Unpacks frames of zstd one after the other; zstandard's own reader is silent about a cut one.

    Raises:
        EOFError: the last frame is cut.
        ZstdError: it is no zstd.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._frame = self._new()
        self._begun = False
        self._plain = memoryview(b"")

    def _new(self) -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* as far as one piece of the file goes; 0 at its end."""
        while not self._plain:
            piece = self._packed.read(PIECE)
            if not piece and self._begun:
                raise EOFError("the file is cut: its last zstd frame does not end")
            if not piece:
                return 0
            self._plain = memoryview(self._unpack(piece))
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _unpack(self, piece: bytes) -> bytes:
        made = []
        while piece:
            self._begun = True
            made.append(self._frame.decompress(piece))
            piece = b""
            if self._frame.eof:
                piece = self._frame.unused_data
                self._frame, self._begun = self._new(), False
        return b"".join(made)


def plain_suffix(path: Path) -> str:
    """Return what a file's name ends in before .zst or .gz, in lower case."""
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def lines(stream: TextIO) -> Iterator[Line]:
    """Yield the lines, blank ones included; what is too long is skipped, never held whole."""
    number = 0
    while text := stream.readline(LONGEST):
        number += 1
        if len(text) == LONGEST and not text.endswith("\n"):
            while (rest := stream.readline(LONGEST)) and not rest.endswith("\n"):
                pass
            yield Line(number, "", f"the line has more than {LONGEST:,} characters")
        elif wrong := _NO_BYTE.search(text):
            byte = ord(wrong[0]) - 0xDC00
            yield Line(number, "", f"the byte 0x{byte:02x} is not UTF-8 (see --encoding)")
        elif "\0" in text:
            yield Line(number, "", "the line holds a NUL byte (see --encoding, if it is UTF-16)")
        else:
            yield Line(number, text.rstrip("\r\n"))


def json_lines(stream: TextIO) -> Iterator[Found]:
    """Yield the objects of JSON Lines (https://jsonlines.org); blank lines are none."""
    for line in lines(stream):
        if line.problem:
            yield Found(line.number, {}, line.problem)
        elif line.text.strip():
            yield found_object(line.number, line.text)


def found_object(number: int, text: str) -> Found:
    """Return the JSON object that a text is, or why it is none."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        return Found(number, {}, "it is nested too deeply")
    except ValueError as error:
        return Found(number, {}, f"it is not JSON: {error}")
    return as_object(number, value)


def as_object(number: int, value: object) -> Found:
    """Return a value as what was found, if it is an object."""
    if isinstance(value, dict):
        return Found(number, value)
    return Found(number, {}, f"it is {type(value).__name__}, not an object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {max(names, key=names.count)!r} is there twice")
    return made


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def json_array(path: Path, stream: TextIO) -> Iterator[Found]:
    """Yield the elements of one JSON array, reading no more of the file than it must.

    Raises:
        VerificationError: the array itself is damaged, so that nothing more can be found.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refused)
    text, start, number, line = stream.read(CHUNK).lstrip(), 1, 0, 1  # after the bracket
    while True:
        start = _between(text, start)
        if text[start : start + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except RecursionError as error:
            raise _broken(path, number + 1, "it is nested too deeply") from error
        except ValueError as error:
            line += text.count("\n", 0, start)
            text, start = text[start:], 0
            more = stream.read(max(CHUNK, len(text)))
            if not more or len(text) > LONGEST:
                at = line + text.count("\n", 0, getattr(error, "pos", 0))
                raise _broken(path, number + 1, f"near line {at}: {error}") from error
            text += more
        else:
            number += 1
            yield as_object(number, value)
            start = end


def _between(text: str, start: int) -> int:
    """Return where the next element may begin."""
    skipped = _BETWEEN.match(text, start)
    return skipped.end() if skipped else start


def _broken(path: Path, number: int, why: str) -> VerificationError:
    return VerificationError(
        f"{path} is damaged at element {number}.",
        f"In an array nothing after it can be found: {why}.",
        "Correct the file, or write one object a line (.jsonl), where one bad row stays one.",
    )


def paragraphs(stream: TextIO) -> Iterator[Found]:
    """Yield blocks of text between blank lines, each as a `text`."""
    block: list[str] = []
    first, size, problem = 1, 0, ""
    for line in lines(stream):
        if line.text.strip() or line.problem:
            if not block and not problem:
                first = line.number
            size += len(line.text)
            problem = problem or line.problem or ("it is too long" if size > LONGEST else "")
            if not problem:
                block.append(line.text)
        elif block or problem:
            yield Found(first, {"text": "\n".join(block)}, problem)
            block, size, problem = [], 0, ""
    if block or problem:
        yield Found(first, {"text": "\n".join(block)}, problem)
