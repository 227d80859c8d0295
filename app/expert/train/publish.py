"""From a finished run to the embedded base: the GGUF, its loss curve, and the figures of its card.

python -m expert.train.publish RUN experts/pocket
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from expert.train.curve import draw, read_curves
from expert.train.start import LOG, last_record
from expert_converters.model import ModelJob, convert_model


def publish(run: Path, target: Path) -> Path:
    """Replace the base in *target* by that of *run*, and return its GGUF (Q8_0).

    The card (README.md) keeps its words; what stands between its FIGURES and RESULTS marks is
    written anew from the run's log and evaluation.

    Raises:
        ConversionError: the run's checkpoint is missing or broken.
        FileNotFoundError: the run is not finished.
    """
    report = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    model = convert_model(
        ModelJob(run / "checkpoint", target / "pocket.gguf", "q8_0", name="Pocket")
    )
    shutil.copyfile(run / LOG, target / LOG)
    (target / "curve.svg").write_text(draw(read_curves(run / LOG)), encoding="utf-8")
    card = target / "README.md"
    text = _between(card.read_text(encoding="utf-8"), "FIGURES", figures(last_record(run)))
    partial = card.with_suffix(".part")
    partial.write_text(_between(text, "RESULTS", results(report)), encoding="utf-8")
    os.replace(partial, card)
    return model


def figures(last: dict[str, Any]) -> str:
    """Return what the run cost, from the last record of its log."""
    return (
        f"{last['tokens'] / 1e6:.1f} million tokens in {last['step']:,} steps and "
        f"{last['seconds'] / 60:.0f} minutes.\n\n![Loss of every task](curve.svg)"
    )


def results(report: dict[str, Any]) -> str:
    """Return the table of a run's evaluation."""
    rows = ["| task | rows | exact |", "|---|---|---|"]
    for task, score in report.items():
        if task != "perplexity":
            rows.append(f"| {task} | {score['rows']} | {score['exact']:.1%} |")
    rows.append(f"\nPerplexity on held-out text: {report['perplexity']:g} a token.")
    return "\n".join(rows)


def _between(text: str, mark: str, content: str) -> str:
    pattern = re.compile(f"(<!-- {mark} -->).*?(<!-- /{mark} -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n{found[2]}", text)


def main() -> None:
    """Parse and publish."""
    parser = argparse.ArgumentParser(prog="expert.train.publish", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    print(publish(options.run, options.target))


if __name__ == "__main__":
    main()
