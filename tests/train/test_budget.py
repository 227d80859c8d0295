"""The learning rate warms up, holds, and always completes its decay."""

import pytest

from expert.train.budget import Budget
from expert.train.recipe import share


def rates(budget: Budget, step: float) -> list[float]:
    """Return the rates of a run that spends `step` at a time until it is over."""
    seen = []
    while not budget.over:
        seen.append(budget.rate)
        budget.spent += step
    return seen


def test_a_run_warms_up_holds_and_decays_to_zero() -> None:
    """The rate rises, stays at one, and ends near zero."""
    seen = rates(Budget(100, warmup=10, decay=30), 1)
    assert seen[0] < 0.1 and seen[40] == 1.0 and seen[-1] < 0.05
    assert seen[70:] == sorted(seen[70:], reverse=True)


@pytest.mark.parametrize("decay", [None, 5.0])
def test_finishing_early_still_decays_to_zero(decay: float | None) -> None:
    """Asked to finish, the decay begins at once and takes the given time, or its planned share."""
    budget = Budget(100, warmup=1, decay=20, spent=40)
    budget.finish(decay)
    seen = rates(budget, 0.5)
    assert seen[0] == 1.0 and seen[-1] < 0.11
    assert budget.total == pytest.approx(40 + (decay or 10))


def test_finishing_twice_or_late_changes_nothing() -> None:
    """A second request, or one when less is left than the decay takes, never lengthens a run."""
    budget = Budget(100, warmup=1, decay=20, spent=95)
    budget.finish()
    assert budget.total == 100
    budget.finish(500)
    assert budget.total == 100


def test_shares_are_interpolated() -> None:
    """A task's share is zero before its first point, linear between points, and flat after."""
    knots = ((0.2, 0.0), (0.4, 10.0))
    assert [share(knots, at) for at in (0.1, 0.3, 0.4, 0.9)] == [
        0.0,
        pytest.approx(5.0),
        10.0,
        10.0,
    ]
