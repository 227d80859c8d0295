"""A finished run becomes the embedded base by one call."""

import json
from pathlib import Path

import pytest

from expert.train.publish import publish
from expert_converters.gguf_file import inspect
from support.checkpoints import Qwen3Shape, qwen3_checkpoint

CARD = """# Card

Words.
<!-- FIGURES -->
old
<!-- /FIGURES -->
More.
<!-- RESULTS -->
<!-- /RESULTS -->
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the folder of a run that ended."""
    folder = tmp_path / "run"
    qwen3_checkpoint(folder / "checkpoint", Qwen3Shape())
    records = [
        {"step": step, "tokens": step * 1_000_000, "seconds": 60.0 * step, "loss": {"snips": 2.0}}
        for step in (1, 2)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    report = {"snips": {"rows": 200, "exact": 0.125}, "perplexity": 81.5}
    (folder / "evaluation.json").write_text(json.dumps(report))
    return folder


def test_the_base_its_curve_and_its_figures_are_written(run: Path, tmp_path: Path) -> None:
    """The card keeps its words and gets the run's numbers, as often as it is published."""
    target = tmp_path / "pocket"
    target.mkdir()
    (target / "README.md").write_text(CARD)
    for _ in range(2):
        model = publish(run, target)
    assert inspect(model).metadata["general.name"] == "Pocket"
    assert (target / "curve.svg").read_text().startswith("<svg")
    assert (target / "log.jsonl").read_bytes() == (run / "log.jsonl").read_bytes()
    card = (target / "README.md").read_text()
    assert "old" not in card
    assert "Words." in card and "More." in card
    assert card.count("2.0 million tokens in 2 steps and 2 minutes") == 1
    assert card.count("| snips | 200 | 12.5% |") == 1
    assert "81.5 a token" in card


def test_an_unfinished_run_replaces_nothing(run: Path, tmp_path: Path) -> None:
    """Without an evaluation the base that is there stays."""
    (run / "evaluation.json").unlink()
    target = tmp_path / "pocket"
    target.mkdir()
    with pytest.raises(FileNotFoundError):
        publish(run, target)
    assert list(target.iterdir()) == []
