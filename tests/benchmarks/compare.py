"""Compares Expert with llama.cpp's own programs and with llama-cpp-python, in one run.

    python tests/benchmarks/compare.py MODEL.gguf --llama-bin DIR [--pairs 10]

DIR holds `llama-bench` and `llama-completion`, built from the sources inside the source
distribution of the installed llama-cpp-python:

    cmake -S vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF
    cmake --build build --target llama-bench llama-completion

Each comparison interleaves its two programs, so that noise of the machine meets both; what is
reported is the ratio of medians. Decode and prefill: higher is better. Cold ask: lower is better.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

QUESTION = "Explain in a few sentences why the sky is blue and the sunset is red."


@dataclass(frozen=True)
class Setup:
    """What to compare, and how often."""

    model: Path
    llama_bin: Path
    pairs: int
    prompt: int
    decode: int
    threads: int


def run(command: Sequence[str | Path]) -> str:
    """Run a program and return its stdout."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def ours(setup: Setup) -> dict[str, float]:
    """Return prefill and decode speed of `expert bench`."""
    sizes = ("--prompt", str(setup.prompt), "--decode", str(setup.decode), "--repeat", "1")
    command: list[str | Path] = [sys.executable, "-m", "expert", "bench", setup.model, "--json"]
    result = json.loads(run([*command, *sizes, "--threads", str(setup.threads)]))
    return {
        "prefill": result["prefill_tokens_per_s"],
        "decode": result["decode_tokens_per_s"],
        "load": result["load_s"],
    }


def llama_bench(setup: Setup) -> dict[str, float]:
    """Return prefill and decode speed of llama.cpp's own benchmark."""
    sizes = ("-p", str(setup.prompt), "-n", str(setup.decode), "-r", "1")
    command: list[str | Path] = [setup.llama_bin / "llama-bench", "-m", setup.model, "-o", "json"]
    rows = json.loads(run([*command, *sizes, "-t", str(setup.threads)]))
    return {"prefill" if row["n_prompt"] else "decode": row["avg_ts"] for row in rows}


_BINDING = """
import json, sys, time
from llama_cpp import Llama
model, prompt, decode, threads = sys.argv[1], *map(int, sys.argv[2:5])
llm = Llama(model, n_ctx=prompt + decode + 16, n_threads=threads, n_threads_batch=threads,
            verbose=False)
tokens = [(i * 7919 + 13) % 150000 % llm.n_vocab() for i in range(prompt)]
options = dict(temperature=0.0, logit_bias={llm.token_eos(): -100.0})
def timed(tokens, count):
    llm.reset()
    start = time.perf_counter()
    used = llm.create_completion(tokens, max_tokens=count, **options)["usage"]["completion_tokens"]
    return time.perf_counter() - start, used
timed(tokens[:16], 4)
prefill, _ = timed(tokens, 1)
short, _ = timed(tokens[:16], 1)
long, used = timed(tokens[:16], decode + 1)
print(json.dumps({"prefill": prompt / prefill, "decode": (used - 1) / (long - short)}))
"""


def binding(setup: Setup) -> dict[str, float]:
    """Return prefill and decode speed of llama-cpp-python's high-level `Llama`."""
    sizes = (str(setup.prompt), str(setup.decode), str(setup.threads))
    found: dict[str, float] = json.loads(run([sys.executable, "-c", _BINDING, setup.model, *sizes]))
    return found


def cold(command: Sequence[str | Path]) -> Callable[[Setup], dict[str, float]]:
    """Return a measurement of a whole program's wall time, in seconds."""

    def measure(_: Setup) -> dict[str, float]:
        start = time.perf_counter()
        run(command)
        return {"seconds": time.perf_counter() - start}

    return measure


def report_memory(setup: Setup) -> None:
    """Print the peak memory of a cold ask beside what it may take.

    The limit is the model file, what llama.cpp repacks of it, the KV cache, and 150 MB.
    """
    from expert.engine.header import read_header
    from expert.engine.memory import estimate
    from expert.engine.options import ContextOptions

    process = subprocess.Popen(
        [sys.executable, "-m", "expert", "ask", "-m", str(setup.model), "-q", "--max-tokens", "16",
         "--context", "512", QUESTION],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0  # it was waited for above
    parts = estimate(read_header(setup.model), ContextOptions(size=512))
    limit = setup.model.stat().st_size + parts.repacked + parts.kv_cache + 150_000_000
    peak = used.ru_maxrss * 1024
    print(f"peak memory of ask: {peak / 1e6:.0f} MB of at most {limit / 1e6:.0f} MB")


def interleave(
    setup: Setup,
    one: Callable[[Setup], dict[str, float]],
    other: Callable[[Setup], dict[str, float]],
) -> dict[str, tuple[float, float, float]]:
    """Measure in alternation; return (median of one, median of other, ratio) a quantity."""
    rows: list[tuple[dict[str, float], dict[str, float]]] = []
    for index in range(setup.pairs):
        if index % 2:
            later = other(setup)
            rows.append((one(setup), later))
        else:
            rows.append((one(setup), other(setup)))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report = {}
    for key in rows[0][1]:
        a = statistics.median(row[0][key] for row in rows)
        b = statistics.median(row[1][key] for row in rows)
        report[key] = (a, b, a / b)
    return report


def main() -> None:
    """Run every comparison and print a table."""
    parser = argparse.ArgumentParser(description="Compare Expert with its peers.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-bin", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    setup = Setup(args.model, args.llama_bin, args.pairs, args.prompt, args.decode, args.threads)
    ask = cold(
        [sys.executable, "-m", "expert", "ask", "-m", setup.model, "-q", "--max-tokens", "16",
         "--temperature", "0", QUESTION]
    )  # fmt: skip
    completion = cold(
        [setup.llama_bin / "llama-completion", "-m", setup.model, "-p", QUESTION, "-n", "16",
         "--temp", "0", "--no-display-prompt", "-st", "-t", str(setup.threads)]
    )  # fmt: skip
    comparisons = {
        "llama-bench": interleave(setup, ours, llama_bench),
        "llama-cpp-python": interleave(setup, ours, binding),
        "llama-completion, cold, 16 tokens": interleave(setup, ask, completion),
    }
    print(f"{setup.model.name}, {setup.pairs} interleaved pairs, {setup.threads} threads")
    print(f"{'peer':<36}{'quantity':<10}{'expert':>10}{'peer':>10}{'ratio':>8}")
    for peer, report in comparisons.items():
        for key, (a, b, ratio) in report.items():
            print(f"{peer:<36}{key:<10}{a:>10.2f}{b:>10.2f}{ratio:>8.3f}")
    report_memory(setup)


if __name__ == "__main__":
    main()
