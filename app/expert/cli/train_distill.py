"""`expert train distill`: an expert learns from a larger model instead of from the data's answers.

A teacher is a model on this machine, or an OpenAI-compatible address.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import options, training

if TYPE_CHECKING:
    from expert.train.adapter.distill import Teacher
    from expert.types import Message


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = options.parser(
        "train distill",
        "Train an expert on a teacher: on its answers to the recipe's questions (sequence), or on "
        "its probabilities of the data's answers (logits; a local teacher with the same "
        "vocabulary). What a teacher said is kept in the run, so nothing is asked twice.",
    )
    training.add_options(parser)
    parser.add_argument(
        "--teacher", metavar="MODEL|URL", required=True,
        help="a model's name, a GGUF file, or an OpenAI-compatible address such as "
        "http://localhost:8080/v1",
    )  # fmt: skip
    parser.add_argument("--level", choices=("sequence", "logits"), default="sequence")
    parser.add_argument("--teacher-model", metavar="NAME", default="default", help="at the address")
    parser.add_argument("--max-tokens", type=options.positive, default=512, metavar="N")
    parser.add_argument(
        "--parallel", type=options.positive, default=8, metavar="N", help="questions at a time"
    )
    parser.add_argument(
        "--key-from", metavar="VARIABLE", default="OPENAI_API_KEY",
        help="environment variable with the address's key",
    )  # fmt: skip
    return parser


def run(arguments: list[str]) -> int:
    """Ask the teacher, train, measure and pack."""
    args = build_parser().parse_args(arguments)
    training.check_extra()
    if "://" in args.teacher:
        return _from_address(args)
    from expert.models import find_model

    path = find_model(args.teacher).path
    if args.level == "logits":
        from expert.train.adapter.soft_targets import logit_level

        return training.train(args, logit_level(path))
    from expert.train.adapter.distill import sequence_level

    with local_teacher(path, args.max_tokens) as teacher:
        return training.train(args, sequence_level(teacher))


def _from_address(args: argparse.Namespace) -> int:
    from expert.errors import UsageError
    from expert.train.adapter.distill import Teacher, sequence_level
    from expert.train.adapter.endpoint import Address, Endpoint

    if args.level == "logits":
        raise UsageError(
            "Probabilities come only from a teacher on this machine.",
            "An address gives too few of them, and not by token.",
            "Give a GGUF file, or learn from its answers: --level sequence.",
        )
    address = Address(
        args.teacher, args.teacher_model, args.key_from, args.max_tokens, args.parallel
    )
    with closing(Endpoint(address)) as endpoint:
        name = f"{address.url} {address.model} {address.max_tokens}"
        teacher = Teacher(name, endpoint.answer, address.parallel)
        return training.train(args, sequence_level(teacher))


@contextmanager
def local_teacher(path: Path, max_tokens: int) -> "Iterator[Teacher]":
    """Yield a teacher that answers with the real engine; loaded when first asked."""
    from expert.assistant import Assistant
    from expert.train.adapter.distill import Teacher
    from expert.types import Request

    stat = path.stat()
    with Assistant(path) as assistant:

        def answer(messages: "tuple[Message, ...]") -> str | None:
            request = Request(
                messages, experts=(), max_tokens=max_tokens, temperature=0.0, record=False
            )
            given = assistant.ask(request).answer
            return given.text.strip() or None if given.finish == "stop" else None

        yield Teacher(f"{path.name} {stat.st_size} {stat.st_mtime_ns} {max_tokens}", answer)
