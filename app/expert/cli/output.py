"""Writing an answer: exact bytes into a pipe, harmless characters onto a screen, or JSON."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from expert.cli import messages
from expert.cli.code import extract_code
from expert.errors import ContractError
from expert.screen import printable, screen_text
from expert.types import Answer, Delta, Done, Event, Notice, Plan, Planned, TokenLogprob

Form: TypeAlias = Literal["text", "code", "json", "stream"]
_EXIT = {"stop": 0, "length": 0, "cancelled": 130, "timeout": 124}


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How the answer is wanted."""

    form: Form = "text"
    quiet: bool = False
    """Only the answer and errors."""
    why: bool = False
    """Say who answers and why."""
    usage: bool = False
    """Say what it took."""
    whole: bool = False
    """Into a pipe, write the answer only when it is known to have the form that was asked for."""

    @property
    def held(self) -> bool:
        """Whether the text is kept back until the end."""
        return self.whole and not sys.stdout.isatty()


def show(events: Iterator[Event], options: OutputOptions) -> int:
    """Write the events as they come and return the exit code.

    Raises:
        ContractError: the answer breaks its form, or code is wanted and there is none.
    """
    code = 1
    try:
        for event in events:
            if isinstance(event, Planned) and _has_own_form(event.plan):
                options = replace(options, whole=True)
            code = _show(event, options, code)
    except ContractError as error:
        if options.held and options.form == "text" and error.partial and not options.quiet:
            messages.dim(error.partial.rstrip("\n") + "\n")
        raise
    return code


def _has_own_form(plan: Plan) -> bool:
    """Tell whether an expert of the plan answers in a grammar of its own."""
    profiles = [choice.profile for choice in plan.experts]
    return any(profile is not None and profile.grammar_format is not None for profile in profiles)


def _show(event: Event, options: OutputOptions, code: int) -> int:
    """Write one event, and return the exit code as it is known then."""
    if options.form == "stream":
        write(json.dumps(event_record(event), ensure_ascii=False) + "\n")
    match event:
        case Notice(text, level) if not options.quiet and (
            level == "warning" or messages.on_screen()
        ):
            messages.tell(text)
        case Planned(plan) if not options.quiet:
            _show_plan(plan, options)
        case Delta():
            _show_delta(event, options)
        case Done(answer):
            _show_end(event, options)
            return _EXIT[answer.finish]
        case _:
            pass
    return code


def _show_plan(plan: Plan, options: OutputOptions) -> None:
    if options.why:
        for line in plan_lines(plan):
            messages.tell(line)
    elif plan.experts and plan.route.candidates and messages.on_screen():
        messages.dim(f"expert: {plan_lines(plan)[0]}\n")


def plan_lines(plan: Plan) -> list[str]:
    """Return who answers and why, for people."""
    names = [f"{expert.name} ({expert.scale:g})" for expert in plan.experts]
    lines = [f"{' + '.join(names) or 'no expert'}: {plan.reason}"]
    lines += [f"because {reason}" for reason in plan.route.reasons]
    if plan.route.candidates:
        rows = (f"{name} {probability:.2f}" for name, probability in plan.route.candidates[:5])
        lines.append(f"considered {', '.join(rows)}")
    return lines


def _show_delta(delta: Delta, options: OutputOptions) -> None:
    if options.form == "text" and not delta.reasoning:
        if not options.held:
            write(delta.text)
    elif options.form in ("text", "code") and delta.reasoning and not options.quiet:
        messages.dim(delta.text)


def _show_end(done: Done, options: OutputOptions) -> None:
    answer = done.answer
    if options.form == "json":
        write(json.dumps(done_record(done), ensure_ascii=False) + "\n")
    elif options.form == "code":
        _show_code(answer)
    elif options.form == "text":
        if options.held and answer.finish in ("stop", "length"):
            write(answer.text)
        if answer.text and not answer.text.endswith("\n"):
            write("\n")
    if options.usage:
        messages.tell(usage_line(answer))
    if options.quiet or options.form in ("json", "stream"):
        return
    if answer.finish == "length" and not options.whole:
        messages.tell("the answer was cut at its longest (--max-tokens)")
    if answer.finish == "timeout":
        messages.tell("the time limit ran out; the answer is not complete")


def _show_code(answer: Answer) -> None:
    code = extract_code(answer.text)
    if code is None:
        raise ContractError(
            "The answer holds no code block.",
            f"It begins: {screen_text(answer.text[:60])!r}.",
            "Ask for code, or leave --extract out.",
        )
    write(code)


def write(text: str) -> None:
    """Write to stdout at once: what the model made, or what a screen can bear of it."""
    if sys.stdout.isatty():
        sys.stdout.write(screen_text(text))
        sys.stdout.flush()
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def usage_line(answer: Answer) -> str:
    """Return what an answer took, for people."""
    timings = answer.timings
    return (
        f"{timings.prompt_tokens} tokens in ({timings.cached_tokens} cached), "
        f"{timings.answer_tokens} out; load {timings.load_s:.2f} s, prefill "
        f"{timings.prefill_s:.2f} s, {timings.decode_tokens_per_s:.1f} tokens/s; "
        f"seed {answer.sampling.seed}"
    )


def event_record(event: Event) -> dict[str, Any]:
    """Return the object that `--stream-json` prints for an event, one a line."""
    match event:
        case Planned(plan):
            return {"event": "plan", **plan_record(plan)}
        case Notice(text, level):
            return {"event": "notice", "level": level, "text": printable(text)}
        case Delta(text, reasoning):
            return {"event": "delta", "text": printable(text), "reasoning": reasoning}
        case Done():
            return {"event": "done", **done_record(event)}


def plan_record(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON shows it."""
    return {
        "experts": [
            {"name": printable(expert.name), "scale": expert.scale} for expert in plan.experts
        ],
        "reason": plan.reason,
        "candidates": [list(candidate) for candidate in plan.route.candidates],
        "reasons": list(plan.route.reasons),
        "params": asdict(plan.sampling),
        "max_tokens": plan.max_tokens,
    }


def done_record(done: Done) -> dict[str, Any]:
    """Return the object that `ask --json` prints."""
    place = {"conversation": done.conversation, "turn": done.turn}
    return {**answer_record(done.answer), **place}


def answer_record(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON shows it."""
    timings = answer.timings
    record: dict[str, Any] = {
        "text": printable(answer.text),
        "reasoning": printable(answer.reasoning),
        "finish": answer.finish,
        "model": {"name": printable(answer.model.stem), "path": printable(str(answer.model))},
        "experts": [
            {
                "name": printable(use.name),
                "version": use.version,
                "sha256": use.digest,
                "scale": use.scale,
            }
            for use in answer.experts
        ],
        "seed": answer.sampling.seed,
        "params": asdict(answer.sampling),
        "usage": {
            "prompt_tokens": timings.prompt_tokens,
            "cached_tokens": timings.cached_tokens,
            "answer_tokens": timings.answer_tokens,
        },
        "timings": {
            "load_s": round(timings.load_s, 4),
            "prefill_s": round(timings.prefill_s, 4),
            "decode_s": round(timings.decode_s, 4),
            "prefill_tokens_per_s": round(timings.prefill_tokens_per_s, 2),
            "decode_tokens_per_s": round(timings.decode_tokens_per_s, 2),
        },
    }
    if answer.logprobs:
        record["logprobs"] = [_logprob(token) for token in answer.logprobs]
    return record


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    return {
        "token": token.token,
        "text": token.text.decode("utf-8", "replace"),
        "logprob": token.logprob,
        "alternatives": [_logprob(other) for other in token.alternatives],
    }
