"""`expert validate`: whether a package or a source folder is sound."""

from pathlib import Path

from expert.cli import marketplace, options, package_file


def run(arguments: list[str]) -> int:
    """Check every byte of a package, or the manifest and files of a source folder."""
    parser = options.parser("validate", "Check a package file, or the source folder of one.")
    parser.add_argument("path", metavar="PACKAGE|FOLDER", type=Path)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.check import check_package, check_source

    if args.path.is_dir():
        manifest = check_source(args.path)
        marketplace.emit(args, {"label": manifest.label}, [f"{manifest.label} is ready to pack"])
        return 0
    found = check_package(args.path, marketplace.progress("checking"))
    marketplace.emit(args, package_file.record(found), [f"{found.manifest.label} is sound"])
    return 0
