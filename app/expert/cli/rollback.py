"""`expert rollback`: back to what was installed before."""

from dataclasses import asdict

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Return to the state before the last change, or to a numbered one."""
    parser = options.parser("rollback", "Return to what was installed before the last change.")
    parser.add_argument("number", nargs="?", type=int, metavar="N", help="this state")
    parser.add_argument("--list", action="store_true", help="list the states there are")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market
    from expert.market.remove import rollback

    market = user_market()
    if args.list:
        with market.reading() as catalogue:
            states = catalogue.generations()
        lines = [
            f"{'*' if state.active else ' '} {state.number:>4}  {state.created:<22}{state.reason}"
            for state in states
        ]
        marketplace.emit(args, [asdict(state) for state in states], lines)
        return 0
    state = rollback(market, args.number)
    with market.reading() as catalogue:
        labels = [package.label for package in catalogue.installed()]
    lines = [f"State {state.number} is in force again: {', '.join(labels) or 'nothing installed'}."]
    marketplace.emit(args, asdict(state) | {"installed": labels}, lines)
    return 0
