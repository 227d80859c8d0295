"""The plan of a request: sampling, experts, and the room for an answer."""

from pathlib import Path

import pytest

from expert.config import Config
from expert.engine.model import Model
from expert.errors import InputTooLongError, UsageError
from expert.planning import answer_limit, choose_sampling, make_plan
from expert.types import ExpertChoice, Message, Request

HELLO = [Message("user", "Hello")]


def test_a_plan_says_why(tiny: Model) -> None:
    """Without experts the base answers; chosen experts are kept as they are."""
    assert make_plan(Request(HELLO), tiny, Config()).reason == "the base model answers"
    chosen = (ExpertChoice(Path("a.gguf"), 0.5),)
    plan = make_plan(Request(HELLO, chosen), tiny, Config())
    assert plan.experts == chosen
    assert "you chose" in plan.reason
    with pytest.raises(UsageError, match="At most 10"):
        make_plan(Request(HELLO, chosen * 11), tiny, Config())


def test_the_longest_answer(tiny: Model) -> None:
    """The request's own limit, else the setting's, cut to what the context leaves."""
    config = Config(max_tokens=100)
    plan = make_plan(Request(HELLO), tiny, config)
    assert answer_limit(plan, Request(HELLO), 20, 512) == 100
    assert answer_limit(plan, Request(HELLO), 450, 512) == 62
    assert answer_limit(plan, Request(HELLO, truncate=True), 450, 512) == 100
    wanted = Request(HELLO, max_tokens=80)
    with pytest.raises(InputTooLongError, match="at most 62"):
        answer_limit(make_plan(wanted, tiny, config), wanted, 450, 512)


def test_sampling_comes_from_the_request_then_the_file_then_greedy(tiny: Model) -> None:
    """A model's recommendation holds unless the request says otherwise."""
    assert choose_sampling(Request(HELLO), tiny).top_k == tiny.metadata("general.sampling.top_k")
    assert choose_sampling(Request(HELLO, top_k=3), tiny).top_k == 3
    tiny.header.metadata.pop("general.sampling.temp")
    plain = choose_sampling(Request(HELLO), tiny)
    assert plain.temperature == 0
    assert plain.seed == 0


def test_a_random_seed_is_reported(tiny: Model) -> None:
    """Without a seed each request draws one, so that its answer can be repeated."""
    seeds = {choose_sampling(Request(HELLO, temperature=1), tiny).seed for _ in range(5)}
    assert len(seeds) > 1
