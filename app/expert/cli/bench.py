"""`expert bench`: how fast a model file runs here, and how much memory it takes."""

import argparse
import json
import sys
from dataclasses import asdict

from expert.bench import BenchOptions, BenchResult, bench
from expert.cli import options
from expert.models import find_model


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("bench", "Measure load, prefill, decode and memory of a model file.")
    parser.add_argument("name", nargs="?", metavar="MODEL", help="a name or a GGUF file")
    parser.add_argument("--prompt", type=options.positive, default=512, metavar="N")
    parser.add_argument("--decode", type=options.positive, default=64, metavar="N")
    parser.add_argument("--repeat", type=options.positive, default=5, metavar="N")
    parser.add_argument("--threads", type=options.positive, metavar="N", help="CPU threads")
    parser.add_argument("--gpu-layers", type=int, metavar="N", help="layers on the GPU (-1: all)")
    options.add_json(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Measure and print a table or JSON."""
    args = build_parser().parse_args(arguments)
    config = options.config(args)
    wanted = BenchOptions(args.prompt, args.decode, args.repeat, config.threads, config.gpu_layers)
    progress = _progress if sys.stderr.isatty() else None
    result = bench(find_model(args.name or config.model).path, wanted, progress)
    print(json.dumps(asdict(result)) if args.json else table(result, wanted))
    return 0


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rrun {done} of {total}", end=end, file=sys.stderr, flush=True)


def table(result: BenchResult, wanted: BenchOptions) -> str:
    """Return the result as text; speeds are medians, with the range of the runs behind them."""

    def spread(runs: tuple[float, ...]) -> str:
        return f"({min(runs):.1f} to {max(runs):.1f}, {len(runs)} runs)"

    prefill, decode = result.prefill_tokens_per_s, result.decode_tokens_per_s
    rows = (
        ("model", f"{result.model}, {result.bytes / 1e6:.1f} MB"),
        ("load", f"{result.load_s:.3f} s"),
        (f"prefill {wanted.prompt}", f"{prefill:.1f} tokens/s {spread(result.prefill_runs)}"),
        (f"decode {wanted.decode}", f"{decode:.1f} tokens/s {spread(result.decode_runs)}"),
        ("first token", f"{result.first_token_s * 1000:.1f} ms after a 16-token prompt"),
        ("peak memory", f"{result.peak_memory / 1e6:.0f} MB"),
        ("estimated", f"{result.estimated_memory / 1e6:.0f} MB before loading"),
    )
    return "\n".join(f"{name:<14}{value}" for name, value in rows)
