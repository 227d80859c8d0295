"""The frame walk accepts every frame that zstd makes of known contents, and no damaged size."""

import io
import random

import pytest
import zstandard

from expert.package.limits import LIMITS
from expert.package.zstd_frame import frame_problem


def contents(size: int, kind: str) -> bytes:
    """Return bytes that compress well, badly, or not at all."""
    source = random.Random(size)
    if kind == "zeros":
        return bytes(size)
    if kind == "noise":
        return source.randbytes(size)
    return bytes(source.choices(b"abcdefgh \n", k=size))


def problem(frame: bytes, size: int, stored: int | None = None) -> str | None:
    """Walk a frame that stands behind other bytes."""
    stream = io.BytesIO(b"before" + frame + b"behind")
    stream.seek(6)
    return frame_problem(stream, len(frame) if stored is None else stored, size, LIMITS.window)


@pytest.mark.parametrize("level", [1, 3, 9])
@pytest.mark.parametrize("kind", ["zeros", "noise", "text"])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_791, 65_792, 131_072, 131_073, 1_000_003])
def test_real_frames_are_accepted(level: int, kind: str, size: int) -> None:
    """Of every width of the size field, of one block and of many, with and without a checksum."""
    data = contents(size, kind)
    for checksum in (False, True):
        frame = zstandard.ZstdCompressor(level, write_checksum=checksum).compress(data)
        assert problem(frame, size) is None
        assert problem(frame, size + 1) is not None
        assert problem(frame, size, len(frame) + 1) is not None
        assert problem(frame, size, len(frame) - 1) is not None


def test_frames_written_piece_by_piece_are_accepted() -> None:
    """As packing does."""
    data = contents(3_000_000, "text")
    encoder = zstandard.ZstdCompressor(3).compressobj(size=len(data))
    pieces = [encoder.compress(data[start : start + 65536]) for start in range(0, len(data), 65536)]
    assert problem(b"".join(pieces) + encoder.flush(), len(data)) is None


def test_what_is_accepted_decodes_to_its_size() -> None:
    """Random damage is found by the walk, or by the decoder, or leaves the size as it is."""
    data = contents(5000, "text")
    frame = zstandard.ZstdCompressor(3).compress(data)
    source = random.Random(2)
    accepted = 0
    for _ in range(5000):
        damaged = bytearray(frame)
        damaged[source.randrange(len(frame))] ^= 1 << source.randrange(8)
        if problem(bytes(damaged), len(data)) is not None:
            continue
        accepted += 1
        try:
            decoded = zstandard.ZstdDecompressor().decompress(bytes(damaged))
        except zstandard.ZstdError:
            continue
        assert len(decoded) == len(data)
    assert accepted > 1000


def test_every_truncation_is_refused() -> None:
    """Wherever a frame is cut."""
    frame = zstandard.ZstdCompressor(3).compress(contents(5000, "text"))
    for length in range(len(frame)):
        stream = io.BytesIO(frame[:length])
        assert frame_problem(stream, length, 5000, LIMITS.window) is not None
