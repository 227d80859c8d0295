"""Reading zstd-compressed JSON Lines, and the hash that everything deterministic is drawn from."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from expert.dataset.files import ZstdReader

Row = dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the objects of a `.jsonl.zst` file, one a line.

    Raises:
        OSError, EOFError, ZstdError, ValueError: it cannot be read, is cut, or is none.
    """
    with path.open("rb") as packed:
        for line in io.TextIOWrapper(io.BufferedReader(ZstdReader(packed)), encoding="utf-8"):
            yield json.loads(line)


def digest(text: str) -> str:
    """Return twelve hexadecimal digits of SHA-256, short enough to list and long enough to be
    unique.
    """
    return sha256(text.encode()).hexdigest()[:12]


def drawn(*key: object) -> random.Random:
    """Return a generator seeded by `key`: a choice depends on the row, not on the order of rows."""
    return random.Random(int(digest("\0".join(map(str, key))), 16))
