"""Choosing experts by what people type: adapter files and installed experts, with their scales.

What an installed expert brings along (system prompt, sampling, grammar) comes with the choice as a
profile. What the user asks for beats it, and it beats what the model file recommends.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expert.models import find_expert, find_model, scale_of
from expert.tables import is_about_tables, tables_first
from expert.types import ExpertChoice, ExpertProfile, Message, Request

if TYPE_CHECKING:
    from expert.market.use import ReadyExpert

_SLUG = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_SLUG}/)?{_SLUG}(?:@[^:]*)?")
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")


def choose_experts(texts: Sequence[str], model: str | Path) -> tuple[ExpertChoice, ...]:
    """Return the experts that *texts* name, for the base model *model*, a name or a file.

    Each is `FILE`, `NAME`, `PUBLISHER/NAME` or `NAME@RANGE`, and any of them with `:SCALE`.
    Installed ones stay until this process ends, whatever others remove.

    Raises:
        UsageError: a scale is not a number, or two of the experts exclude each other.
        NotFoundError: there is no such file, and no such expert is installed.
        WrongBaseError: an expert is for other base models.
        VerificationError: a file of one is damaged.
    """
    found: list[ReadyExpert] = []
    choices = []
    for text in texts:
        name, scale = _split(text)
        if name is None:
            choices.append(find_expert(text))
            continue
        ready = _installed(name, model)
        assert ready.adapter is not None
        found.append(ready)
        choices.append(ExpertChoice(ready.adapter, scale, _profile(ready)))
    if len(found) > 1:
        from expert.market.use import check_conflicts

        check_conflicts(found)
    return tuple(choices)


def with_profiles(request: Request, experts: Sequence[ExpertChoice]) -> Request:
    """Return *request* with what it leaves open filled in from the experts that will answer.

    The first expert that says something about a value decides. System prompts of several follow
    each other; a system message of the user's own replaces them.
    """
    profiles = [choice.profile for choice in experts if choice.profile is not None]
    changes: dict[str, object] = {"experts": tuple(experts)}
    for name in _SAMPLING:
        if getattr(request, name) is None:
            changes[name] = first_wish(experts, name)
    stops = (*request.stop, *(text for one in profiles for text in one.parameters.stop))
    changes["stop"] = tuple(dict.fromkeys(stops))
    prompts = [one.system_prompt for one in profiles if one.system_prompt is not None]
    if prompts and not any(message.role == "system" for message in request.messages):
        changes["messages"] = [Message("system", "\n\n".join(prompts)), *request.messages]
    changed: Request = replace(request, **changes)  # type: ignore[arg-type]  # of its field's type
    return tables_first(changed) if is_about_tables(request, experts) else changed


def first_wish(experts: Sequence[ExpertChoice], name: str) -> float | None:
    """Return what the first expert that says something about the value *name* says."""
    stated = (choice.profile.parameters for choice in experts if choice.profile is not None)
    values = (getattr(parameters, name) for parameters in stated)
    return next((value for value in values if value is not None), None)


def _split(text: str) -> tuple[str | None, float]:
    """Return the name of an installed expert, None if *text* is about a file, and the scale."""
    name, separator, number = text.rpartition(":")
    if not separator:
        name, number = text, "1"
    if not _NAME.fullmatch(name) or _is_rather_a_file(name):
        return None, 1.0
    return name, scale_of(name, number, "NAME")


def _is_rather_a_file(name: str) -> bool:
    """Tell whether a file is called so and no installed expert is."""
    from expert.market.market import user_market
    from expert.market.use import is_installed

    return Path(name).is_file() and not is_installed(user_market(), name)


def _installed(name: str, model: str | Path) -> "ReadyExpert":
    from expert.market.bases import identify
    from expert.market.market import user_market
    from expert.market.use import use_expert

    return use_expert(user_market(), name, identify(find_model(str(model)).path))


def _profile(ready: "ReadyExpert") -> ExpertProfile:
    manifest = ready.manifest
    return ExpertProfile(
        manifest.qualified_name,
        manifest.version,
        ready.id,
        manifest.system_prompt,
        manifest.grammar.format if manifest.grammar is not None else None,
        ready.grammar,
        manifest.grammar is not None and manifest.grammar.verbatim,
        manifest.parameters,
    )
