"""`expert inspect`: what a package file says, from its first bytes."""

from pathlib import Path

from expert.cli import marketplace, options, package_file


def run(arguments: list[str]) -> int:
    """Print a package's manifest and signer; its files are not read."""
    parser = options.parser("inspect", "Show what is in a package file, without reading it all.")
    parser.add_argument("package", metavar="PACKAGE", type=Path)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.package.container import inspect

    found = inspect(args.package)
    marketplace.emit(args, package_file.record(found), package_file.lines(found))
    return 0
