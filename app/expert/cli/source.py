"""`expert source`: where experts come from."""

import argparse
from collections.abc import Callable
from dataclasses import asdict

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """List, add, remove or refresh sources."""
    parser = options.parser("source", "The places experts come from: folders and git repositories.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list the sources (the default)")
    add = actions.add_parser("add", help="add a folder or a git repository")
    add.add_argument("name", metavar="NAME")
    add.add_argument("location", metavar="FOLDER|ADDRESS[#BRANCH]")
    remove = actions.add_parser("remove", help="forget a source")
    remove.add_argument("name", metavar="NAME")
    refresh = actions.add_parser("refresh", help="read sources again, over the network as well")
    refresh.add_argument("names", nargs="*", metavar="NAME", help="none: all")
    for action in (listing, add, remove, refresh):
        options.add_json(action)
    args = parser.parse_args(arguments)
    args.json = getattr(args, "json", False)
    work: dict[str | None, Callable[[argparse.Namespace], int]] = {
        None: _list,
        "list": _list,
        "add": _add,
        "remove": _remove,
        "refresh": _refresh,
    }
    return work[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.sources.registry import list_sources

    entries = list_sources(user_market())
    lines = [
        f"{entry.name:<12}{entry.kind:<9}{entry.refreshed or 'never read':<22}{entry.location}"
        for entry in entries
    ]
    marketplace.emit(args, [asdict(entry) for entry in entries], lines or ["There are no sources."])
    return 0


def _add(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.sources.registry import add_source

    entry = add_source(user_market(), args.name, args.location)
    line = f"added the {entry.kind} {entry.location}; `expert source refresh` reads it"
    marketplace.emit(args, asdict(entry), [line])
    return 0


def _remove(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.sources.registry import remove_source

    remove_source(user_market(), args.name)
    marketplace.emit(args, {"removed": args.name}, [f"removed {args.name}"])
    return 0


def _refresh(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.sources.registry import refresh, source_troubles

    done = refresh(user_market(), args.names, online=True)
    marketplace.warn(source_troubles(done))
    rows = [
        {
            "name": one.name,
            "packages": one.packages,
            "rejected": [asdict(other) for other in one.rejected],
            "error": None if one.error is None else one.error.as_dict(),
        }
        for one in done
    ]
    lines = [f"{one.name}: {one.packages} packages" for one in done if one.error is None]
    marketplace.emit(args, rows, lines)
    return next((one.error.code for one in done if one.error is not None), 0)
