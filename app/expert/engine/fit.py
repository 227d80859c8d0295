"""What gives way when memory is short: a plan over sizes alone, made before anything is loaded.

In this order, and no further than needed: the part of the context that nobody asked for; the ranks
of experts, then how many of them take part, both from the last one on; the length of the answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ExpertForm:
    """A form in which an expert can act; sizes in bytes."""

    size: int
    rank: int | None = None
    """Rank of a Q8_0 approximation; None: the adapter as it is."""


@dataclass(frozen=True, slots=True)
class ContextForm:
    """A context that would do, in tokens and bytes, KV cache and computing together."""

    tokens: int
    size: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request takes; all sizes in bytes."""

    base: int
    """Weights."""
    contexts: Sequence[ContextForm]
    """From the one that is wanted down to the least that holds the question and its answer."""
    experts: Sequence[Sequence[ExpertForm]] = ()
    """For each, the most important first, its forms from the largest to the smallest."""
    shorter: Sequence[ContextForm] = ()
    """Contexts that hold only a part of the answer, from the largest on."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What to load."""

    context: ContextForm
    experts: tuple[ExpertForm | None, ...]
    """The form of each expert; None: it does not take part."""
    base: int

    @property
    def expert_bytes(self) -> int:
        """Memory of all experts."""
        return sum(form.size for form in self.experts if form)

    @property
    def total(self) -> int:
        """Memory of everything."""
        return self.base + self.context.size + self.expert_bytes


def fit(needs: Needs, free: int) -> Fit | None:
    """Return the first plan that fits into *free* bytes, None if even the last one does not."""
    return next((plan for plan in plans(needs) if plan.total <= free), None)


def plans(needs: Needs) -> Iterator[Fit]:
    """Yield every plan, from all that is wanted to the least that is of use; each takes less."""
    whole = tuple(forms[0] for forms in needs.experts)
    plan = Fit(needs.contexts[0], whole, needs.base)
    for context in needs.contexts:
        plan = replace(plan, context=context)
        yield plan
    for depth in range(1, max(map(len, needs.experts), default=0)):
        for index in reversed(range(len(whole))):
            if depth < len(needs.experts[index]):
                plan = _with(plan, index, needs.experts[index][depth])
                yield plan
    for index in reversed(range(1, len(whole))):
        plan = _with(plan, index, None)
        yield plan
    for context in needs.shorter:
        plan = replace(plan, context=context)
        yield plan


def _with(plan: Fit, index: int, form: ExpertForm | None) -> Fit:
    experts = (*plan.experts[:index], form, *plan.experts[index + 1 :])
    return replace(plan, experts=experts)
