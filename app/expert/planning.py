"""The plan of a request: who answers, how tokens are chosen, and how long the answer may be."""

import secrets

from expert.config import Config
from expert.engine.model import Model
from expert.errors import InputTooLongError, UsageError
from expert.types import Plan, Request, Sampling

MAX_EXPERTS = 10


def make_plan(request: Request, model: Model, config: Config) -> Plan:
    """Decide who answers and how; no expert is a plan too, the base then answers itself.

    Raises:
        UsageError: more experts are wanted than can act together.
    """
    if len(request.experts) > MAX_EXPERTS:
        raise UsageError(
            f"{len(request.experts)} experts cannot answer together.",
            f"At most {MAX_EXPERTS} can.",
            "Choose fewer.",
        )
    limit = request.max_tokens or config.max_tokens
    reason = "you chose the experts" if request.experts else "the base model answers"
    return Plan(choose_sampling(request, model), limit, request.experts, reason)


def answer_limit(plan: Plan, request: Request, prompt: int, context: int) -> int:
    """Return the longest answer that fits beside *prompt* tokens in the *context*.

    Raises:
        InputTooLongError: the request itself asks for a longer one.
    """
    room = context - prompt
    if plan.max_tokens <= room or request.truncate:
        return plan.max_tokens
    if request.max_tokens is None:
        return room
    raise InputTooLongError(
        f"{prompt} tokens of input and {plan.max_tokens} of answer do not fit.",
        f"The context holds {context} tokens.",
        f"Ask for at most {room} answer tokens, or shorten the input.",
    )


def choose_sampling(request: Request, model: Model) -> Sampling:
    """Return the sampling of a request: its own wishes, else what the model file recommends.

    A file without recommendations is sampled greedily, so that equal questions get equal answers.
    """

    def pick(wish: float | None, key: str, default: float) -> float:
        if wish is not None:
            return wish
        recommended = model.metadata(f"general.sampling.{key}")
        return recommended if isinstance(recommended, int | float) else default

    temperature = pick(request.temperature, "temp", 0.0)
    seed = request.seed
    if seed is None:
        seed = secrets.randbits(32) if temperature > 0 else 0
    return Sampling(
        temperature=temperature,
        top_k=int(pick(request.top_k, "top_k", 0)),
        top_p=pick(request.top_p, "top_p", 1.0),
        min_p=pick(request.min_p, "min_p", 0.0),
        repeat_penalty=pick(request.repeat_penalty, "penalty_repeat", 1.0),
        seed=seed,
    )
