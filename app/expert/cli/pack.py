"""`expert pack`: a package from a source folder."""

from pathlib import Path

from expert.cli import marketplace, options, package_file


def run(arguments: list[str]) -> int:
    """Pack a folder, and sign the package if a key is given."""
    parser = options.parser("pack", "Make a package of a source folder.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("-o", "--output", metavar="PACKAGE", type=Path)
    parser.add_argument("-k", "--key", metavar="KEY", type=Path, help="sign with this private key")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.check import check_source
    from expert.package.keys import read_private_key
    from expert.package.pack import pack

    manifest = check_source(args.folder)
    name = f"{manifest.publisher}-{manifest.name}-{manifest.version}.expert"
    output = args.output or Path(name)
    key = None if args.key is None else read_private_key(args.key)
    found = pack(args.folder, output, key, marketplace.progress("packing"))
    record = package_file.record(found) | {"path": str(output)}
    marketplace.emit(args, record, [f"{output}:", *package_file.lines(found)])
    return 0
