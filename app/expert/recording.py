"""The last step of the main path: writing what was asked and answered into the history."""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from expert.config import Config
from expert.errors import ExpertError
from expert.rendering import with_attachments
from expert.types import Answer, Done, Event, Notice, Plan, Request

if TYPE_CHECKING:
    from expert.history.records import Ending, Place

log = logging.getLogger("expert.history")


class Recorder:
    """Records turns, unless a setting or the request forbids it; never keeps an answer back."""

    def __init__(self, config: Config) -> None:
        self._wanted = config.history

    def record(self, request: Request, plan: Plan, answer: Answer) -> Iterator[Event]:
        """Record an answer and yield it as `Done`; a failure to record is a warning before it."""
        place = None
        try:
            place = self._write(request, plan, answer, answer.finish)
        except ExpertError as error:
            reason = f"{error.what} {error.why}".strip()
            yield Notice(f"This answer was not kept in the history: {reason}", "warning")
        if place is None:
            yield Done(answer)
        else:
            yield Done(answer, place.conversation, place.turn)

    def record_cut(
        self, request: Request, plan: Plan, answer: Answer, cause: BaseException
    ) -> None:
        """Record what there was of an answer when *cause* ended it."""
        failed = isinstance(cause, Exception)
        try:
            self._write(
                request,
                plan,
                answer,
                "failed" if failed else "cancelled",
                error=str(cause) if failed else "",
            )
        except ExpertError as error:
            log.warning("not kept in the history: %s", error)

    def _write(
        self, request: Request, plan: Plan, answer: Answer, finish: "Ending", error: str = ""
    ) -> "Place | None":
        if not (self._wanted and request.record):
            return None
        # SQLite is not needed before the answer is there.
        from expert.history.history import user_history
        from expert.history.records import Turn

        *earlier, last = with_attachments(request.messages, request.attachments)
        system = earlier.pop(0).content if earlier and earlier[0].role == "system" else ""
        return user_history().record(
            Turn(
                prompt=last.content,
                answer=answer.text,
                finish=finish,
                sampling=answer.sampling,
                model=answer.model.stem,
                model_path=str(answer.model),
                reasoning=answer.reasoning,
                error=error,
                origin=request.origin,
                system=system,
                context=() if request.conversation else earlier,
                experts=answer.experts,
                route={"reason": plan.reason, **asdict(plan.route)},
                timings=answer.timings,
                conversation=request.conversation,
                parent=request.parent,
            )
        )
