"""`expert extract`: the files of a package."""

from pathlib import Path

from expert.cli import marketplace, options, package_file


def run(arguments: list[str]) -> int:
    """Unpack a package into a new folder, from which it can be packed again."""
    parser = options.parser("extract", "Unpack a package into a new folder.")
    parser.add_argument("package", metavar="PACKAGE", type=Path)
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.package.pack import extract

    found = extract(args.package, args.output, marketplace.progress("extracting"))
    record = package_file.record(found) | {"path": str(args.output)}
    marketplace.emit(args, record, [f"{args.output}: {len(found.manifest.files)} files"])
    return 0
