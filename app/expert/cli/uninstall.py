"""`expert uninstall`: experts that are not wanted any more."""

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Make experts inactive, with what only they needed."""
    parser = options.parser("uninstall", "Remove experts; `rollback` brings them back until `gc`.")
    parser.add_argument("experts", nargs="+", metavar="NAME")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market
    from expert.market.remove import uninstall

    gone = [package.label for package in uninstall(user_market(), args.experts)]
    marketplace.emit(args, {"removed": gone}, [f"removed {label}" for label in gone])
    return 0
