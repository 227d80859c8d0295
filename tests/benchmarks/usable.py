"""Measures how many real schemas a small model can answer under, whatever it says.

    cd tests && python -m benchmarks.usable DATA [--model MODEL.gguf] [--schemas 100] [--seeds 100]

A schema of MaskBench is usable when at temperature 1, with no other sampler, at least 95 of 100
seeds end in a valid value within 512 tokens. Without --model it is the embedded base.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from expert import Assistant
from expert.errors import ContractError
from grammar.schema_data import maskbench
from grammar.usability import LIMIT, measure

QUESTION = "Give an example of a JSON value that this service takes."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--schemas", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    rows = random.Random(0).sample([*maskbench(options.data)], options.schemas)
    with Assistant(options.model) as assistant:

        def generate(schema: Any, seed: int, limit: int) -> str | None:
            asked = assistant.ask(
                QUESTION, schema=schema, seed=seed, max_tokens=limit, experts=(), record=False,
                temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0,
            )  # fmt: skip
            try:
                return asked.text
            except ContractError as error:
                if "middle" in error.what:
                    return None
                raise

        results = []
        for row in rows:
            results += measure([row], generate, range(options.seeds), LIMIT)
            print(f"\r{len(results)}", end="", file=sys.stderr)
    ends = sum((one.ends for one in results), Counter[str]())
    usable = sum(one.usable for one in results)
    print(f"\nusable: {usable} of {len(results)} schemas")
    for end, count in ends.most_common():
        print(f"{100 * count / ends.total():6.2f} %  {end}")
    for one in results:
        if not one.usable:
            print(f"{one.name}: {dict(one.ends)}")


if __name__ == "__main__":
    main()
