"""Experts named in the prompt itself: `@sql how many users are there`."""

from collections.abc import Sequence
from dataclasses import dataclass

from expert.router.reading import MENTION, Reading
from expert.router.types import Candidate, RouteRequest

NOBODY = ("base", "none")
"""`@base` asks for the base model alone."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the @names of a prompt decide."""

    decides: bool
    """At least one name is known, so that nothing is left to decide."""
    chosen: frozenset[str]
    """The ids of the experts named."""
    unknown: tuple[str, ...]
    prompt: str
    """The prompt without the names that are known."""


def naming(candidates: Sequence[Candidate], request: RouteRequest, reading: Reading) -> Naming:
    """Find the experts that a prompt names; of two with one short name, the first."""
    if not reading.mentions:
        return Naming(False, frozenset(), (), request.prompt)
    ids = {NAME: "" for NAME in NOBODY}
    for candidate in reversed(candidates):
        ids[candidate.short_name] = ids[candidate.name] = candidate.id
    known = [name for name in reading.mentions if name in ids]
    unknown = tuple(dict.fromkeys(name for name in reading.mentions if name not in ids))
    chosen = frozenset(ids[name] for name in known) - {""}
    prompt = MENTION.sub(lambda match: "" if match[1] in ids else match[0], request.prompt)
    return Naming(bool(known), chosen, unknown, prompt.strip() if known else request.prompt)
