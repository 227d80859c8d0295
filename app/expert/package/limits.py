"""How large the parts of a package may be; one place, so that every reader agrees."""

from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK = 1 * MIB
"""Bytes that are read, hashed or written at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on a package; what exceeds one is refused before it is stored."""

    preview: int = 64 * KIB
    """Bytes that always hold manifest and signature, so that one read previews a package."""
    manifest: int = 60 * KIB
    signature: int = 2 * KIB
    total: int = 8 * GIB - 1
    """Bytes of all files unpacked; also the largest size a ustar header can state."""
    ratio: int = 200
    """Unpacked over packed size of a file."""
    window: int = 8 * MIB
    """Memory that a zstd decoder must keep."""
    depth: int = 16
    """Nesting of the manifest's `extra` table."""


LIMITS = Limits()
