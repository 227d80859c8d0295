"""Labelled prompts, their halves, and the figures made of decisions."""

import json
from collections import Counter
from pathlib import Path

import pytest

from expert.errors import NotFoundError, UsageError
from expert.metrics.intervals import wilson
from expert.router.evaluate import Decision, decide, report
from expert.router.fit import fit
from expert.router.labelled import Labelled, bucket, load_labelled
from expert.router.router import Router
from expert.router.types import Candidate, Choice, Route
from expert.router.weights import fitted
from expert.types import Parameters


def decision(wanted: tuple[str, ...], chosen: tuple[str, ...]) -> Decision:
    """Return a decision with certain probabilities."""
    choices = tuple(Choice(name, f"p/{name}", 1.0, 1.0) for name in chosen)
    others = tuple(Choice(n, f"p/{n}", 0.0, 0.0) for n in ("a", "b") if n not in chosen)
    route = Route(choices, 0.0, "command", Parameters(), "", alternatives=others)
    return Decision(Labelled("x", "g", wanted), route, 0.001)


def test_figures() -> None:
    """Right, missed, wrong and off-topic decisions are told apart."""
    found = report(
        [
            decision(("a",), ("a",)),
            decision(("a",), ()),
            decision(("a",), ("b",)),
            decision(("a", "b"), ("b", "a")),
            decision((), ()),
            decision((), ("a",)),
        ]
    )
    assert (found.prompts, found.correct) == (6, 0.5)
    assert found.off_topic == 0.5
    assert found.missed == 0.25
    assert found.wrong == 0.25
    assert found.confusion["a"] == {"a": 1, "b": 1, "none": 1}
    assert found.confusion["a+b"] == {"a+b": 1}
    assert found.calibration == pytest.approx(4 / 12)
    assert found.median_ms == pytest.approx(1.0)


def test_no_decisions() -> None:
    """Nothing to measure is no crash."""
    assert report([]).prompts == 0


def test_wilson() -> None:
    """The interval of 8 in 10 is the textbook's."""
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=2e-3)


def test_the_split_is_by_group(prompts: Path) -> None:
    """Every group is in one half, both halves are large, and the split never changes."""
    halves: dict[str, set[str]] = {}
    for each in load_labelled(prompts):
        halves.setdefault(each.group, set()).add(each.half)
    assert all(len(found) == 1 for found in halves.values())
    development = load_labelled(prompts, "development")
    heldout = load_labelled(prompts, "heldout")
    assert len(development) + len(heldout) >= 600
    assert min(len(development), len(heldout)) >= 300
    assert [bucket(name, 2) for name in ("rx-iban", "sq-basic", "no-poem")] == [
        int(load_labelled_half(prompts, name)) for name in ("rx-iban", "sq-basic", "no-poem")
    ]


def load_labelled_half(prompts: Path, group: str) -> bool:
    """Tell whether a group is held out."""
    return any(each.group == group for each in load_labelled(prompts, "heldout"))


def test_the_set_is_varied(prompts: Path, candidates: list[Candidate]) -> None:
    """All experts, none, several, and each kind of difficulty occur; nothing occurs twice."""
    labelled = load_labelled(prompts)
    experts = Counter(name for each in labelled for name in each.experts)
    assert set(experts) == {candidate.short_name for candidate in candidates}
    assert min(experts.values()) >= 25
    assert sum(not each.experts for each in labelled) >= 200
    kinds = {each.kind for each in labelled}
    assert kinds >= {"plain", "typo", "pasted", "confusable", "adversarial", "multi", "foreign"}
    texts = [(each.prompt.lower(), each.attachments, each.previous) for each in labelled]
    assert len(set(texts)) == len(texts)


def test_examples_of_experts_are_no_test_prompts(
    prompts: Path, candidates: list[Candidate]
) -> None:
    """No prompt is answered by looking it up in a manifest."""
    examples = {text.lower() for candidate in candidates for text in candidate.examples}
    assert all(len(candidate.examples) >= 50 for candidate in candidates)
    assert not examples & {each.prompt.lower() for each in load_labelled(prompts)}


def test_targets_on_the_held_out_half(router: Router, prompts: Path) -> None:
    """At least 85 % are decided right, and fewer than 5 % of off-topic prompts reach an expert."""
    found = report(decide(router, load_labelled(prompts, "heldout")))
    assert found.correct >= 0.85
    assert found.off_topic < 0.05
    assert found.calibration < 0.03


def test_broken_files(tmp_path: Path) -> None:
    """A missing file and a line that is no label are said, with the line."""
    with pytest.raises(NotFoundError):
        load_labelled(tmp_path / "none.jsonl")
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"prompt": "x", "group": "g"}) + '\n\n{"prompt": 3}\n')
    with pytest.raises(UsageError, match="Line 3"):
        load_labelled(path)


@pytest.mark.slow
def test_the_committed_parameters_are_those_of_the_development_half(
    candidates: list[Candidate], prompts: Path
) -> None:
    """Fitting again gives the parameters in the repository, to the rounding."""
    again = fit(load_labelled(prompts, "development"), candidates)
    for stage, weights in again.items():
        kept = fitted()[stage]
        assert weights.bias == pytest.approx(kept.bias, abs=2e-3)
        assert weights.features == pytest.approx(kept.features, abs=2e-3)
        assert weights.expert.slope == pytest.approx(kept.expert.slope, abs=2e-3)
        assert weights.none.slope == pytest.approx(kept.none.slope, abs=2e-3)
