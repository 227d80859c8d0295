"""`expert search`: which experts there are."""

from dataclasses import asdict

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Print the experts that the sources offer and that have the words."""
    parser = options.parser("search", "Search the experts that your sources offer.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="none: list everything")
    parser.add_argument("--limit", type=options.positive, default=20, metavar="N")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market
    from expert.market.search import search

    hits = search(user_market(), " ".join(args.words), args.limit)
    width = max((len(f"{hit.publisher}/{hit.name}") for hit in hits), default=0) + 2
    lines = []
    for hit in hits:
        name = f"{hit.publisher}/{hit.name}"
        mark = f" (installed: {hit.installed})" if hit.installed else ""
        lines.append(f"{name:<{width}}{hit.version:<10}{hit.summary}{mark}")
    lines = lines or ["Nothing was found. `expert source list` shows where was looked."]
    marketplace.emit(args, [asdict(hit) for hit in hits], lines)
    return 0
