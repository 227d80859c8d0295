"""`expert new`: the source folder of a new expert."""

from pathlib import Path

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Write a manifest and a README to be filled in."""
    parser = options.parser("new", "Start a new expert: write its source folder.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="named like the expert")
    parser.add_argument("--publisher", default="me", metavar="NAME", help="who will publish it")
    options.add_model(parser)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.publish import new_expert

    manifest = new_expert(args.folder, args.publisher, marketplace.present_base(args))
    marketplace.emit(args, {"manifest": str(manifest)}, [f"{manifest}: fill it in, then pack it"])
    return 0
