"""The main path: plan, render, attach and generate, for every way of asking."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from expert.closing import Closing
from expert.collecting import Collected, until
from expert.config import Config
from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job
from expert.errors import ExpertError, InputTooLongError
from expert.planning import answer_limit, make_plan
from expert.reasoning import ReasoningSplitter
from expert.resident import Resident
from expert.types import Answer, Done, Event, ExpertUse, Message, Notice, Plan, Request


class Assistant(Closing):
    """Answers requests on one resident base model. Close it, or use it with `with`.

    The model loads in the background from the start, while the caller still reads its input.
    """

    def __init__(self, model: Path, config: Config | None = None) -> None:
        self.config = config or Config()
        self.resident = Resident(model, self.config)

    def ask(self, request: Request) -> Iterator[Event]:
        """Answer *request*, as a stream of events that ends with `Done`.

        Raises:
            ExpertError: the model, an adapter or the request is at fault, or memory is short.
        """
        if notice := self.resident.placement():
            yield notice
        plan = make_plan(request, self.resident.model, self.config)
        messages, prompt = self._render(request)
        if dropped := len(request.messages) - len(messages):
            yield Notice(f"The oldest {dropped} turns were dropped to fit the context.", "warning")
        job = self._job(plan, request, messages, prompt)
        with self.resident.lend(len(prompt) + job.max_tokens) as engine:
            yield from self._generate(engine, job, request)

    def _render(self, request: Request) -> tuple[Sequence[Message], list[int]]:
        """Return the turns that are kept and their tokens.

        With `truncate`, whole turns go, oldest first; the system prompt and the last turn stay.

        Raises:
            InputTooLongError: they do not fit, and may not be truncated.
        """
        limit = self.resident.limit
        turns = list(request.messages)
        first = 1 if turns and turns[0].role == "system" else 0
        while True:
            prompt = self.resident.template.tokens(turns, think=request.think)
            if len(prompt) < limit:
                return turns, prompt
            if not request.truncate or len(turns) <= first + 1:
                raise InputTooLongError(
                    f"The input has {len(prompt)} tokens; the context holds {limit}.",
                    "The answer needs room in the same context.",
                    "Shorten the input, or allow it to be truncated.",
                )
            del turns[first : min(first + 2, len(turns) - 1)]

    def _job(
        self, plan: Plan, request: Request, messages: Sequence[Message], prompt: list[int]
    ) -> Job:
        """Return what the engine is to do."""
        return Job(
            prompt,
            plan.sampling,
            answer_limit(plan, request, len(prompt), self.resident.limit),
            experts=self._attach(plan),
            repeatable=request.seed is not None or plan.sampling.temperature <= 0,
            stop=request.stop,
            logprobs=request.logprobs,
            overflow="shift" if request.truncate else "stop",
            keep=self._system_tokens(messages),
        )

    def _attach(self, plan: Plan) -> tuple[tuple[AdapterFile, float], ...]:
        """Check the plan's adapters against the base; the engine loads them when they act.

        Raises:
            VerificationError: an adapter is damaged.
            WrongBaseError: one was made for another base.
        """
        header = self.resident.model.header
        return tuple((read_adapter(each.adapter, header), each.scale) for each in plan.experts)

    def _system_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many tokens of the prompt a context shift must keep."""
        if not messages or messages[0].role != "system":
            return 0
        try:
            return len(self.resident.template.tokens(messages[:1], answer=False))
        except ExpertError:  # some templates refuse a conversation without a user
            return 0

    def _generate(self, engine: Engine, job: Job, request: Request) -> Iterator[Event]:
        tail = self.resident.model.vocabulary.decode(job.prompt[-4:])
        parts = Collected(ReasoningSplitter(inside=tail.rstrip().endswith(b"<think>")))
        stream = engine.submit(job)
        try:
            for output in until(stream, request.timeout):
                if isinstance(output, Finished):
                    yield from parts.finish()
                    yield Done(self._answer(output, parts, job))
                    return
                yield from parts.push(output)
        except BaseException:
            stream.cancel()
            raise

    def _answer(self, output: Finished, parts: Collected, job: Job) -> Answer:
        return Answer(
            text="".join(parts.answer),
            reasoning="".join(parts.reasoning),
            finish=output.finish,
            sampling=job.sampling,
            model=self.resident.path,
            timings=replace(output.timings, load_s=self.resident.load_s),
            experts=tuple(ExpertUse(file.name, file.digest, s) for file, s in job.experts),
            logprobs=tuple(parts.logprobs),
        )

    def close(self) -> None:
        """Free the contexts and the weights."""
        self.resident.close()
