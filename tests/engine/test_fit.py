"""The plan for short memory: it fits, gives up no more than it must, and in the stated order."""

import random

import pytest

from expert.engine.fit import ContextForm, ExpertForm, Fit, Needs, fit, plans

MB = 1_000_000


def random_needs(draw: random.Random) -> Needs:
    """Return needs of any size: no experts to ten, with one to four forms each."""
    sizes = sorted(draw.sample(range(1, 4000), draw.randint(1, 6)), reverse=True)
    contexts = [ContextForm(size * 8, size * MB) for size in sizes]
    split = draw.randint(1, len(contexts))
    experts = []
    for _ in range(draw.randint(0, 10)):
        forms = sorted(draw.sample(range(1, 200), draw.randint(1, 4)), reverse=True)
        ranks = [None, 128, 64, 32]
        pairs = zip(forms, ranks, strict=False)
        experts.append([ExpertForm(size * MB, rank) for size, rank in pairs])
    return Needs(draw.randrange(3000) * MB, contexts[:split], experts, contexts[split:])


def loss(needs: Needs, plan: Fit) -> tuple[int, ...]:
    """Return what a plan gives up, the dearest first: answer, experts, ranks, spare context."""
    shorter = next((i for i, c in enumerate(needs.shorter, 1) if c == plan.context), 0)
    left_out = sum(form is None for form in plan.experts)
    steps = sum(
        list(forms).index(form) if form else len(forms) - 1
        for forms, form in zip(needs.experts, plan.experts, strict=True)
    )
    spare = next(
        (i for i, c in enumerate(needs.contexts) if c == plan.context), len(needs.contexts)
    )
    return shorter, left_out, steps, spare


@pytest.mark.parametrize("seed", range(300))
def test_plans_hold_what_they_promise(seed: int) -> None:
    """For random needs at every amount of memory."""
    draw = random.Random(seed)
    needs = random_needs(draw)
    every = list(plans(needs))
    losses = [loss(needs, plan) for plan in every]
    assert losses == sorted(losses)
    assert losses[0] == (0, 0, 0, 0)
    totals = [plan.total for plan in every]
    assert totals == sorted(totals, reverse=True)
    for free in (*totals, *(total - 1 for total in totals), 0, 10**18):
        found = fit(needs, free)
        if found is None:
            assert free < totals[-1]
            continue
        assert found.total <= free
        better = [plan for plan in every if loss(needs, plan) < loss(needs, found)]
        assert all(plan.total > free for plan in better)
        assert not needs.experts or found.experts[0] is not None


def test_the_order() -> None:
    """Spare context, then ranks from the last on, then experts from the last on, then length."""
    experts = [[ExpertForm(40), ExpertForm(20, 32)]] * 2
    needs = Needs(
        100,
        [ContextForm(4096, 80), ContextForm(1024, 20)],
        experts,
        [ContextForm(512, 10)],
    )
    whole, small = experts[0]
    expected = {
        260: (4096, (whole, whole)),
        259: (1024, (whole, whole)),
        199: (1024, (whole, small)),
        179: (1024, (small, small)),
        159: (1024, (small, None)),
        139: (512, (small, None)),
    }
    for free, (tokens, forms) in expected.items():
        found = fit(needs, free)
        assert found
        assert (found.context.tokens, found.experts) == (tokens, forms)
    assert fit(needs, 129) is None


def test_nothing_gives_way_when_all_fits() -> None:
    """With room for everything the plan is the wish."""
    needs = Needs(100, [ContextForm(4096, 80), ContextForm(512, 10)], [[ExpertForm(40)]])
    found = fit(needs, 220)
    assert found
    assert (found.context.tokens, found.experts, found.total) == (4096, (ExpertForm(40),), 220)
