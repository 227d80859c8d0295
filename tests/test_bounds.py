"""What no sampler, clock or database can take is refused before anything is computed."""

import math
from pathlib import Path
from typing import Any

import pytest

from expert.assistant import Assistant
from expert.bounds import BOUNDS, check_bounds, check_request
from expert.errors import UsageError
from expert.types import Message, Request

HELLO = [Message("user", "Hello")]
WHOLE = {"max_tokens", "seed", "top_k", "logprobs", "conversation", "parent"}
EDGES: dict[str, tuple[float, float]] = {
    **BOUNDS,
    "max_tokens": (1, 2**31 - 1),
    "conversation": (1, 2**63 - 1),
    "parent": (1, 2**63 - 1),
}


def asking(name: str, value: Any) -> Request:
    """Return a request with one number set."""
    return Request(HELLO, **{name: value})


@pytest.mark.parametrize("name", EDGES)
def test_each_number_has_two_edges(name: str) -> None:
    """Both are inside; what is just beyond, and what is no number, is not."""
    low, high = EDGES[name]
    for value in (None, low, high):
        check_request(asking(name, value))
    step = 1 if name in WHOLE else 0.001
    for value in (low - step, high + step, -math.inf, math.inf, math.nan, -(2**70), 2**70):
        with pytest.raises(UsageError) as caught:
            check_request(asking(name, value))
        assert name in caught.value.what and f"{low:g}" in caught.value.why


def test_a_request_without_a_message_asks_nothing() -> None:
    """An empty message is one all the same."""
    with pytest.raises(UsageError, match="Nothing is asked"):
        check_request(Request([]))
    check_request(Request([Message("user", "")]))


def test_bounds_belong_to_fields_of_a_request() -> None:
    """A name that no request has would never be looked at."""
    assert set(EDGES) <= set(Request.__dataclass_fields__)
    check_bounds("anything", None, 1, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 2**63},
        {"seed": -1},
        {"max_tokens": 0},
        {"timeout": math.nan},
        {"timeout": 1e12},
        {"temperature": math.inf},
        {"conversation": 2**70},
        {"parent": 0},
    ],
)
def test_the_assistant_asks_nobody_then(tiny_path: Path, options: dict[str, Any]) -> None:
    """Neither for an answer nor for its plan; the next question is answered."""
    with Assistant(tiny_path) as assistant:
        asked = assistant.ask("Hello", **options)
        with pytest.raises(UsageError, match=next(iter(options))):
            _ = asked.text
        with pytest.raises(UsageError, match=next(iter(options))):
            assistant.preview("Hello", **options)
        with pytest.raises(UsageError, match="Nothing"):
            _ = assistant.ask([]).text
        assert assistant.ask("Hello", max_tokens=2, experts=()).answer.timings.answer_tokens <= 2


def test_a_turn_before_it_that_is_not_there_is_left_out(tiny_path: Path) -> None:
    """The answer is recorded as the next one of its conversation, or in a new one."""
    with Assistant(tiny_path) as assistant:
        places = []
        for options in ({}, {"conversation": 1, "parent": 999}, {"conversation": 999, "parent": 1}):
            done = list(assistant.ask("Hello", max_tokens=2, experts=(), **options))[-1]
            places.append((done.conversation, done.turn))  # type: ignore[union-attr]  # it is Done
    assert places == [(1, 1), (1, 2), (2, 3)]
