"""`expert route`: who would answer a prompt, with which parameters, and why."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import marketplace, options, routing, stdin

if TYPE_CHECKING:
    from expert.router.types import Choice, Route
    from expert.types import Attachment


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("route", "Show which experts would answer a prompt, and why.")
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="the prompt")
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a file that comes with it; repeatable",
    )
    parser.add_argument("--previous", metavar="NAME", help="the expert that answered before")
    parser.add_argument("--no-stdin", action="store_true", help="do not read standard input")
    routing.add_source(parser)
    options.add_json(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Route one prompt and print the decision; nothing is generated."""
    args = build_parser().parse_args(arguments)
    from expert.errors import UsageError
    from expert.router.types import RouteRequest

    attachments = tuple(_attachments(args))
    if not args.prompt and not attachments:
        raise UsageError("The prompt is empty.", "", 'Ask something: expert route "…"')
    request = RouteRequest(args.prompt or "", attachments, args.previous)
    with routing.opened(args) as router:
        route = router.route(request)
    marketplace.emit(args, asdict(route), _lines(route))
    return 0


def _attachments(args: argparse.Namespace) -> "Iterator[Attachment]":
    from expert.collecting import Deadline
    from expert.types import Attachment

    for path in args.files:
        raw = marketplace.read_file(path)
        yield Attachment(path.name, raw.decode("utf-8", "replace"))
    if not args.no_stdin and stdin.piped() and (text := stdin.read(Deadline(None), hint=True)):
        yield Attachment("standard input", text)


def _lines(route: "Route") -> Iterator[str]:
    if not route.choices:
        yield "the base model"
    for choice in route.choices:
        scale = f" at {choice.scale:g}" if choice.scale < 1 else ""
        yield f"{choice.name}{scale}"
    yield from (f"  {reason}" for reason in route.reasons)
    stated = {key: value for key, value in asdict(route.parameters).items() if value}
    settings = ", ".join(f"{key} {value}" for key, value in stated.items())
    yield f"task: {route.task}" + (f" ({settings})" if settings else "")
    yield from _table((*route.choices, *route.alternatives), route.none)


def _table(choices: "tuple[Choice, ...]", none: float) -> Iterator[str]:
    width = max((len(choice.name) for choice in choices), default=4) + 2
    for choice in choices[:8]:
        yield f"{choice.name:<{width}}{choice.probability:6.1%}"
    yield f"{'none':<{width}}{none:6.1%}"
