"""`expert install`: experts by name, from package files, or as a lock file lists them."""

from pathlib import Path

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Install, after showing who signed what and asking."""
    parser = options.parser("install", "Install experts, after showing what and whose they are.")
    parser.add_argument(
        "experts", nargs="*", metavar="EXPERT", help="NAME, NAME@RANGE or a .expert file"
    )
    parser.add_argument("--lock", type=Path, metavar="FILE", help="exactly what a lock file lists")
    parser.add_argument(
        "--allow-unsigned", action="store_true", help="accept package files that nobody signed"
    )
    marketplace.add_install_options(parser)
    args = parser.parse_args(arguments)
    if bool(args.experts) == (args.lock is not None):
        parser.error("give experts, or --lock FILE")
    from expert.market.install import install
    from expert.market.lockfile import install_lock
    from expert.market.market import user_market

    choices, confirm = marketplace.install_options(args), marketplace.confirmation(args)
    bar = marketplace.progress("installing")
    if args.lock is None:
        done = install(user_market(), args.experts, choices, confirm, bar)
    else:
        done = install_lock(user_market(), marketplace.read_file(args.lock), choices, confirm, bar)
    return marketplace.report(args, done)
