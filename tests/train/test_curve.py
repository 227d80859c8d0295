"""The loss curve: whole SVG from any log, steps that were repeated drawn once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from expert.train.curve import HEIGHT, LEGEND, MARGIN, WIDTH, Scale, draw, read_curves

SVG = "{http://www.w3.org/2000/svg}"


def write_log(folder: Path, records: list[dict[str, Any]]) -> Path:
    """Write the log of a run."""
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def record(step: int, **losses: float) -> dict[str, Any]:
    """Return a record at so many thousands of tokens."""
    return {"step": step, "tokens": step * 1000, "loss": losses}


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    """A run that was killed writes some steps twice: the later record is taken, in order."""
    records = [record(1, a=4.0), record(3, a=9.0), record(2, a=2.0), record(3, a=2.0)]
    log = write_log(tmp_path, records)
    points = read_curves(log)["a"]
    assert [tokens for tokens, _ in points] == [0.001, 0.002, 0.003]
    assert points[0][1] == 4.0
    assert points[1][1] == pytest.approx(0.85 * 4 + 0.15 * 2)
    assert points[2][1] == pytest.approx(0.85 * points[1][1] + 0.15 * 2)


def test_tasks_begin_where_they_are_first_seen(tmp_path: Path) -> None:
    """A task that comes later has fewer points, and its own smoothing."""
    log = write_log(tmp_path, [record(1, a=4.0), record(2, a=4.0, b=1.0)])
    curves = read_curves(log)
    assert len(curves["a"]) == 2 and curves["b"] == [(0.002, 1.0)]


def test_the_scale_spans_the_drawing() -> None:
    """Zero is at the lower left corner, the most at the upper right; what is above is cut."""
    scale = Scale(tokens=2.0, loss=4.0)
    assert scale.at(0, 0) == f"{MARGIN:.1f},{HEIGHT - MARGIN:.1f}"
    assert scale.at(2, 4) == f"{WIDTH - LEGEND:.1f},{MARGIN:.1f}"
    assert scale.at(2, 400) == scale.at(2, 4)


@pytest.mark.parametrize("losses", [(0.01, 0.001), (2.5, 1.0), (90.0, 3.0)])
def test_every_drawing_is_whole(losses: tuple[float, float]) -> None:
    """It parses, every point lies inside, and every task is named with its last loss."""
    curves = {f"task{n}": [(0.5, losses[0]), (1.0, losses[1] + n)] for n in range(20)}
    root = ElementTree.fromstring(draw(curves))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    for n in range(20):
        assert f"task{n} {losses[1] + n:.2f}" in texts
    lines = [line.get("points", "") for line in root.iter(f"{SVG}polyline")]
    places = [tuple(map(float, pair.split(","))) for line in lines for pair in line.split()]
    assert len(lines) > 20
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_the_worst_task_is_named_first() -> None:
    """The legend follows the order of the lines' ends."""
    drawn = draw({"low": [(1.0, 0.5)], "high": [(1.0, 3.0)], "middle": [(1.0, 2.0)]})
    assert re.findall(r">(low|high|middle) ", drawn) == ["high", "middle", "low"]


def test_it_can_be_drawn_from_a_shell(tmp_path: Path) -> None:
    """As its documentation writes it."""
    log = write_log(tmp_path, [record(1, a=4.0), record(2, a=2.0)])
    command = [sys.executable, "-m", "expert.train.curve", str(log), str(tmp_path / "curve.svg")]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "curve.svg").read_text(encoding="utf-8") == draw(read_curves(log))
