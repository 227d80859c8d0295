"""A recipe with a person's own rows, and files of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support.tiny_training import tiny_recipe

SETTINGS: Mapping[str, Any] = {
    "file": "rows.jsonl", "heldout": "test.jsonl", "metric": "exact",
}  # fmt: skip


def own_recipe(folder: Path, **settings: Any) -> Path:
    """Write the folder of a tiny expert whose one task, `mine`, has files; None takes a setting
    out.
    """
    path = tiny_recipe(folder)
    kept = {key: value for key, value in {**SETTINGS, **settings}.items() if value is not None}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in kept.items())
    text = path.read_text(encoding="utf-8").replace('tasks = ["snips"]', 'tasks = ["mine"]')
    text = text.replace("[tasks.snips]\n", f"[tasks.mine]\n{lines}")
    path.write_text(text, encoding="utf-8")
    return path


def write_rows(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    """Write JSON Lines; a text is a line as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def heads(first: int, last: int) -> list[dict[str, str]]:
    """Return requests to show some lines of a file, with the command."""
    return [
        {"prompt": f"show the first {n} lines", "answer": f"head -n {n}"}
        for n in range(first, last)
    ]  # fmt: skip
