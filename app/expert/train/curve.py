"""The loss curves of a run as an SVG drawing, without a plotting library.

python -m expert.train.curve RUN/log.jsonl CURVE.svg
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN, LEGEND = 760, 380, 44, 110
COLOURS = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
    "#9c6b4e", "#9498a0", "#1b6e53", "#b5435a", "#5b5b9f", "#c98b2b", "#2b8cbe", "#777777",
)  # fmt: skip
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Where millions of tokens and losses fall on the drawing."""

    tokens: float
    loss: float

    def at(self, tokens: float, loss: float) -> str:
        """Return `x,y` in drawing units."""
        x = MARGIN + (WIDTH - MARGIN - LEGEND) * tokens / self.tokens
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * min(1.0, loss / self.loss)
        return f"{x:.1f},{y:.1f}"


def read_curves(log: Path) -> dict[str, Points]:
    """Return each task's (millions of tokens, loss), smoothed over about seven records.

    Steps that a killed run repeated count once, as they were repeated; lines that a kill or a full
    disk cut short count for nothing.
    """
    curves: dict[str, Points] = defaultdict(list)
    smooth: dict[str, float] = {}
    text = log.read_text(encoding="utf-8", errors="replace")
    records = {record["step"]: record for record in filter(None, map(_record, text.split("\n")))}
    for _, record in sorted(records.items()):
        for task, loss in record["loss"].items():
            smooth[task] = loss if task not in smooth else 0.85 * smooth[task] + 0.15 * loss
            curves[task].append((record["tokens"] / 1e6, smooth[task]))
    return dict(curves)


def _record(line: str) -> dict[str, Any] | None:
    """Return the record in a line of a log; None where the line is cut."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "step" in found else None


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>'


def _axes(scale: Scale) -> list[str]:
    drawn = []
    for loss in range(int(scale.loss) + 1):
        left, right = scale.at(0, loss), scale.at(scale.tokens, loss)
        drawn.append(f'<polyline points="{left} {right}" stroke="#ddd" fill="none"/>')
        drawn.append(_text(MARGIN - 16, float(left.split(",")[1]) + 4, str(loss)))
    for tenth in range(0, 11, 2):
        tokens = scale.tokens * tenth / 10
        x = float(scale.at(tokens, 0).split(",")[0])
        drawn.append(_text(x - 8, HEIGHT - MARGIN + 18, f"{tokens:.1f}"))
    middle = MARGIN + (WIDTH - MARGIN - LEGEND) / 2
    drawn.append(_text(middle, HEIGHT - 8, "millions of tokens", 'text-anchor="middle"'))
    drawn.append(_text(MARGIN, 20, "loss a token (natural logarithm)"))
    return drawn


def draw(curves: dict[str, Points]) -> str:
    """Return the SVG source of some curves, the tasks named in the order of their last loss."""
    tokens = max((points[-1][0] for points in curves.values()), default=1.0)
    highest = max((loss for points in curves.values() for _, loss in points), default=1.0)
    scale = Scale(tokens, max(1.0, min(highest, 8.0)))
    drawn = _axes(scale)
    order = sorted(curves, key=lambda task: -curves[task][-1][1])
    for number, task in enumerate(order):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(scale.at(*point) for point in curves[task])
        drawn.append(
            f'<polyline points="{path}" stroke="{colour}" stroke-width="1.5" fill="none"/>'
        )
        label = f"{task} {curves[task][-1][1]:.2f}"
        drawn.append(_text(WIDTH - LEGEND + 6, MARGIN + 18 * number, label, f'fill="{colour}"'))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *drawn, "</svg>\n"])


def main() -> None:
    """Parse, read, draw."""
    parser = argparse.ArgumentParser(prog="expert.train.curve", description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("svg", type=Path)
    options = parser.parse_args()
    options.svg.write_text(draw(read_curves(options.log)), encoding="utf-8")


if __name__ == "__main__":
    main()
