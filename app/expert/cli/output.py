"""Writing an answer: exact bytes into a pipe, harmless characters onto a screen, or one JSON."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from expert.engine.text import printable
from expert.types import Answer, Delta, Done, Event, Notice, TokenLogprob

# Everything a terminal could obey: C0 but newline and tab, DEL, C1, and bidirectional overrides.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_EXIT = {"stop": 0, "length": 0, "cancelled": 130, "timeout": 124}


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How the answer is wanted."""

    as_json: bool = False
    quiet: bool = False


def show(events: Iterator[Event], options: OutputOptions) -> int:
    """Write the events as they come and return the exit code."""
    code = 1
    for event in events:
        match event:
            case Notice(text, level) if not options.quiet and (
                level == "warning" or sys.stderr.isatty()
            ):
                print(f"expert: {text}", file=sys.stderr)
            case Delta() if not options.as_json:
                _show_delta(event, options)
            case Done(answer):
                _show_end(answer, options)
                code = _EXIT[answer.finish]
            case _:
                pass
    return code


def _show_delta(delta: Delta, options: OutputOptions) -> None:
    if not delta.reasoning:
        write(delta.text)
    elif not options.quiet:
        dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
        print(f"{dim}{screen_text(delta.text)}{plain}", end="", file=sys.stderr, flush=True)


def _show_end(answer: Answer, options: OutputOptions) -> None:
    if options.as_json:
        write(json.dumps(answer_record(answer), ensure_ascii=False) + "\n")
        return
    if answer.text and not answer.text.endswith("\n"):
        write("\n")
    if options.quiet:
        return
    if answer.finish == "length":
        print("expert: the answer was cut at its longest (--max-tokens)", file=sys.stderr)
    if answer.finish == "timeout":
        print("expert: the time limit ran out; the answer is not complete", file=sys.stderr)


def write(text: str) -> None:
    """Write to stdout at once: what the model made, or what a screen can bear of it."""
    if sys.stdout.isatty():
        sys.stdout.write(screen_text(text))
        sys.stdout.flush()
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def screen_text(text: str) -> str:
    """Return *text* with everything a terminal could obey made visible instead."""
    return _UNSAFE.sub(_visible, printable(text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else f"\\u{code:04x}"  # Unicode control pictures


def answer_record(answer: Answer) -> dict[str, Any]:
    """Return the object that `ask --json` prints."""
    timings = answer.timings
    record: dict[str, Any] = {
        "text": printable(answer.text),
        "reasoning": printable(answer.reasoning),
        "finish": answer.finish,
        "model": {"name": answer.model.stem, "path": str(answer.model)},
        "experts": [
            {"name": use.name, "sha256": use.digest, "scale": use.scale} for use in answer.experts
        ],
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
