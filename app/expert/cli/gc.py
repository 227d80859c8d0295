"""`expert gc`: free the space of what nothing needs."""

from dataclasses import asdict

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Remove old states, and the packages and files that only they needed."""
    parser = options.parser("gc", "Free the space of experts that are not active any more.")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument(
        "--keep", type=int, default=5, metavar="N", help="states to keep for `rollback` (default 5)"
    )
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.health import collect
    from expert.market.market import user_market

    removal = collect(user_market(), dry_run=args.dry_run, keep=max(args.keep, 0))
    verb = "would remove" if args.dry_run else "removed"
    lines = [f"{verb} {label}" for label in removal.packages]
    lines.append(f"{verb} {removal.blobs} files, {marketplace.megabytes(removal.bytes)}")
    marketplace.emit(args, asdict(removal), lines)
    return 0
