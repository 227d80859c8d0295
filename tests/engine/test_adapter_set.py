"""Sets of adapters and where they act."""

from pathlib import Path

import pytest

from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import BASE, AdapterSet, Run, activation_runs, run_end, set_at


def file(digest: str, invocation: tuple[int, ...] = ()) -> AdapterFile:
    """Return an adapter that exists only by name."""
    return AdapterFile(Path(f"{digest}.gguf"), digest, 100, 32, invocation)


A, B = file("a"), file("b")
X, Y = file("x", (5, 6)), file("y", (7,))


def test_equal_functions_are_equal_sets() -> None:
    """Order, scale 0 and repetition make no difference; scales do."""
    assert AdapterSet.of([(A, 1), (B, 0.5)]) == AdapterSet.of([(B, 0.5), (A, 1)])
    assert AdapterSet.of([(A, 0.5), (A, 0.5), (B, 0)]) == AdapterSet.of([(A, 1)])
    assert AdapterSet.of([(A, 1), (A, -1)]) == BASE
    assert AdapterSet.of([(A, 1)]) != AdapterSet.of([(A, 0.5)])
    same = AdapterFile(Path("elsewhere.gguf"), "a", 100, 32, ())
    assert AdapterSet.of([(same, 1)]) == AdapterSet.of([(A, 1)])
    assert hash(AdapterSet.of([(same, 1)])) == hash(AdapterSet.of([(A, 1)]))


def test_a_prompt_adapter_acts_from_the_start() -> None:
    """There is one run."""
    assert activation_runs([1, 2, 3], [(A, 1)]) == (Run(0, AdapterSet.of([(A, 1)])),)


def test_an_answer_adapter_acts_from_its_last_invocation() -> None:
    """The base computes what is before, and earlier invocations too."""
    runs = activation_runs([5, 6, 1, 5, 6, 2], [(X, 1)])
    assert runs == (Run(0, BASE), Run(3, AdapterSet.of([(X, 1)])))


def test_without_its_invocation_an_answer_adapter_acts_on_the_answer_only() -> None:
    """The whole prompt is the base's."""
    assert activation_runs([1, 2], [(X, 1)])[-1] == Run(2, AdapterSet.of([(X, 1)]))


def test_kinds_combine_each_at_its_own_place() -> None:
    """A prompt adapter from the start, two answer adapters from their own invocations."""
    runs = activation_runs([7, 1, 5, 6, 2], [(A, 1), (X, 1), (Y, 2)])
    assert [run.start for run in runs] == [0, 2]
    assert runs[0].adapters == AdapterSet.of([(A, 1), (Y, 2)])
    assert runs[1].adapters == AdapterSet.of([(A, 1), (X, 1), (Y, 2)])


@pytest.mark.parametrize(("position", "start", "end"), [(0, 0, 3), (2, 0, 3), (3, 3, None)])
def test_positions_find_their_run(position: int, start: int, end: int | None) -> None:
    """A run holds from its start up to the next."""
    runs = (Run(0, BASE), Run(3, AdapterSet.of([(A, 1)])))
    assert set_at(runs, position) == runs[start > 0].adapters
    assert run_end(runs, position) == end
