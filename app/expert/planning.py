"""The plan of a request: who answers, how tokens are chosen, and how long the answer may be."""

import secrets

from expert.choosing import first_wish, with_profiles
from expert.config import Config
from expert.engine.model import Model
from expert.errors import InputTooLongError, UsageError
from expert.types import Plan, Request, Route, Sampling

MAX_EXPERTS = 10
NOT_ROUTED = Route()
MAX_BEAMS = 8


def make_plan(request: Request, model: Model, config: Config, route: Route = NOT_ROUTED) -> Plan:
    """Decide who answers and how; no expert is a plan too, the base then answers itself.

    *route* is what was weighed if the request itself named nobody.

    Raises:
        UsageError: more experts are wanted than can act together, or a beam search together
            with what it cannot do.
    """
    _check_beams(request)
    experts = request.experts or ()
    if len(experts) > MAX_EXPERTS:
        raise UsageError(
            f"{len(experts)} experts cannot answer together.",
            f"At most {MAX_EXPERTS} can.",
            "Choose fewer.",
        )
    limit = request.max_tokens or first_wish(experts, "max_tokens") or config.max_tokens
    if route.candidates:
        reason = "chosen by the question" if experts else "no expert fits the question"
    else:
        reason = "you chose the experts" if experts else "the base model answers"
    wishes = with_profiles(request, experts)
    sampling = Sampling() if request.beams > 1 else choose_sampling(wishes, model)
    return Plan(sampling, int(limit), experts, reason, route, request.beams)


def _check_beams(request: Request) -> None:
    if not 1 <= request.beams <= MAX_BEAMS:
        raise UsageError(
            f"A beam search of {request.beams} hypotheses is impossible.",
            f"It takes 2 to {MAX_BEAMS}; 1 is none.",
            "Choose another number.",
        )
    against = {
        "a temperature": bool(request.temperature),
        "a repetition penalty": request.repeat_penalty not in (None, 1.0),
        "reasoning": request.think,
        "alternatives of each token": bool(request.logprobs),
    }
    found = [name for name, asked in against.items() if asked]
    if request.beams > 1 and found:
        raise UsageError(
            f"A beam search cannot be combined with {found[0]}.",
            "It looks for the most probable answer instead of drawing one.",
            "Leave one of the two out.",
        )


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
