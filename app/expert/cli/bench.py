"""`expert bench`: how fast a model file runs here, and how much memory it takes."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from expert.cli import options

if TYPE_CHECKING:
    from expert.bench.experts import ExpertsBench
    from expert.bench.grammar import GrammarBench, GrammarOptions
    from expert.bench.model import BenchOptions, BenchResult
    from expert.bench.package import PackageBench


ALSO = {
    "experts": "switching, loading and the cost of experts on a model",
    "package": "how soon an expert is ready from each kind of package",
    "grammar": "what grammars and beam search cost",
    "compress": "smaller forms of an expert",
}
"""What can stand in the place of a model to measure something else."""


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "bench",
        "Measure load, prefill, decode and memory of a model file.",
    )
    parser.epilog = options.also("bench", ALSO)
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
    if arguments[:1] == ["experts"]:
        return _experts(arguments[1:])
    if arguments[:1] == ["package"]:
        return _package(arguments[1:])
    if arguments[:1] == ["grammar"]:
        return _grammar(arguments[1:])
    if arguments[:1] == ["compress"]:
        from expert.cli import bench_compress

        return bench_compress.run(arguments[1:])
    args = build_parser().parse_args(arguments)
    from expert.bench.model import BenchOptions, bench
    from expert.models import find_model

    config = options.config(args)
    wanted = BenchOptions(args.prompt, args.decode, args.repeat, config.threads, config.gpu_layers)
    progress = _progress if sys.stderr.isatty() else None
    result = bench(find_model(args.name or config.model).path, wanted, progress)
    print(json.dumps(asdict(result)) if args.json else table(result, wanted))
    return 0


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rrun {done} of {total}", end=end, file=sys.stderr, flush=True)


def table(result: "BenchResult", wanted: "BenchOptions") -> str:
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


def _experts(arguments: list[str]) -> int:
    parser = options.parser("bench experts", "Measure what experts cost on a model file.")
    parser.add_argument("name", nargs="?", metavar="MODEL", help="a name or a GGUF file")
    parser.add_argument("--history", type=options.positive, default=2000, metavar="N")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.bench.experts import bench_experts
    from expert.engine.options import ContextOptions
    from expert.models import find_model

    config = options.config(args)
    context = ContextOptions(threads=config.threads, flash_attention=config.flash_attention)
    progress = _progress if sys.stderr.isatty() else None
    path = find_model(args.name or config.model).path
    result = bench_experts(path, args.history, context=context, progress=progress)
    print(json.dumps(asdict(result)) if args.json else experts_table(result))
    return 0


def experts_table(result: "ExpertsBench") -> str:
    """Return the result as text."""
    switch = f"{result.switch_p50_s * 1000:.1f} ms p50, {result.switch_p95_s * 1000:.1f} ms p95"
    sooner = result.prefill_s / result.first_token_s
    rows = [
        ("adapter", f"{result.adapter_bytes / 1e6:.1f} MB (rank 32, Q8_0, every matrix)"),
        ("load", f"{result.load_s * 1000:.1f} ms"),
        ("switch", switch),
        (
            "first token",
            f"{result.first_token_s * 1000:.0f} ms by another expert after {result.history} "
            f"tokens; {result.prefill_s * 1000:.0f} ms from nothing ({sooner:.0f} times as long)",
        ),
    ]
    rows += [(name, f"{share:+.1%} decode time") for name, share in result.decode_overhead.items()]
    return "\n".join(f"{name:<14}{value}" for name, value in rows)


def _package(arguments: list[str]) -> int:
    parser = options.parser(
        "bench package", "Measure how soon an expert is ready from each kind of package."
    )
    parser.add_argument("name", nargs="?", metavar="MODEL", help="a name or a GGUF file")
    parser.add_argument("--rank", type=options.positive, default=32, metavar="R")
    parser.add_argument("--repeat", type=options.positive, default=5, metavar="N")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.bench.package import bench_package
    from expert.models import find_model

    path = find_model(args.name or options.config(args).model).path
    progress = _progress if sys.stderr.isatty() else None
    result = bench_package(path, args.rank, args.repeat, progress)
    print(json.dumps(asdict(result)) if args.json else package_table(result))
    return 0


def package_table(result: "PackageBench") -> str:
    """Return the result as text."""
    head = f"adapter of {result.adapter_bytes / 1e6:.1f} MB, rank {result.rank}, ready to attach"
    rows = [f"{head}\n{'':<26}{'size':>10}{'cold':>12}{'hot':>12}"]
    for name, way in result.ways.items():
        cold, hot = way.cold_s * 1000, way.hot_s * 1000
        rows.append(f"{name:<26}{way.bytes / 1e6:>7.1f} MB{cold:>9.1f} ms{hot:>9.1f} ms")
    return "\n".join(rows)


def _grammar(arguments: list[str]) -> int:
    parser = options.parser(
        "bench grammar", "Measure what grammars and beam search cost, beside llama.cpp's grammars."
    )
    parser.add_argument("name", nargs="?", metavar="MODEL", help="a name or a GGUF file")
    parser.add_argument("--tokens", type=options.positive, default=48, metavar="N")
    parser.add_argument("--repeat", type=options.positive, default=5, metavar="N")
    parser.add_argument("--threads", type=options.positive, metavar="N", help="CPU threads")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.bench.grammar import GrammarOptions, bench_grammar
    from expert.models import find_model

    config = options.config(args)
    wanted = GrammarOptions(args.tokens, args.repeat, config.threads)
    progress = _progress if sys.stderr.isatty() else None
    result = bench_grammar(find_model(args.name or config.model).path, wanted, progress)
    print(json.dumps(asdict(result)) if args.json else grammar_table(result, wanted))
    return 0


def grammar_table(result: "GrammarBench", wanted: "GrammarOptions") -> str:
    """Return the result as text."""
    mask = f"{result.mask_us:.0f} us mean, {result.mask_p99_us:.0f} us p99"
    theirs = f"{result.llama_cpp:.2f} times the speed; {result.llama_cpp_us:.0f} us a token"
    rows = (
        ("mask", f"{mask} ({result.vocabulary} tokens of vocabulary)"),
        ("one token", f"{result.allows_us:.1f} us to judge"),
        ("tables", f"{result.table_s:.2f} s to build, while the model loads"),
        ("no grammar", f"{result.tokens_per_s:.1f} tokens/s"),
        ("JSON grammar", f"{result.constrained:.2f} times the speed"),
        ("forced names", f"{result.forced:.2f} times the speed"),
        ("llama.cpp", f"{theirs}, with the same JSON grammar"),
        (f"beam of {wanted.beams}", f"{result.beam:.2f} times the time of a greedy step"),
        ("cold --schema", f"{result.cold:.2f} times the time of a cold ask without"),
    )
    return "\n".join(f"{name:<14}{value}" for name, value in rows)
