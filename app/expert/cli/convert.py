"""`expert convert`: checkpoints and adapters from Hugging Face's form to GGUF, and back."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from expert.cli import options

MODEL_TYPES = ("f32", "f16", "bf16", "q8_0")
QUANTISED_TYPES = ("q2_k", "q3_k_m", "q4_0", "q4_k_m", "q5_k_m", "q6_k")


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("convert", "Convert checkpoints and adapters to GGUF, and back.")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    model = kinds.add_parser("model", help="a Hugging Face checkpoint to a GGUF model")
    model.add_argument("source", metavar="DIR", type=Path)
    model.add_argument("--type", choices=MODEL_TYPES + QUANTISED_TYPES, default="q8_0")
    adapter = kinds.add_parser("adapter", help="a PEFT adapter of any kind to GGUF")
    adapter.add_argument("source", metavar="DIR", type=Path)
    adapter.add_argument("--type", choices=MODEL_TYPES, default="q8_0")
    adapter.add_argument(
        "--rank", type=options.positive, metavar="R",
        help="approximate DoRA or IA3 as a LoRA of this rank, instead of merging into a new base",
    )  # fmt: skip
    peft = kinds.add_parser("peft", help="a GGUF adapter back to a PEFT folder")
    peft.add_argument("source", metavar="FILE", type=Path)
    for kind in (adapter, peft):
        kind.add_argument("--base", metavar="MODEL", required=True, help="the base: name or file")
    for kind in (model, adapter, peft):
        kind.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
        kind.add_argument("-q", "--quiet", action="store_true", help="no progress")
        kind.add_argument("--debug", action="store_true", help="show the log and tracebacks")
    return parser


def run(arguments: list[str]) -> int:
    """Convert, and print where the result is."""
    args = build_parser().parse_args(arguments)
    from expert.errors import VerificationError
    from expert_converters.errors import ConversionError

    kinds = {"model": _model, "adapter": _adapter, "peft": _peft}
    try:
        print(kinds[args.kind](args))
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    return 0


def _progress(args: argparse.Namespace, verb: str) -> Callable[[int, int], None] | None:
    """Return what draws a bar on stderr, for people only."""
    if args.quiet or not sys.stderr.isatty():
        return None

    def draw(done: int, total: int) -> None:
        filled = 30 * done // max(total, 1)
        bar = "█" * filled + "·" * (30 - filled)
        end = "\n" if done == total else ""
        print(f"\r{verb} {bar} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return draw


def _model(args: argparse.Namespace) -> Path:
    from expert_converters.model import ModelJob, convert_model
    from expert_converters.quantise import QuantiseJob, quantise

    progress = _progress(args, "converting")
    if args.type in MODEL_TYPES:
        return convert_model(ModelJob(args.source, args.output, args.type), progress)
    whole = args.output.with_name(f".{args.output.name}.f16")
    try:
        convert_model(ModelJob(args.source, whole, "f16"), progress)
        return quantise(QuantiseJob(whole, args.output, args.type))
    finally:
        whole.unlink(missing_ok=True)


def _base(args: argparse.Namespace) -> Path:
    from expert.models import find_model

    folder = Path(args.base)
    return folder if folder.is_dir() else find_model(args.base).path


def _adapter(args: argparse.Namespace) -> Path:
    from expert_converters.kinds import AdapterJob, convert_adapter

    job = AdapterJob(args.source, _base(args), args.output, args.type, rank=args.rank)
    report = convert_adapter(job, _progress(args, "converting"))
    if report.form == "model":
        print(
            f"expert: {report.kind} acts only when merged: this file is a whole model",
            file=sys.stderr,
        )
    if not report.exact:
        print(f"expert: approximated, {report.residual:.1%} of it is lost", file=sys.stderr)
    return report.path


def _peft(args: argparse.Namespace) -> Path:
    from expert_converters.lora_export import export_lora

    return export_lora(args.source, _base(args), args.output)
