"""Measures how long routing takes with 50 experts: `python tests/benchmarks/routing.py`.

The seven experts of the tests and 43 made of their examples, in each of which a third of the
words are replaced by words of its own. CPU time of this process, so that a busy machine does not
count; the third time of each prompt, when all is warm.
"""

import random
import time
from dataclasses import replace
from pathlib import Path

from expert.router.candidates import in_folder
from expert.router.labelled import load_labelled
from expert.router.router import Router
from expert.router.types import Candidate

DATA = Path(__file__).parents[1] / "data" / "routing"
EXPERTS = Path(__file__).parents[2] / "experts"
COUNT = 50


def varied(candidate: Candidate, number: int) -> Candidate:
    """Return an expert much like another one, with some words of its own."""
    source = random.Random(number)

    def text(original: str) -> str:
        words = original.split(" ")
        return " ".join(f"{w}{number}" if source.random() < 1 / 3 else w for w in words)

    return replace(
        candidate,
        id=f"{candidate.id}{number}",
        name=f"{candidate.name}{number}",
        keywords=tuple(map(text, candidate.keywords)),
        examples=tuple(map(text, candidate.examples)),
    )


def main() -> None:
    """Print the times."""
    known = [*in_folder(EXPERTS), *in_folder(DATA / "experts")]
    more = [varied(known[n % len(known)], n) for n in range(COUNT - len(known))]
    start = time.process_time()
    router = Router([*known, *more])
    print(f"prepare  {time.process_time() - start:.2f} s for {COUNT} experts")
    times = []
    for labelled in load_labelled(DATA / "prompts.jsonl", "heldout"):
        for _ in range(3):
            start = time.process_time()
            router.route(labelled.request)
            spent = time.process_time() - start
        times.append(1000 * spent)
    times.sort()
    middle, late = times[len(times) // 2], times[int(0.99 * len(times))]
    print(f"route    median {middle:.2f} ms, p99 {late:.2f} ms over {len(times)} prompts")


if __name__ == "__main__":
    main()
