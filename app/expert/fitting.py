"""Making a request fit into memory: what gives way is planned, carried out, and said."""

from dataclasses import dataclass, replace

from expert.engine.fit import ContextForm, ExpertForm, Fit, Needs, fit
from expert.engine.generation import Job
from expert.engine.memory import estimate
from expert.engine.options import ContextOptions
from expert.engine.reduction import approximate, forms_of
from expert.errors import ResourceError
from expert.resident import CELLS, Resident
from expert.types import Notice, Plan

_LEAST_ANSWER = 64  # tokens; with room for fewer there is no answer worth its wait


@dataclass(frozen=True, slots=True)
class Fitted:
    """A plan and its job as they can be done."""

    plan: Plan
    job: Job
    size: int
    """Tokens of the context, if one must be opened."""
    adapter_bytes: int
    notices: tuple[Notice, ...] = ()
    """What was reduced."""


def fit_job(plan: Plan, job: Job, resident: Resident) -> Fitted:
    """Reduce a job to what memory allows, the least painful first (`engine.fit`).

    Raises:
        ResourceError: even the least that is of use does not fit.
        VerificationError: an adapter that must become smaller cannot be read.
    """
    needs, free = _needs(job, resident)
    found = fit(needs, free)
    if found is None or None in found.experts or found.context not in needs.contexts:
        # Only now, because reading the adapters' headers takes milliseconds.
        needs = replace(needs, experts=[forms_of(file) for file, _ in job.experts])
        found = fit(needs, free)
    if found is None:
        raise _too_large(needs, free)
    return _carry_out(found, needs, plan, job, resident)


def _needs(job: Job, resident: Resident) -> tuple[Needs, int]:
    """Return what the job takes with its experts as they are, and the bytes there are for it."""
    experts = [[ExpertForm(file.bytes)] for file, _ in job.experts]
    prompt, beams = len(job.sequence), job.beams
    tokens = min(resident.limit, prompt + job.max_tokens)
    engine, free = resident.room(tokens, beams)
    if engine:
        return Needs(0, [ContextForm(engine.context.size, 0)], experts), free
    wish = resident.wish(tokens)
    least = min(wish, _cells(tokens))
    larger = {wish} | {size for size in (least << step for step in range(12)) if size < wish}
    answers = [job.max_tokens >> step for step in range(1, 16)]
    shorter = {_cells(prompt + answer) for answer in answers if answer >= _LEAST_ANSWER}

    def form(size: int) -> ContextForm:
        memory = estimate(resident.model.header, resident.options(size, beams))
        return ContextForm(size, memory.kv_cache + memory.compute)

    memory = estimate(resident.model.header, ContextOptions(size=CELLS))
    return Needs(
        memory.weights + memory.repacked,
        [form(size) for size in sorted(larger, reverse=True)],
        experts,
        [form(size) for size in sorted(shorter, reverse=True) if size < least],
    ), free


def _cells(tokens: int) -> int:
    return -(-tokens // CELLS) * CELLS


def _carry_out(found: Fit, needs: Needs, plan: Plan, job: Job, resident: Resident) -> Fitted:
    notices = []
    if found.context != needs.contexts[0]:
        wanted, got = needs.contexts[0].tokens, found.context.tokens
        notices.append(f"The context holds {got} tokens instead of {wanted}")
    experts, choices = [], []
    for (file, scale), choice, form in zip(job.experts, plan.experts, found.experts, strict=True):
        if form is None:
            notices.append(f"{choice.name} does not take part")
            continue
        if form.rank is not None:
            file, kept = approximate(file, form.rank, resident.model.header)
            notices.append(f"{choice.name} acts at rank {form.rank}, with {kept:.1%} of its weight")
        experts.append((file, scale))
        choices.append(choice)
    answer = min(job.max_tokens, found.context.tokens - len(job.sequence))
    if answer < job.max_tokens and found.context in needs.shorter:
        notices.append(f"The answer is at most {answer} tokens long")
        job = replace(job, max_tokens=answer)
    return Fitted(
        replace(plan, experts=tuple(choices)),
        replace(job, experts=tuple(experts)),
        found.context.tokens,
        found.expert_bytes,
        tuple(Notice(f"{text}: memory is short.", "warning") for text in notices),
    )


def _too_large(needs: Needs, free: int) -> ResourceError:
    contexts = [*needs.contexts, *needs.shorter]
    expert = needs.experts[0][-1].size if needs.experts else 0
    return ResourceError(
        f"{(needs.base + contexts[-1].size + expert) / 1e9:.2f} GB of memory are needed at least, "
        f"{free / 1e9:.2f} GB are free.",
        f"The model takes {needs.base / 1e6:.0f} MB, a context of {contexts[-1].tokens} tokens "
        f"{contexts[-1].size / 1e6:.0f} MB, the smallest form of an expert {expert / 1e6:.0f} MB.",
        "Close other programs, or choose a smaller model or a smaller KV type (q8_0, q4_0).",
    )
