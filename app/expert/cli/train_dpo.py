"""`expert train dpo`: an expert learns from pairs of answers which of two is better."""

from expert.cli import options, training


def run(arguments: list[str]) -> int:
    """Train, measure and pack."""
    parser = options.parser(
        "train dpo",
        "Train an expert from pairs of answers by direct preference optimisation. The recipe's "
        "[preferences] names the files, below the data folder, and beta; each row has prompt, "
        "chosen and rejected. The base without the adapter is the reference.",
    )
    training.add_options(parser)
    args = parser.parse_args(arguments)
    training.check_extra()
    from expert.train.adapter.preference import PREFERENCE

    return training.train(args, PREFERENCE)
