"""Scores for people: the table of a card, the page of all experts, and a manifest's figures."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expert.errors import NotFoundError, VerificationError
from expert.train.evaluation.conditions import (
    BASE,
    EXPERT,
    FEW_SHOT,
    GRAMMAR,
    OTHER,
    PAIR,
    Score,
)  # fmt: skip

FIGURES = "figures.json"
START, END = "<!-- figures -->", "<!-- end of figures -->"
DATASETS = {
    "nlrx": "NL-RX-Turk, validation file",
    "structured": "StructuredRegex, dev file",
    "snips": "SNIPS, validation file",
    "sgd": "SGD calls, unseen dialogues",
    "spider": "Spider, unseen databases",
    "wikisql": "WikiSQL, unseen tables",
    "wide_wikisql": "WikiSQL, unseen tables made wider",
    "cypher": "text2cypher, unseen graphs",
    "commit": "commits of unseen repositories",
    "translate": "tldr, unseen pages",
    "nl2bash": "NL2Bash, dev file",
    "tldr": "tldr, unseen pages",
}
PUBLISHED = {
    "nlrx": "NL-RX-Turk test, DFA equivalence: Semantic-Unify 38.6, Deep-Regex 58.2, SemRegex "
    "62.3, SoftRegex 62.8.",
    "snips": "SNIPS test, whole sentence: Slot-Gated 75.5, DistilBERT 91.0, BERT 93.0.",
    "spider": "Spider dev, exact match (another measure): SyntaxSQLNet 18.9, T5-small 27.8, "
    "T5-base 59.4, with PICARD 66.6.",
    "nl2bash": "InterCode-ALFA, functional match (another measure and other rows): "
    "Qwen2.5-Coder-0.5B 0.10 bare and 0.35 with output parsing, Llama-3.2-1B 0.12 and 0.32.",
    "sgd": "BFCL simple / multiple (other rows): Llama-3.2-1B 0.22-0.29 / 0.17-0.34, fine-tuned "
    "1B 0.77 / 0.77.",
}
"""What others reached, on their own test sets, which are not the rows measured here."""


def percent(share: float, bounds: tuple[float, float]) -> str:
    """Return a share and its interval for people."""
    return f"{share:.1%} ({bounds[0]:.1%} to {bounds[1]:.1%})"


def table(scores: list[Score]) -> str:
    """Return a Markdown table: the main measure of every condition and task, with intervals."""
    rows = [
        "| task | measure | who answers | rows | result (95 % interval) | gain on the base | "
        "rows better, worse |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        gain = "" if score.gain is None else f"{score.gain[0]:+.1%} to {score.gain[1]:+.1%}"
        shown = percent(score.values[score.main], score.intervals[score.main])
        task = DATASETS.get(score.task, score.task)
        rows.append(
            f"| {task} | {score.main} | {score.condition} | {score.rows} | {shown} | {gain} | "
            f"{'' if score.gain is None else f'{score.won}, {score.lost}'} |"
        )
    return "\n".join(rows)


def details(scores: list[Score]) -> str:
    """Return the other measures as a Markdown table, in percent."""
    rows = []
    for task in dict.fromkeys(score.task for score in scores):
        some = [score for score in scores if score.task == task]
        names = list(some[0].values)[1:]
        if not names:
            continue
        rows += [f"| {task} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for score in some:
            cells = " | ".join(f"{score.values[name]:.1%}" for name in names)
            rows.append(f"| {score.condition} | {cells} |")
        rows.append("")
    return "\n".join(rows).strip()


def published(scores: list[Score]) -> str:
    """Return what others reached in these tasks, labelled as theirs."""
    tasks = [task for task in dict.fromkeys(s.task for s in scores) if task in PUBLISHED]
    if not tasks:
        return ""
    listed = "\n".join(f"- {PUBLISHED[task]}" for task in tasks)
    return f"Published figures, on other test sets than the rows above:\n\n{listed}"


def verdict(scores: list[Score]) -> str:
    """Return for each task whether the expert beats its base beyond the interval, whether another
    expert does too, and whether the expert still does with that one attached.
    """
    said = []
    for score in scores:
        words = judged(score)
        if words:
            said.append(f"{DATASETS.get(score.task, score.task)}: {words}")
    return "\n".join(said)


def judged(score: Score) -> str:
    """Return what a score says in words, if it answers a question that is asked."""
    if score.gain is None:
        return ""
    low, high = score.gain
    if score.condition == EXPERT:
        if high < 0:
            return "the expert is worse than the base beyond the 95 % interval."
        outcome = "beats the base" if low > 0 else "does not beat the base"
        return f"the expert {outcome} beyond the 95 % interval."
    if score.condition == OTHER:
        return "another expert gains on the base as well." if low > 0 else ""
    if score.condition == PAIR and score.change is not None:
        outcome = "loses" if score.change[1] < 0 else "does not lose"
        return (
            f"with another expert attached it {outcome} beyond the 95 % interval "
            f"({score.change[0]:+.1%} to {score.change[1]:+.1%})."
        )
    return ""


def beats_base(scores: list[Score]) -> bool:
    """Tell whether the expert's first task gained on the base beyond the interval."""
    gains = [s.gain for s in scores if s.condition == EXPERT and s.gain is not None]
    return bool(gains) and gains[0][0] > 0


def figures(scores: list[Score], base: str) -> list[dict[str, Any]]:
    """Return the figures of a manifest: the expert's main measures beside the base's."""
    made = []
    for task in dict.fromkeys(score.task for score in scores):
        by = {score.condition: score for score in scores if score.task == task}
        if EXPERT not in by:
            continue
        expert = by[EXPERT]
        figure: dict[str, Any] = {
            "metric": expert.main,
            "dataset": DATASETS.get(task, task),
            "samples": expert.rows,
            "expert": expert.values[expert.main],
            "interval": list(expert.intervals[expert.main]),
            "model": base,
        }
        for field, name in (("base", BASE), ("few_shot", FEW_SHOT), ("grammar", GRAMMAR)):
            if name in by:
                figure[field] = by[name].values[expert.main]
        made.append(figure)
    return made


def save_scores(folder: Path, scores: list[Score], facts: dict[str, Any]) -> None:
    """Keep scores beside a recipe, whole or not at all; *facts* say what was measured."""
    text = json.dumps({**facts, "scores": [asdict(score) for score in scores]}, indent=1)
    partial = folder / f".{FIGURES}.part"
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, folder / FIGURES)


def load_scores(path: Path) -> tuple[list[Score], dict[str, Any]]:
    """Read scores that were kept.

    Raises:
        NotFoundError: there are none.
        VerificationError: they cannot be read.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        scores = [_score(row) for row in facts.pop("scores")]
    except OSError as error:
        raise NotFoundError(f"There are no figures {path}.", f"{error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationError(f"The figures {path} cannot be read.", f"{error!r}.") from error
    return scores, facts


def _score(row: dict[str, Any]) -> Score:
    pairs = {name: (low, high) for name, (low, high) in row["intervals"].items()}
    bounds = {
        name: (row[name][0], row[name][1])
        for name in ("gain", "change")
        if row.get(name) is not None
    }
    return Score(**{**row, "intervals": pairs, **bounds})


def between(text: str, content: str) -> str:
    """Return a document with what stands between its figure marks replaced."""
    pattern = re.compile(f"{START}.*?{END}", re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n{content}\n{END}", text)


def fill_card(card: str, scores: list[Score], record: dict[str, Any] | None) -> str:
    """Return an expert's card with its figures, and what its training cost."""
    parts = [table(scores), verdict(scores), details(scores), published(scores)]
    if record is not None:
        parts.append(
            f"Trained on {record['base']['name']} in {record['minutes']:.0f} minutes: "
            f"{record['steps']:,} steps, {record['tokens'] / 1e6:.2f} million tokens, validation "
            f"loss {record['validation_loss']:.3f}."
        )
    return between(card, "\n\n".join(part for part in parts if part))


def page(experts: Path) -> str:
    """Return the table of all experts that have figures, in order of name."""
    parts = []
    for path in sorted(experts.glob(f"*/{FIGURES}")):
        scores, _ = load_scores(path)
        parts.append(f"### {path.parent.name}\n\n{table(scores)}\n\n{published(scores)}".strip())
    return "\n\n".join(parts) or "No expert has been measured yet."


def write_page(document: Path, experts: Path) -> None:
    """Bring the tables of `docs/experts.md` up to date."""
    text = between(document.read_text(encoding="utf-8"), page(experts))
    partial = document.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, document)
