"""Command-line options that several verbs share, each defined once."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expert.config import Config
    from expert.types import ExpertChoice


def parser(verb: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of one verb."""
    made = argparse.ArgumentParser(f"expert {verb}", description=description, allow_abbrev=False)
    made.add_argument(
        "--debug", action="store_true", help="show the log, and a traceback on errors"
    )
    return made


def add_json(target: argparse.ArgumentParser) -> None:
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
        metavar="FILE[:SCALE]",
        help="an expert's adapter, and how strongly it acts (default 1); repeatable",
    )


def experts(arguments: argparse.Namespace) -> tuple["ExpertChoice", ...]:
    """Return the experts of this command line.

    Raises:
        UsageError: a scale is not a number.
        NotFoundError: there is no such adapter.
    """
    from expert.models import find_expert

    return tuple(find_expert(text) for text in arguments.experts)


def add_engine(target: argparse.ArgumentParser) -> None:
    """Add how the model is placed and sized."""
    group = target.add_argument_group("machine")
    group.add_argument("--context", type=positive, metavar="N", help="tokens of context")
    group.add_argument("--threads", type=positive, metavar="N", help="CPU threads")
    group.add_argument("--gpu-layers", type=int, metavar="N", help="layers on the GPU (-1: all)")
    group.add_argument(
        "--kv-type", choices=("f32", "f16", "q8_0", "q4_0"), help="type of the KV cache"
    )


def positive(text: str) -> int:
    """Parse a whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings this command line gives, None where it gives none."""
    names = ("model", "context", "threads", "gpu_layers", "kv_type")
    return {name: getattr(arguments, name, None) for name in names}


def config(arguments: argparse.Namespace) -> "Config":
    """Return the settings in force for this command line."""
    from expert.config import load_config  # after the options were right: it parses TOML

    return load_config(given(arguments))
