"""`expert compress`: a smaller form of an expert, and what that loses."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import marketplace, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from expert_converters.compress.compress import CompressReport

CALIBRATION_ROWS = 64
METHODS = ("q8_0", "q4_0", "q3", "q2", "svd", "osd")


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "compress",
        "Make an expert's adapter smaller. q8_0 and q4_0 are llama.cpp's own types; svd is q8_0 "
        "at lower ranks; q3 and q2 take so many bits a value on average, and osd keeps a part of "
        "the singular vectors: these three are expanded when the expert is first used. "
        "`expert bench compress` compares them.",
    )
    parser.add_argument(
        "expert", metavar="ADAPTER|EXPERT", help="an adapter file, a package, or an installed one"
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, default="q8_0", help="default: q8_0")
    parser.add_argument(
        "--budget", type=size, metavar="BYTES",
        help="size of the adapter file, such as 400000, 400k or 1.5M; svd and osd need one",
    )  # fmt: skip
    parser.add_argument("--base", metavar="MODEL", help="check that the adapter fits this base")
    parser.add_argument(
        "--calibration", metavar="JSONL", type=Path,
        help='rows of {"prompt": …, "answer": …}: say how far predictions move on this base, and '
        "let that choose osd's density",
    )  # fmt: skip
    parser.add_argument("-k", "--key", metavar="KEY", type=Path, help="sign the new package")
    parser.add_argument(
        "--version", metavar="V", help="of the new package (default: the next patch version)"
    )
    options.add_json(parser)
    return parser


def size(text: str) -> int:
    """Parse a number of bytes, with k, M or G behind it or not."""
    units = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
    unit = units.get(text[-1:].lower(), 1)
    try:
        number = int(float(text[:-1] if unit > 1 else text) * unit)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size") from None
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1 byte")
    return number


def run(arguments: list[str]) -> int:
    """Compress, and say what was lost."""
    args = build_parser().parse_args(arguments)
    is_package = Path(args.expert).suffix == ".expert" and Path(args.expert).is_file()
    if is_package:
        reports, divergence = _package(args), None
    else:
        report, divergence = _adapter(args)
        reports = [report]
    found = {"path": str(args.output), "bytes": args.output.stat().st_size}
    lines = [f"{args.output}: {marketplace.megabytes(found['bytes'])}", *map(line, reports)]
    if divergence is not None:
        lines.append(f"predictions moved by {divergence:.2g} nats a token (KL divergence)")
    record = {"adapters": [asdict(report) for report in reports], "divergence": divergence}
    marketplace.emit(args, found | record, lines)
    return 0


def _package(args: argparse.Namespace) -> "list[CompressReport]":
    from expert.errors import UsageError
    from expert.market.compressing import PackageJob, compress_package
    from expert.package.keys import read_private_key

    if args.output.suffix != ".expert":
        raise UsageError(
            f"{args.output} is no name for a package.",
            "The result of a package is a package.",
            "Let it end in .expert.",
        )
    if args.calibration is not None or args.base is not None:
        raise UsageError(
            "A package is compressed without a base.",
            "--base and --calibration are about one adapter.",
            "Leave them out, or compress an adapter file or an installed expert.",
        )
    key = None if args.key is None else read_private_key(args.key)
    job = PackageJob(Path(args.expert), args.output, args.method, args.budget, args.version, key)
    return compress_package(job, _progress())[1]


def _adapter(args: argparse.Namespace) -> "tuple[CompressReport, float | None]":
    """Compress one adapter; with calibration, also return its divergence."""
    from expert.choosing import choose_experts
    from expert.engine.expansion import attachable
    from expert.errors import UsageError
    from expert.market.compressing import compress_adapter
    from expert.models import find_model
    from expert_converters.compress.compress import CompressJob

    if args.key is not None or args.version is not None:
        raise UsageError(
            "An adapter file has no version and no signature.",
            "--version and --key are about packages.",
            "Leave them out, or compress a package.",
        )
    base = find_model(args.base).path if args.base else None
    (choice,) = choose_experts([args.expert], args.base or options.config(args).model)
    judge = None if args.calibration is None else _judge(args.calibration, base, choice.adapter)
    job = CompressJob(choice.adapter, args.output, args.method, args.budget, base, judge)
    report = compress_adapter(job, _progress())
    return report, None if judge is None else judge(attachable(args.output))


def _judge(calibration: Path, base: Path | None, original: Path) -> "Callable[[Path], float]":
    """Return what tells how far an adapter's predictions are from the original's."""
    from expert.bench.divergence import divergences, read_passages
    from expert.errors import UsageError

    if base is None:
        raise UsageError(
            "Calibration needs the base model.",
            "Predictions are compared on it.",
            "Name it with --base.",
        )
    passages = read_passages(calibration, CALIBRATION_ROWS)
    return lambda path: divergences(base, original, [path], passages)[0]


def _progress() -> "Callable[[int, int], None] | None":
    """Return what draws how many matrices are done, for people only."""
    from expert.cli.training import progress

    return progress("compressing") if sys.stderr.isatty() else None


def line(report: "CompressReport") -> str:
    """Return what became of an adapter, for people."""
    before, after = (marketplace.megabytes(n) for n in (report.source_bytes, report.nbytes))
    words = [
        f"{report.method}: {before} to {after}, {report.loss:.2%} of its weight lost",
        f"{report.directions} of {report.of} directions kept",
    ]
    if report.detail:
        words.append(report.detail)
    if report.packed:
        words.append("expanded to Q8_0 when first used")
    return "; ".join(words)
