"""A tiny data folder of requests for songs, in the form of SNIPS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zstandard

WORDS = (
    "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "small",
    "birds", "sing",
)  # fmt: skip


def write_songs(folder: Path, count: int = 120, *, broken: bool = False) -> Path:
    """Write training and validation rows; a *broken* one lacks its text."""
    rows = [_song(number) for number in range(count)]
    train: list[dict[str, Any]] = rows[: max(0, count - 10)]
    if broken:
        train = [*train[:50], {"json": {}}, *train[50:]]
    _write(folder / "experts/json/snips_train.jsonl.zst", train)
    _write(folder / "experts/json/snips_valid.jsonl.zst", rows[-20:])
    return folder


def _song(number: int) -> dict[str, Any]:
    name = f"{WORDS[number % 14]} {WORDS[number % 11]}"
    answer = {"intent": "PlayMusic", "slots": {"track": name}}
    return {"text": f"play {name} number {number}", "json": answer, "tags": []}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor().compress(lines.encode()))
