"""`expert list`: what is installed."""

from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options

if TYPE_CHECKING:
    from expert.market.market import Market
    from expert.market.records import Installed


def run(arguments: list[str]) -> int:
    """Print installed experts, one a line, or a lock file of them."""
    parser = options.parser("list", "List installed experts.")
    parser.add_argument(
        "--lock", action="store_true", help="print a lock file for `install --lock`"
    )
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market

    market = user_market()
    if args.lock:
        from expert.market.lockfile import write_lock

        print(write_lock(market).decode(), end="")
        return 0
    packages, pins = _installed(market)
    rows = [
        {
            "name": package.qualified_name,
            "version": package.version,
            "summary": package.summary,
            "bytes": package.size,
            "trust": package.trust,
            "source": package.source,
            "requested": package.requested,
            "selected": package.selected,
            "pinned": pins.get(package.qualified_name),
            "id": package.id,
        }
        for package in packages
    ]
    width = max((len(f"{row['name']}@{row['version']}") for row in rows), default=0) + 2
    lines = [_line(row, width) for row in rows]
    marketplace.emit(args, rows, lines or ["No experts are installed. See `expert search`."])
    return 0


def _installed(market: "Market") -> "tuple[list[Installed], dict[str, str]]":
    """Return what is installed and pinned; looking must not create anything."""
    if not market.store.database.exists():
        return [], {}
    with market.reading() as catalogue:
        return catalogue.installed(), catalogue.pins()


def _line(row: dict[str, Any], width: int) -> str:
    label = f"{row['name']}@{row['version']}"
    marks = [] if row["trust"] == "signed" else [str(row["trust"])]
    marks += [] if row["requested"] else ["needed by others"]
    marks += [f"pinned to {row['pinned']}"] if row["pinned"] else []
    mark = f"  ({', '.join(marks)})" if marks else ""
    return f"{'*' if row['selected'] else ' '} {label:<{width}}{row['summary']}{mark}"
