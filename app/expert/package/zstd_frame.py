"""Walks a zstd frame before any of it is decompressed (RFC 8878, section 3.1).

zstandard ignores output limits when a frame states its size, and stops without a word at the end of
a first frame. Here the frame must state the size that the manifest signs, need little memory, use
no dictionary, and end exactly where the member ends.
"""

from typing import BinaryIO

_MAGIC = b"\x28\xb5\x2f\xfd"
_CONTENT_SIZE = {0: (0, 0), 1: (2, 256), 2: (4, 0), 3: (8, 0)}
"""Bytes of the content size field and what is added to it, by its flag."""
_RLE, _RESERVED = 1, 3
_MAX_BLOCK = 128 * 1024


def frame_problem(stream: BinaryIO, stored: int, size: int, window_limit: int) -> str | None:
    """Return why the next *stored* bytes are not one frame of *size* bytes, or None if they are.

    Args:
        stream: a seekable stream; it is left where the walk ended.
        stored: bytes of the frame.
        size: bytes it must hold.
        window_limit: memory it may ask of a decoder, in bytes.
    """
    end = stream.tell() + stored
    try:
        problem, checksum = _header_problem(stream, size, window_limit)
        return problem or _blocks_problem(stream, end, 4 if checksum else 0)
    except EOFError:
        return "the frame ends early"


def _header_problem(stream: BinaryIO, size: int, window_limit: int) -> tuple[str | None, bool]:
    if _take(stream, 4) != _MAGIC:
        return "it is not a zstd frame", False
    descriptor = _take(stream, 1)[0]
    checksum = bool(descriptor & 0x04)
    if descriptor & 0x1B:
        return "the frame uses a dictionary or reserved bits", checksum
    single_segment = bool(descriptor & 0x20)
    window = 0 if single_segment else _window(_take(stream, 1)[0])
    width, offset = _CONTENT_SIZE[descriptor >> 6]
    if width == 0 and single_segment:
        width = 1
    content = int.from_bytes(_take(stream, width), "little") + offset if width else None
    if content != size:
        return f"the frame states {content} bytes instead of {size}", checksum
    if (size if single_segment else window) > window_limit:
        return f"the frame needs a window above {window_limit >> 20} MiB", checksum
    return None, checksum


def _window(byte: int) -> int:
    base = 1 << (10 + (byte >> 3))
    return base + base // 8 * (byte & 7)


def _blocks_problem(stream: BinaryIO, end: int, trailer: int) -> str | None:
    last = False
    while not last:
        block = int.from_bytes(_take(stream, 3), "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED or size > _MAX_BLOCK:
            return "the frame has a block that zstd does not know"
        if stream.seek(1 if kind == _RLE else size, 1) > end:
            return "the frame goes on after the member"
    if stream.tell() + trailer != end:
        return "something follows the frame"
    return None


def _take(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
