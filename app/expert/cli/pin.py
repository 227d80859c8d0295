"""`expert pin`: keep updates of an expert off, or within a range."""

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Pin, unpin, or list the pins."""
    parser = options.parser("pin", "Keep an expert at its version, or updates within a range.")
    parser.add_argument("expert", nargs="?", metavar="NAME[@RANGE]", help="none: list the pins")
    parser.add_argument("--off", action="store_true", help="let updates go on")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.errors import UsageError
    from expert.market.market import user_market
    from expert.market.remove import pin, unpin

    market = user_market()
    if args.expert is None and args.off:
        raise UsageError("No expert is named.", "", "Say which: expert pin NAME --off")
    if args.expert is None:
        with market.reading() as catalogue:
            pins = catalogue.pins()
        lines = [f"{name}  {allowed}" for name, allowed in pins.items()]
        marketplace.emit(args, pins, lines or ["No expert is pinned."])
        return 0
    if args.off:
        name = unpin(market, args.expert)
        marketplace.emit(args, {"name": name, "range": None}, [f"{name} is no longer pinned."])
        return 0
    name, allowed = pin(market, args.expert)
    marketplace.emit(args, {"name": name, "range": allowed}, [f"{name} stays within {allowed}."])
    return 0
