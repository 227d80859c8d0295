"""`expert conflicts`: how much two adapters get in each other's way."""

import json

from expert.cli import options


def run(arguments: list[str]) -> int:
    """Measure two adapters' interference; a high one is a warning, not an error."""
    parser = options.parser("conflicts", "Measure how much two experts' adapters interfere.")
    parser.add_argument("experts", nargs=2, metavar="FILE")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.errors import VerificationError
    from expert_converters.errors import ConversionError
    from expert_converters.interference import WARNING_OVERLAP, measure

    one, other = options.experts(args)
    try:
        found = measure(one.adapter, other.adapter)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    worst = found.worst(3)
    if args.json:
        record = {
            "overlap": found.overlap,
            "cosine": found.cosine,
            "warning": found.warning,
            "threshold": WARNING_OVERLAP,
            "worst": {name: found.matrices[name].cosine for name in worst},
        }
        print(json.dumps(record))
        return 0
    print(
        f"overlap {found.overlap:.3f} (warning from {WARNING_OVERLAP:g}), cosine {found.cosine:.3f}"
    )
    for name in worst:
        print(f"  {name}: cosine {found.matrices[name].cosine:+.3f}")
    if found.warning:
        print("these experts change the same things: try them together before you rely on it")
    return 0
