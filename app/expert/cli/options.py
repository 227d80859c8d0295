"""Command-line options that several verbs share, each defined once."""

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from expert.config import Config
    from expert.types import ExpertChoice


class DescribedError(Exception):
    """Carries a verb's parser away before anything is parsed."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


Paragraphs = argparse.RawDescriptionHelpFormatter
"""Keeps the lines of a description as they are."""


class _Parser(argparse.ArgumentParser):
    """A parser that can be asked for, to write completions and the manual from it."""

    asked_for = False

    def parse_known_args(self, *arguments: Any, **more: Any) -> Any:
        if _Parser.asked_for:
            raise DescribedError(self)
        return super().parse_known_args(*arguments, **more)


def parser_of(run: "Callable[[list[str]], int]", arguments: list[str]) -> argparse.ArgumentParser:
    """Return the parser with which a verb's *run* would read *arguments*."""
    _Parser.asked_for = True
    try:
        run(arguments)
    except DescribedError as described:
        return described.parser
    finally:
        _Parser.asked_for = False
    raise AssertionError("a verb reads its arguments with a parser of `options.parser`")


def parser(verb: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of one verb."""
    made = _Parser(f"expert {verb}", description=description, allow_abbrev=False)
    made.add_argument(
        "--debug", action="store_true", help="show the log, and a traceback on errors"
    )
    return made


def also(verb: str, forms: "Mapping[str, str]") -> str:
    """Return what a help text says of other forms of a verb, each with what it is for."""
    return "Also: " + "; ".join(f"expert {verb} {word}: {what}" for word, what in forms.items())


def add_json(target: argparse._ActionsContainer) -> None:
    """Add `--json`."""
    target.add_argument("--json", action="store_true", help="print JSON; errors too, on stderr")


def add_model(target: argparse.ArgumentParser) -> None:
    """Add `-m`."""
    target.add_argument(
        "-m", "--model", metavar="NAME", help="base model: a name or a GGUF file (default: pocket)"
    )


def add_experts(target: argparse.ArgumentParser) -> None:
    """Add `-e`, which may be repeated."""
    target.add_argument(
        "-e",
        "--expert",
        dest="experts",
        action="append",
        default=[],
        metavar="EXPERT[:SCALE]",
        help="an installed expert or an adapter file, and how strongly it acts (default 1); "
        "repeatable; auto: whoever fits (the default), none: the base model itself",
    )


def experts(arguments: argparse.Namespace) -> tuple["ExpertChoice", ...]:
    """Return the experts of this command line.

    Raises:
        UsageError: a scale is not a number.
        NotFoundError: there is no such adapter.
    """
    from expert.choosing import choose_experts

    base = getattr(arguments, "base", None) or config(arguments).model
    return choose_experts(arguments.experts, base)


def answering_experts(arguments: argparse.Namespace) -> tuple["ExpertChoice", ...] | None:
    """Return who is to answer; None if this command line leaves that open.

    Raises:
        ExpertError: as for `experts`.
    """
    if arguments.experts in ([], ["auto"]):
        return None
    return () if arguments.experts == ["none"] else experts(arguments)


def add_form(target: argparse._ActionsContainer) -> None:
    """Add what the answer must look like."""
    group = target.add_argument_group("form of the answer (exit 6 if it cannot be kept)")
    group.add_argument(
        "--grammar", metavar="FILE|NAME", help="match a GBNF grammar: see `expert grammar list`"
    )
    group.add_argument("--schema", metavar="FILE|JSON", help="be JSON that keeps a JSON Schema")
    group.add_argument(
        "--sql-schema", metavar="FILE", help="be SQL over these tables: a .db or .sql file"
    )


def add_engine(target: argparse.ArgumentParser) -> None:
    """Add how the model is placed and sized."""
    group = target.add_argument_group("machine")
    group.add_argument("--context", type=positive, metavar="N", help="tokens of context")
    group.add_argument("--threads", type=positive, metavar="N", help="CPU threads")
    group.add_argument("--gpu-layers", type=int, metavar="N", help="layers on the GPU (-1: all)")
    group.add_argument(
        "--kv-type", choices=("f32", "f16", "q8_0", "q4_0"), help="type of the KV cache"
    )


def confirmed(question: str) -> bool:
    """Ask on the terminal, whatever the standard input is; anything but yes is no.

    Raises:
        UsageError: there is no terminal.
    """
    from expert.errors import UsageError

    keyboard, screen = ("CONIN$", "CONOUT$") if os.name == "nt" else ("/dev/tty", "/dev/tty")
    try:
        with open(screen, "w") as out, open(keyboard) as typed:
            out.write(f"{question} [y/N] ")
            out.flush()
            return typed.readline().strip().lower() in ("y", "yes")
    except OSError:
        raise UsageError(
            "This needs your confirmation, and there is no terminal to ask on.",
            "",
            "Add -y to go on without asking.",
        ) from None


def require_ranges(args: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing to a sampler or a clock.

    Raises:
        UsageError: one is out of its range; *why* says which range that is.
    """
    from expert.bounds import BOUNDS
    from expert.errors import UsageError

    for name, (low, high) in BOUNDS.items():
        value = getattr(args, name, None)
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {value} is out of range.",
                f"It must lie between {low:g} and {high:g}.",
                "Give another value, or leave it out.",
            )


def positive(text: str) -> int:
    """Parse a whole number above zero that fits into 32 bits, as llama.cpp's and more."""
    number = int(text)
    if not 1 <= number < 1 << 31:
        raise argparse.ArgumentTypeError(f"must be at least 1 and below {1 << 31}")
    return number


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings this command line gives, None where it gives none."""
    names = ("model", "context", "threads", "gpu_layers", "kv_type")
    return {name: getattr(arguments, name, None) for name in names}


def config(arguments: argparse.Namespace) -> "Config":
    """Return the settings in force for this command line."""
    from expert.config import load_config  # after the options were right: it parses TOML

    return load_config(given(arguments))
