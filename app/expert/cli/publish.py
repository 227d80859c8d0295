"""`expert publish`: put a package where others find it."""

from pathlib import Path

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Copy a signed package into a folder or source; to git it is pushed."""
    parser = options.parser("publish", "Publish a signed package to a folder or git source.")
    parser.add_argument("package", metavar="PACKAGE", type=Path)
    parser.add_argument("target", metavar="SOURCE|FOLDER")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market
    from expert.market.publish import publish

    place = publish(user_market(), args.package, args.target)
    marketplace.emit(args, {"path": str(place)}, [f"published {place}"])
    return 0
