"""`expert train`: from a recipe and a folder of data to a trained, measured and packed expert."""

import argparse
from importlib import import_module

from expert.cli import options, training

ALSO = {
    "dpo": "from pairs of answers",
    "distill": "from a larger teacher",
    "all": "every expert anew, for a new base",
}
"""What stands in the place of a recipe for other ways to train; each is a module of its own."""


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "train",
        "Train an expert from its recipe: data, adapter, conversion, evaluation, package. "
        "Needs the extra `train`.",
    )
    parser.epilog = options.also("train", ALSO)
    training.add_options(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Train, measure and pack."""
    if arguments and arguments[0] in ALSO:
        module = import_module(f"expert.cli.train_{arguments[0]}")
        return int(module.run(arguments[1:]))
    args = build_parser().parse_args(arguments)
    training.check_extra()
    from expert.train.adapter.train import SUPERVISED

    return training.train(args, SUPERVISED)
