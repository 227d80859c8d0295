"""Kleene's three-valued logic: True, False, or None where something may still decide."""

from collections.abc import Iterable
from typing import TypeAlias

Judgement: TypeAlias = bool | None


def every(judgements: Iterable[Judgement]) -> Judgement:
    """Kleene's conjunction."""
    whole: Judgement = True
    for one in judgements:
        if one is False:
            return False
        whole = whole if one else None
    return whole


def some(judgements: Iterable[Judgement]) -> Judgement:
    """Kleene's disjunction."""
    whole: Judgement = False
    for one in judgements:
        if one:
            return True
        whole = None if one is None else whole
    return whole


def negate(one: Judgement) -> Judgement:
    """Kleene's negation."""
    return None if one is None else not one
