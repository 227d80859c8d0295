"""`expert sign`: put a signature on a package."""

from pathlib import Path

from expert.cli import marketplace, options, package_file


def run(arguments: list[str]) -> int:
    """Sign with a key file, or attach what `ssh-keygen -Y sign` made of the manifest."""
    parser = options.parser("sign", "Sign a package.")
    parser.add_argument("package", metavar="PACKAGE", type=Path)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("-k", "--key", metavar="KEY", type=Path, help="private key")
    how.add_argument(
        "--signature",
        metavar="FILE",
        type=Path,
        help="made by: ssh-keygen -Y sign -n expert-manifest@v1 -f KEY MANIFEST",
    )
    how.add_argument(
        "--manifest", metavar="FILE", type=Path, help="only write what is to be signed"
    )
    parser.add_argument("-o", "--output", metavar="PACKAGE", type=Path, help="default: in place")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.package.container import inspect
    from expert.package.keys import read_private_key
    from expert.package.output import new_file
    from expert.package.pack import attach, sign

    if args.manifest is not None:
        found = inspect(args.package)
        with new_file(args.manifest) as out:
            out.write(found.manifest_bytes)
        marketplace.emit(args, {"path": str(args.manifest)}, [str(args.manifest)])
        return 0
    if args.key is not None:
        found = sign(args.package, read_private_key(args.key), args.output)
    else:
        found = attach(args.package, marketplace.read_file(args.signature), args.output)
    record = package_file.record(found) | {"path": str(args.output or args.package)}
    marketplace.emit(args, record, package_file.lines(found))
    return 0
