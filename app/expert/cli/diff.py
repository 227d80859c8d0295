"""`expert diff`: what changed between two packages."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Print the differing fields of two manifests; the exit code is 1 if there are any."""
    parser = options.parser("diff", "Show what changed between two packages.")
    parser.add_argument("before", metavar="BEFORE", type=Path)
    parser.add_argument("after", metavar="AFTER", type=Path)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.package.container import inspect
    from expert.package.diff import diff

    changes = diff(inspect(args.before).manifest, inspect(args.after).manifest)
    lines = [f"{c.field}: {_short(c.before)} -> {_short(c.after)}" for c in changes]
    marketplace.emit(args, [asdict(change) for change in changes], lines)
    return 1 if changes else 0


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
