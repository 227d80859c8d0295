"""How good a model is on the held-out cut: exact answers a task, and perplexity of held-out text.

python -m expert.train.evaluate RECIPE --data DIR --run RUN [--rows N] prints a JSON report and
keeps it in the run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from expert.train.checkpoint import load_state
from expert.train.corpus import TEXT, Progress, encode_document, held_out, nothing
from expert.train.examples import Example, Source
from expert.train.generate import greedy
from expert.train.qwen3 import Group, Qwen3
from expert.train.recipe import Recipe, read_recipe
from expert.train.rows import digest
from expert.train.tasks import BUILDERS
from expert.train.tasks.reading import documents
from expert.train.tokenizer import EMPTY_THOUGHT, END, STOP, token_id, turn_prompt

ROWS_AT_ONCE = 64
LONGEST_PROMPT = 700  # tokens
LONGEST_ANSWER = 120
TEXT_PIECES = 200


@dataclass(frozen=True)
class Score:
    """Exact answers of one task, with a few wrong ones to read."""

    task: str
    rows: int
    exact: float
    wrong: list[dict[str, str]]


def sample(recipe: Recipe, data: Path, task: str, rows: int) -> list[Example]:
    """Return `rows` held-out examples of a task, chosen by hash."""
    kept = [e for e in BUILDERS[task](Source(data)) if held_out(e)]
    return sorted(kept, key=lambda e: digest(e.turns[0].prompt + e.turns[0].answer))[:rows]


def score(model: Qwen3, tokenizer: Tokenizer, task: str, examples: list[Example]) -> Score:
    """Answer the first request of every example greedily and compare."""
    asked = []
    for example in examples:
        turn = example.turns[0]
        prompt = tokenizer.encode(
            turn_prompt(turn.prompt.strip(), example.system) + EMPTY_THOUGHT
        ).ids
        if len(prompt) <= LONGEST_PROMPT:
            asked.append((prompt, turn))
    asked.sort(key=lambda pair: len(pair[0]))
    stops = {token_id(tokenizer, STOP), token_id(tokenizer, END)}
    exact, wrong = 0, []
    for start in range(0, len(asked), ROWS_AT_ONCE):
        some = asked[start : start + ROWS_AT_ONCE]
        answers = greedy(model, [prompt for prompt, _ in some], stops, LONGEST_ANSWER)
        for (_, turn), ids in zip(some, answers, strict=True):
            answer = tokenizer.decode(ids)
            if answer == turn.answer.strip():
                exact += 1
            else:
                wrong.append(
                    {"prompt": turn.prompt[-200:], "expected": turn.answer, "answer": answer}
                )
    step = max(1, len(wrong) // 8)
    return Score(task, len(asked), round(exact / max(1, len(asked)), 4), wrong[::step][:8])


@torch.inference_mode()
def perplexity(model: Qwen3, tokenizer: Tokenizer, recipe: Recipe, data: Path) -> float:
    """Return the perplexity a token on held-out documents, in pieces as long as in training."""
    kept = (d for d in documents(Source(data), recipe.data.characters) if held_out(d))
    pieces = (
        p for d in kept for p in islice(encode_document(tokenizer, d.text, recipe.data.document), 2)
    )
    total, count = 0.0, 0
    for piece in islice(pieces, TEXT_PIECES):
        tokens = torch.tensor(piece, device=model.model.embed_tokens.weight.device)
        logits = model.logits(model(tokens, (Group(1, len(piece)),))[:-1]).float()
        total += F.cross_entropy(logits, tokens[1:], reduction="sum").item()
        count += len(piece) - 1
    return math.exp(total / max(1, count))


def evaluate(
    recipe: Recipe, data: Path, run: Path, rows: int, progress: Progress = nothing
) -> Iterator[Score | float]:
    """Yield a score for every task of the mix, then the perplexity, for the last saved state of a
    run.
    """
    model = Qwen3(recipe.model.shape)
    model.load_state_dict(load_state(run)["optimiser"]["weights"])
    model.eval()
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    for done, task in enumerate(recipe.mix):
        progress(done, len(recipe.mix))
        if task != TEXT:
            yield score(model, tokenizer, task, sample(recipe, data, task, rows))
    yield perplexity(model, tokenizer, recipe, data)


def write_report(
    recipe: Recipe, data: Path, run: Path, rows: int, progress: Progress = nothing
) -> dict[str, Any]:
    """Evaluate and keep the report as `evaluation.json` in the run; return it."""
    report: dict[str, Any] = {}
    for result in evaluate(recipe, data, run, rows, progress):
        if isinstance(result, Score):
            report[result.task] = asdict(result)
        else:
            report["perplexity"] = round(result, 2)
    partial = run / "evaluation.json.part"
    partial.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, run / "evaluation.json")
    return report


def main() -> None:
    """Parse, evaluate, print."""
    parser = argparse.ArgumentParser(prog="expert.train.evaluate", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    report = write_report(read_recipe(options.recipe), options.data, options.run, options.rows)
    for task, result in report.items():
        shown = f"{result['exact']:.1%} of {result['rows']}" if task != "perplexity" else result
        print(f"{task:12} {shown}")


if __name__ == "__main__":
    main()
