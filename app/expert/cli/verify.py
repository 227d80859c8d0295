"""`expert verify`: whether what is installed is what was signed."""

from dataclasses import asdict

from expert.cli import marketplace, options
from expert.errors import VerificationError


def run(arguments: list[str]) -> int:
    """Check installed experts; the exit code tells whether something is wrong."""
    parser = options.parser("verify", "Check that installed experts are what was signed.")
    parser.add_argument("experts", nargs="*", metavar="NAME", help="none: all")
    parser.add_argument("--deep", action="store_true", help="read every byte")
    parser.add_argument("--repair", action="store_true", help="fetch damaged files again")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.health import verify
    from expert.market.market import user_market
    from expert.market.names import pick

    market = user_market()
    restored = marketplace.repair(market) if args.repair else []
    with market.reading() as catalogue:
        packages = catalogue.installed()
    if args.experts:
        packages = [pick(packages, name) for name in args.experts]
    bar = marketplace.progress("verifying")
    problems = verify(market, packages, deep=args.deep, progress=bar)
    lines = [f"restored {label}" for label in restored]
    lines += [f"{p.package}: {p.file or 'manifest'}: {p.what}" for p in problems]
    record = {
        "checked": [package.label for package in packages],
        "restored": restored,
        "problems": [asdict(problem) for problem in problems],
    }
    marketplace.emit(args, record, [*lines, f"{len(packages)} checked, {len(problems)} problems"])
    return VerificationError.code if problems else 0
