"""The main path: plan, render, attach, generate, check and record, for every way of asking.

from expert import Assistant

with Assistant() as assistant:
    answer = assistant.ask("find all empty files here").answer
    print(answer.text, [expert.name for expert in answer.experts])
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from expert.bounds import check_request
from expert.choosing import choose_experts, with_profiles
from expert.closing import Closing
from expert.collecting import Asked, Collected, Deadline, Stopper, until
from expert.config import Config, load_config
from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import soft_positions
from expert.engine.constrained import Contract, reasoning_of
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job
from expert.errors import ContractError
from expert.fitting import fit_job
from expert.forms import AnswerForm, choose_form
from expert.loading import Loading
from expert.models import find_model
from expert.planning import answer_limit, make_plan
from expert.reasoning import ReasoningSplitter
from expert.recording import Recorder
from expert.rendering import Rendered, render
from expert.resident import Resident
from expert.routing import Routing
from expert.tables import NO_TABLES, is_about_tables
from expert.types import (
    Answer,
    Event,
    ExpertChoice,
    Message,
    Plan,
    Planned,
    Request,
    Timings,
)

Expert: TypeAlias = str | Path | tuple[str | Path, float] | ExpertChoice


class Assistant(Closing):
    """Answers on one resident base model; safe to use from many threads.

    The model loads in the background from the start, while the caller still reads its input.

    Raises:
        ExpertError: the model does not exist, or a setting is wrong.
    """

    def __init__(
        self,
        model: str | Path | Loading | None = None,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        """*model* is a name or a path; *settings* are those of `expert.config.Config`."""
        self.config = config or load_config(settings)
        if not isinstance(model, Path | Loading):
            model = find_model(model or self.config.model).path
        loading = Loading(model, self.config) if isinstance(model, Path) else model
        self.resident = Resident(loading, self.config)
        self.experts: tuple[ExpertChoice, ...] | None = None
        """Who answers where a request names nobody; None: whoever fits it best."""
        self._routing = Routing(loading.path)
        self._recorder = Recorder(self.config)

    def ask(self, question: str | Sequence[Message] | Request, **options: Any) -> Asked:
        """Answer a question, a conversation or a request; *options* are those of `Request`.

        Take `.answer` or `.text`, or iterate over the events, which end with `Done`.

        Raises:
            ExpertError: (when it is read) the model, an adapter or the request is at fault, the
                answer breaks its contract, memory is short, or the assistant is closed.
        """
        stopper = Stopper()
        return Asked(self._answering(self._request(question, options), stopper), stopper)

    def _answering(self, request: Request, stopper: Stopper) -> Iterator[Event]:
        with self.resident.in_use():
            yield from self._main_path(request, stopper)

    def _main_path(self, request: Request, stopper: Stopper) -> Iterator[Event]:
        check_request(request)
        deadline = Deadline(request.timeout)
        request, route, notices = self._routing.route(request)  # while the model still loads
        yield from notices
        self.resident.wait(deadline.left)
        if notice := self.resident.placement():
            yield notice
        plan = make_plan(request, self.resident.model, self.config, route)
        yield Planned(plan)
        form = choose_form(request, plan.experts)
        if form is None and is_about_tables(request, plan.experts):
            yield NO_TABLES
        asked = with_profiles(request, plan.experts)
        rendered = render(asked, self.resident, form.tables if form else None)
        yield from rendered.notices
        job = self._job(plan, asked, rendered, form)
        parts = Collected(ReasoningSplitter(inside=rendered.reasoning_is_open))
        fitted = fit_job(plan, job, self.resident)
        yield from fitted.notices
        plan, job = fitted.plan, fitted.job
        with self.resident.lend(
            len(job.sequence) + job.max_tokens,
            plan.beams,
            size=fitted.size,
            adapters=fitted.adapter_bytes,
        ) as engine:
            try:
                yield from self._generate(engine, job, parts, deadline, stopper)
                self._check(form, parts)
            except BaseException as error:
                cut = self._answer(plan, job, parts)
                self._recorder.record_cut(request, plan, cut, error)
                if isinstance(error, ContractError):
                    error.partial = cut.text
                raise
        answer = self._answer(plan, job, parts)
        yield from self._recorder.record(request, plan, answer)
        if answer.finish == "cancelled" and stopper.interrupted:
            raise KeyboardInterrupt  # which `until` held back until the answer was whole

    def preview(
        self, question: str | Sequence[Message] | Request, **options: Any
    ) -> tuple[Plan, Rendered]:
        """Return who would answer a request, and the prompt they would get.

        Raises:
            ExpertError: as for `ask`.
        """
        request = self._request(question, options)
        check_request(request)
        with self.resident.in_use():
            request, route, _ = self._routing.route(request)
            plan = make_plan(request, self.resident.model, self.config, route)
            asked = with_profiles(request, plan.experts)
            form = choose_form(request, plan.experts)
            rendered = render(asked, self.resident, form.tables if form else None)
            self._job(plan, asked, rendered, form)
        return plan, rendered

    def attach_experts(self, *experts: Expert) -> None:
        """Let *experts* answer from now on; each a name or a file, or one of these with a scale.

        Raises:
            NotFoundError: there is no such expert.
        """
        self.experts = self._choose(experts)

    def release(self) -> None:
        """Choose experts by the question again."""
        self.experts = None

    def close(self) -> None:
        """Free the contexts and the weights; answers under way end with what there is of them."""
        self.resident.close()

    # The steps ------------------------------------------------------------------------------------

    def _request(
        self, question: str | Sequence[Message] | Request, options: dict[str, Any]
    ) -> Request:
        if options.get("experts") is not None:
            options["experts"] = self._choose(options["experts"])
        if isinstance(question, Request):
            request = replace(question, **options)
        else:
            turns = [Message("user", question)] if isinstance(question, str) else question
            request = Request(turns, **options)
        return request if request.experts is not None else replace(request, experts=self.experts)

    def _choose(self, experts: Iterable[Expert]) -> tuple[ExpertChoice, ...]:
        """Return the experts that are meant; those that are chosen already stay as they are."""
        given = [each if isinstance(each, tuple) else (each, None) for each in experts]
        named = [str(name) for name, _ in given if not isinstance(name, ExpertChoice)]
        found = iter(choose_experts(named, self.resident.path))
        chosen = []
        for name, scale in given:
            choice = name if isinstance(name, ExpertChoice) else next(found)
            chosen.append(choice if scale is None else replace(choice, scale=float(scale)))
        return tuple(chosen)

    def _job(
        self, plan: Plan, request: Request, rendered: Rendered, form: AnswerForm | None
    ) -> Job:
        """Return what the engine is to do."""
        experts = self._attach(plan)
        soft = len(soft_positions(experts))
        return Job(
            rendered.prompt,
            plan.sampling,
            answer_limit(plan, request, len(rendered.prompt) + soft, self.resident.limit),
            experts=experts,
            repeatable=request.seed is not None or plan.sampling.temperature <= 0,
            stop=request.stop,
            logprobs=request.logprobs,
            overflow="shift" if request.truncate and plan.beams == 1 else "stop",
            keep=rendered.system_tokens,
            contract=self._contract(form, request, rendered) if form else None,
            beams=plan.beams,
        )

    def _contract(self, form: AnswerForm, request: Request, rendered: Rendered) -> Contract:
        """Return what the engine holds the answer to, its reasoning left free."""
        table, inside = self.resident.prepare_table(), rendered.reasoning_is_open
        reasons = inside or request.think
        vocabulary = self.resident.model.vocabulary
        return form.contract(table.get, reasoning_of(vocabulary, inside) if reasons else None)

    def _attach(self, plan: Plan) -> tuple[tuple[AdapterFile, float], ...]:
        """Check the plan's adapters against the base; the engine loads them when they act.

        Raises:
            VerificationError: an adapter is damaged.
            WrongBaseError: one was made for another base.
        """
        header = self.resident.model.header
        return tuple((read_adapter(each.adapter, header), each.scale) for each in plan.experts)

    def _generate(
        self, engine: Engine, job: Job, parts: Collected, deadline: Deadline, stopper: Stopper
    ) -> Iterator[Event]:
        stream = engine.submit(job)
        stopper.attach(stream)
        try:
            for output in until(stream, deadline, stopper):
                yield from parts.push(output)
        except BaseException:
            stream.cancel()
            raise

    def _check(self, form: AnswerForm | None, parts: Collected) -> None:
        """Judge the text itself once more; an answer that was cut on request is none.

        Raises:
            ContractError: it breaks its form, or ends in the middle of it.
        """
        if form and parts.end and parts.end.finish in ("stop", "length"):
            table = self.resident.prepare_table().get()
            form.check("".join(parts.answer), table, complete=parts.end.complete)

    def _answer(self, plan: Plan, job: Job, parts: Collected) -> Answer:
        """Return what came out, which is not whole if the engine has not said so."""
        end = parts.end or Finished("cancelled", Timings(prompt_tokens=len(job.prompt)))
        return Answer(
            text="".join(parts.answer),
            reasoning="".join(parts.reasoning),
            finish=end.finish,
            sampling=job.sampling,
            model=self.resident.path,
            timings=replace(end.timings, load_s=self.resident.load_s),
            experts=tuple(
                choice.use(file.digest)
                for choice, (file, _) in zip(plan.experts, job.experts, strict=True)
            ),
            logprobs=tuple(parts.logprobs),
        )
