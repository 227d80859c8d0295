"""Runs the schema front end on all of MaskBench, and prints what became of it.

    cd tests && python -m benchmarks.maskbench DATA --vocab MODEL.gguf [--every N]

DATA is the folder of public data sets; the vocabulary is that of any GGUF. A schema passes when
it compiles, all its valid instances can be answered (with properties in the order of the schema)
and none of its invalid ones. Times are CPU time; the compiler is warmed up by one schema first.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from expert.grammar.schema.contract import compile_schema
from grammar.schema_data import Result, maskbench, run_row
from grammar.vocabularies import load_vocabulary, table_of


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which *part* of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def summary(results: Sequence[Result]) -> str:
    """Return one line of the table."""
    total = len(results) or 1
    times = [one.compile_s * 1000 for one in results if not one.refused]
    parts = (
        f"{len(results):>7}",
        f"{100 * sum(not one.refused for one in results) / total:>9.2f}",
        f"{100 * sum(one.passes for one in results) / total:>9.2f}",
        f"{sum(one.valid for one in results):>7}",
        f"{sum(one.reordered for one in results):>8}",
        f"{sum(one.valid_refused for one in results):>8}",
        f"{sum(one.invalid for one in results):>8}",
        f"{sum(one.invalid_accepted for one in results):>9}",
        f"{percentile(times, 0.5):>8.2f}",
        f"{percentile(times, 0.99):>8.1f}",
        f"{max(times, default=0.0):>8.1f}",
    )
    return "".join(parts)


HEADER = (
    f"{'':<26}{'schemas':>7}{'compile %':>9}{'passing %':>10}{'valid':>7}{'ordered':>8}"
    f"{'refused':>8}{'invalid':>8}{'accepted':>9}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}"
)


def report(results: Sequence[Result]) -> None:
    """Print the table, and every schema that fell short."""
    print(HEADER)
    for split in sorted({one.split for one in results}):
        print(f"{split:<26}{summary([one for one in results if one.split == split])}")
    print(f"{'all':<26}{summary(results)}")
    tokens = sum(one.tokens for one in results)
    checked = sum(one.checked for one in results)
    print(f"\nchecked beside the mask: {checked} schemas")
    print(
        f"following instances: {1e6 * sum(r.feed_s for r in results) / (tokens or 1):.1f} us/token"
    )
    for reason, count in Counter(one.refused for one in results if one.refused).most_common():
        print(f"refused {count:>4}: {reason}")
    for one in results:
        if not one.refused and not one.passes:
            print(f"{one.name}: {one.valid_refused} valid refused, "
                  f"{one.invalid_accepted} invalid accepted")  # fmt: skip
    for one in sorted(results, key=lambda one: -one.compile_s)[:10]:
        print(f"slowest: {one.name} {1000 * one.compile_s:.1f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    table = table_of(load_vocabulary(options.vocab))
    compile_schema({"type": "object"}, table)
    results = []
    for index, row in enumerate(maskbench(options.data)):
        if index % options.every == 0:
            results.append(run_row(row, table))
            print(f"\r{index + 1}", end="", file=sys.stderr)
    print(file=sys.stderr)
    report(results)


if __name__ == "__main__":
    main()
