"""`expert migrate`: packages of the first `.expert` format, there and back."""

from pathlib import Path

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Read an old package into the present form, or write a present one in the old form."""
    parser = options.parser("migrate", "Bring packages of the first .expert format over, or back.")
    parser.add_argument("package", metavar="OLD", type=Path, help="package or folder")
    parser.add_argument("-o", "--output", metavar="NEW", type=Path, required=True)
    parser.add_argument("--to", choices=("expert", "tar.gz"), default="expert")
    parser.add_argument("--publisher", default="me", metavar="NAME", help="who will publish it")
    parser.add_argument("--convert", action="store_true", help="store the adapter as GGUF")
    parser.add_argument("--rank", type=options.positive, help="approximate DoRA and IA3 by a LoRA")
    options.add_model(parser)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    if args.to == "tar.gz":
        from expert.package.legacy_write import write_legacy

        write_legacy(args.package, args.output)
        marketplace.emit(args, {"path": str(args.output)}, [str(args.output)])
        return 0
    from expert.market.migrate import migrate
    from expert.models import find_model

    base = find_model(options.config(args).model).path
    done = migrate(
        args.package, args.output, args.publisher, base, convert=args.convert, rank=args.rank
    )
    record = {"path": str(args.output), "label": done.manifest.label, "notes": done.notes}
    marketplace.warn(done.notes)
    marketplace.emit(args, record, [f"{args.output}: {done.manifest.label}"])
    return 0
