"""From the options of `expert ask` to a written answer."""

import argparse

from expert.assistant import Assistant
from expert.cli import options, stdin
from expert.cli.output import OutputOptions, show
from expert.errors import UsageError
from expert.models import find_model
from expert.types import Message, Request


def answer(args: argparse.Namespace) -> int:
    """Answer one question and return the exit code; the model loads while stdin is read.

    Raises:
        ExpertError: whatever kept the answer from coming.
    """
    config = options.config(args)
    _check(args)
    with Assistant(find_model(config.model).path, config) as assistant:
        request = _request(args, _prompt(args))
        return show(assistant.ask(request), OutputOptions(args.json, args.quiet))


def _check(args: argparse.Namespace) -> None:
    ranges = {
        "temperature": (0.0, 100.0),
        "top_p": (0.0, 1.0),
        "min_p": (0.0, 1.0),
        "repeat_penalty": (0.01, 100.0),
        "top_k": (0, 1 << 30),
        "timeout": (0.0, 1e9),
        "logprobs": (0, 1000),
    }
    for name, (low, high) in ranges.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {value} is out of range.",
                f"It must lie between {low:g} and {high:g}.",
                "Give another value, or leave it out.",
            )


def _prompt(args: argparse.Namespace) -> str:
    """Return the piped text and the question, in this order.

    Raises:
        UsageError: there is neither.
    """
    forced = args.prompt == "-"
    parts = [] if forced or args.prompt is None else [_whole(args.prompt)]
    if not args.no_stdin and (forced or stdin.piped()):
        parts.insert(0, stdin.read(hint=bool(parts)))
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not text:
        raise UsageError(
            "The prompt is empty.",
            "Neither the command line nor standard input holds any text.",
            'Ask something: expert ask "What is a prime number?"',
        )
    return text


def _whole(text: str) -> str:
    """Return an argument, which the shell may have filled with any bytes.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            "The prompt is not valid UTF-8.",
            f"Character {error.start} of it is a stray byte.",
            "Convert it first, for example with `iconv -t utf-8`.",
        ) from error
    return text


def _request(args: argparse.Namespace, prompt: str) -> Request:
    messages = [Message("system", _whole(args.system))] if args.system else []
    return Request(
        messages=[*messages, Message("user", prompt)],
        experts=options.experts(args),
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        repeat_penalty=args.repeat_penalty,
        seed=args.seed,
        stop=tuple(args.stop),
        think=args.think,
        logprobs=args.logprobs,
        truncate=args.truncate,
        timeout=args.timeout,
    )
