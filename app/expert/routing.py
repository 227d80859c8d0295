"""Choosing experts for a request that names none: the router, over what is installed here."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from expert.choosing import choose_experts
from expert.config import load_config
from expert.errors import ExpertError
from expert.types import Message, Notice, Request, Route

if TYPE_CHECKING:
    from expert.router.router import Router
    from expert.router.types import Candidate
    from expert.router.types import Route as Decision


class Routing:
    """Routes the requests for one base model; what was installed meanwhile counts at once."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._router: Router | None = None

    def route(self, request: Request) -> tuple[Request, Route, tuple[Notice, ...]]:
        """Return the request with its experts and what they wish, and why they were chosen.

        A request that names its experts stays as it is. Where experts cannot be read, the base
        answers, and a notice says so.
        """
        if request.experts is not None:
            return request, Route(), ()
        try:
            return self._routed(request)
        except ExpertError as error:
            words = f"The base model answers, for no expert could be chosen. {error.what}"
            return replace(request, experts=()), Route(), (Notice(words, "warning"),)

    def _routed(self, request: Request) -> tuple[Request, Route, tuple[Notice, ...]]:
        settings = load_config()
        candidates = [
            one for one in self._candidates() if one.name not in settings.disabled_experts
        ]
        if not candidates or not request.messages:
            return replace(request, experts=()), Route(), ()
        from expert.router.types import RouteRequest

        prompt = request.messages[-1].content
        asked = RouteRequest(prompt, tuple(request.attachments), request.previous)
        decision = self._prepared(candidates).route(asked)
        wanted = settings.expert_scales
        names = [
            f"{choice.name}:{choice.scale * wanted.get(choice.name, 1.0):g}"
            for choice in decision.choices
        ]
        changed = _with_wishes(request, decision) if names else request
        return replace(changed, experts=choose_experts(names, self._model)), _told(decision), ()

    def _candidates(self) -> "list[Candidate]":
        """Return the installed experts for this base; with none installed the file is not read."""
        from expert.market.market import user_market

        market = user_market()
        if not market.store.database.exists():
            return []
        from expert.router.candidates import installed

        if not installed(market):
            return []
        from expert.market.bases import identify

        return installed(market, identify(self._model))

    def _prepared(self, candidates: "list[Candidate]") -> "Router":
        """Return a router for these candidates, the last one if they are the same."""
        if self._router is None or self._router.candidates != tuple(candidates):
            from expert.paths import user_paths
            from expert.router.router import Router

            self._router = Router(candidates, cache=user_paths().cache / "router")
        return self._router


def _with_wishes(request: Request, decision: "Decision") -> Request:
    """Return *request* with what the task calls for where it leaves that open."""
    wishes = {
        field.name: getattr(decision.parameters, field.name)
        for field in fields(decision.parameters)
    }
    stop = (*request.stop, *wishes.pop("stop"))
    open_ones = {
        name: value
        for name, value in wishes.items()
        if value is not None and getattr(request, name) is None
    }
    changed: Request = replace(request, stop=tuple(dict.fromkeys(stop)), **open_ones)
    *before, last = changed.messages
    return replace(changed, messages=[*before, Message(last.role, decision.prompt)])


def _told(decision: "Decision") -> Route:
    ranked = [(one.name, one.probability) for one in (*decision.choices, *decision.alternatives)]
    ranked = sorted([*ranked, ("none", decision.none)], key=lambda row: -row[1])
    return Route(tuple(ranked), decision.reasons)
