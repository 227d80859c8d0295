"""`expert update`: newer versions of what is installed."""

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Update, or only say what could be updated."""
    parser = options.parser("update", "Update installed experts, all that you asked for or some.")
    parser.add_argument("experts", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="only say what would change")
    parser.add_argument("--offline", action="store_true", help="do not ask sources on the network")
    marketplace.add_install_options(parser)
    args = parser.parse_args(arguments)
    from expert.market.install import available_updates, update
    from expert.market.market import user_market
    from expert.market.sources.registry import refresh, source_troubles

    market = user_market()
    choices = marketplace.install_options(args)
    marketplace.warn(source_troubles(refresh(market, online=not args.offline)))
    if not args.check:
        bar = marketplace.progress("updating")
        done = update(market, args.experts, choices, marketplace.confirmation(args), bar)
        return marketplace.report(args, done)
    plan = available_updates(market, args.experts, choices)
    marketplace.warn(plan.warnings)
    record = {
        "install": [one.manifest.label for one in plan.additions],
        "remove": [package.label for package in plan.removals],
    }
    marketplace.emit(args, record, marketplace.plan_lines(plan) or ["Everything is up to date."])
    return 0
