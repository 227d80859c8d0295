"""`expert bundle`: experts and base models in one file, for machines with no network."""

import argparse
from pathlib import Path

from expert.cli import marketplace, options
from expert.paths import user_paths


def run(arguments: list[str]) -> int:
    """Create or install a bundle."""
    parser = options.parser("bundle", "Carry experts and base models to machines with no network.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="write installed experts into one file")
    create.add_argument("bundle", metavar="FILE", type=Path)
    create.add_argument("experts", nargs="*", metavar="NAME")
    create.add_argument(
        "-m", "--model", action="append", default=[], metavar="NAME", help="base model; repeatable"
    )
    options.add_json(create)
    install = actions.add_parser("install", help="install everything in a bundle")
    install.add_argument("bundle", metavar="FILE", type=Path)
    marketplace.add_consent(install)
    options.add_json(install)
    args = parser.parse_args(arguments)
    return _create(args) if args.action == "create" else _install(args)


def _create(args: argparse.Namespace) -> int:
    from expert.errors import UsageError
    from expert.market.bundle import create_bundle
    from expert.market.market import user_market
    from expert.models import find_model

    if not (args.experts or args.model):
        raise UsageError(
            "The bundle would be empty.",
            "It takes along what is named, and with it what that needs.",
            "Name experts, see `expert list`, or base models with -m.",
        )
    bases = [find_model(name).path for name in args.model]
    bar = marketplace.progress("bundling")
    index = create_bundle(user_market(), args.bundle, args.experts, bases, bar)
    names = [member.name for member in index.members]
    marketplace.emit(args, {"path": str(args.bundle), "members": names}, names)
    return 0


def _install(args: argparse.Namespace) -> int:
    from expert.market.bundle import install_bundle
    from expert.market.market import user_market
    from expert.market.plan import Options

    # The bundle may bring the base model itself, so the one in use says nothing.
    done = install_bundle(
        user_market(),
        args.bundle,
        user_paths().models,
        Options(),
        marketplace.confirmation(args),
        marketplace.progress("installing"),
    )
    for path in done.bases:
        marketplace.warn([f"base model {path}"])
    return marketplace.report(args, done.done)
