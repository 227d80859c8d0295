"""Figures made of decisions, and the labelled prompts they are made on."""

import json
import random
from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.metrics.intervals import wilson
from expert.router.evaluate import Decision, report
from expert.router.labelled import Labelled, bucket, load_labelled
from expert.router.types import Choice, Route, RouteRequest
from expert.types import Attachment, Parameters


def decided(wanted: tuple[str, ...], *chances: float, chosen: int = 0, kind: str = "a") -> Decision:
    """Return a decision among experts e0, e1, … with these probabilities; the first are chosen."""
    choices = [Choice(f"{n}", f"p/e{n}", chance, 1.0) for n, chance in enumerate(chances)]
    route = Route(
        tuple(choices[:chosen]), 0.0, "make", Parameters(), "", (), tuple(choices[chosen:])
    )
    return Decision(Labelled("x", "g", wanted, kind), route, 0.01 * len(chances))


def test_calibration_is_the_expected_error() -> None:
    """Beside the formula of Naeini et al. (2015), on random probabilities, over ten bins."""
    source = random.Random(2)
    decisions = [
        decided(
            ("e0",) if source.random() < 0.5 else (), source.random(), source.choice((0.0, 1.0))
        )
        for _ in range(400)
    ]
    pairs = [
        (choice.probability, choice.name.removeprefix("p/") in one.labelled.experts)
        for one in decisions
        for choice in one.route.alternatives
    ]
    error = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        mine = [(p, r) for p, r in pairs if low <= p < high or (high == 1 and p == 1)]
        if mine:
            mean = sum(p for p, _ in mine) / len(mine)
            share = sum(r for _, r in mine) / len(mine)
            error += abs(mean - share) * len(mine) / len(pairs)
    found = report(decisions)
    assert found.calibration == pytest.approx(error)
    assert sum(count for _, _, count in found.bins) == len(pairs) == 800


def test_kinds_and_times() -> None:
    """Each kind of prompt has its own share; times are of the middle and of the slowest."""
    found = report(
        [
            decided(("e0",), 0.9, chosen=1, kind="typo"),
            decided(("e1",), 0.9, chosen=1, kind="typo"),
            decided((), 0.1, 0.2, 0.3, kind="plain"),
        ]
    )
    assert found.by_kind == {"plain": (1, 1.0), "typo": (2, 0.5)}
    assert found.median_ms == pytest.approx(10.0)
    assert found.p99_ms == pytest.approx(30.0)
    assert found.interval == wilson(2, 3)


@pytest.mark.parametrize("total", [1, 2, 7, 100, 10_000])
def test_an_interval_holds_its_share(total: int) -> None:
    """It is narrower the more there is, mirrored, and within 0 and 1 to rounding."""
    for right in {0, 1, total // 2, total - 1, total}:
        low, high = wilson(right, total)
        assert -1e-12 <= low <= right / total + 1e-12 and right / total - 1e-12 <= high <= 1 + 1e-12
        mirrored = wilson(total - right, total)
        assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high))
    assert wilson(0, 0) == (0.0, 1.0)
    width = [high - low for low, high in (wilson(n // 2, n) for n in (2, 20, 200, 2000))]
    assert width == sorted(width, reverse=True)


def test_a_line_with_everything(tmp_path: Path) -> None:
    """Attachments and the expert before reach the router; absent fields have their defaults."""
    path = tmp_path / "some.jsonl"
    rows = [
        {"prompt": "a", "group": "g"},
        {"prompt": "b", "group": "h", "experts": ["sql", "json"], "kind": "multi",
         "attachments": [{"name": "f", "text": "t"}], "previous": "sql"},
    ]  # fmt: skip
    path.write_text("\r\n".join(json.dumps(row) for row in rows) + "\r\n\n  \n")
    plain, full = load_labelled(path)
    assert (plain.experts, plain.kind, plain.request) == ((), "plain", RouteRequest("a"))
    assert full.request == RouteRequest("b", (Attachment("f", "t"),), "sql")


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "null", '{"prompt": "x"}', '{"prompt": "x", "group": 3}', "x", '{"prompt":',
     '{"prompt": "x", "group": "g", "expert": ["sql"]}', '{"prompt": "x", "group": "g"} 1'],
)  # fmt: skip
def test_lines_that_are_no_labels(tmp_path: Path, line: str) -> None:
    """The line's number and an example of a right one; a misspelt field is no default."""
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{{"prompt": "x", "group": "g"}}\n{line}\n')
    with pytest.raises(UsageError, match="Line 2 of") as caught:
        load_labelled(path)
    assert '"experts": ["sql"]' in caught.value.fix


def test_buckets_are_even_and_independent() -> None:
    """Halves are halves, folds are fifths, and neither tells the other."""
    names = [f"group-{n}" for n in range(4000)]
    for count in (2, 5):
        found = [bucket(name, count) for name in names]
        assert {*found} == set(range(count))
        assert all(abs(found.count(n) - 4000 / count) < 200 for n in range(count))
    first = [bucket(name, 5) for name in names if bucket(name, 2)]
    assert all(abs(first.count(n) / len(first) - 0.2) < 0.05 for n in range(5))
    halves = {half: load_half(half) for half in ("development", "heldout")}
    assert not halves["development"] & halves["heldout"]


def load_half(half: str) -> set[str]:
    """Return which of some groups are in a half."""
    every = [Labelled("x", f"group-{n}") for n in range(50)]
    return {each.group for each in every if each.half == half}
