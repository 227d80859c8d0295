"""`expert fuse`: several adapters as one, for good."""

import json
from dataclasses import asdict
from pathlib import Path

from expert.cli import options


def run(arguments: list[str]) -> int:
    """Fuse adapters into one file and say what was kept."""
    parser = options.parser("fuse", "Fuse several experts' adapters into one adapter file.")
    parser.add_argument("experts", nargs="+", metavar="FILE[:SCALE]")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
    parser.add_argument("--rank", type=options.positive, metavar="R", help="approximate by rank R")
    parser.add_argument("--type", choices=("f32", "f16", "bf16", "q8_0"), help="type of the result")
    parser.add_argument("--base", metavar="MODEL", help="check that the result fits this base")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.errors import VerificationError
    from expert.models import find_model
    from expert_converters.errors import ConversionError
    from expert_converters.fuse import FuseJob, fuse

    chosen = options.experts(args)
    base = find_model(args.base).path if args.base else None
    parts = [(choice.adapter, choice.scale) for choice in chosen]
    try:
        report = fuse(FuseJob(parts, args.output, args.rank, args.type, base))
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    if args.json:
        print(json.dumps(asdict(report) | {"path": str(args.output)}))
        return 0
    print(f"{args.output}: rank {report.rank}, {report.nbytes / 1e6:.1f} MB")
    if args.rank:
        print(f"{report.energy:.1%} of the experts' weight is kept")
    return 0
