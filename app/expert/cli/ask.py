"""`expert ask`: one question, one answer, in a terminal or in a pipe."""

import argparse

from expert.cli import options


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("ask", "Ask a question and stream the answer to standard output.")
    parser.add_argument(
        "prompt", nargs="?", metavar="PROMPT", help="the question; '-' reads standard input"
    )
    options.add_model(parser)
    options.add_experts(parser)
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    options.add_json(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="only the answer and errors")
    parser.add_argument("--no-stdin", action="store_true", help="do not read standard input")
    _add_generation(parser.add_argument_group("generation"))
    options.add_engine(parser)
    return parser


def _add_generation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-tokens", type=options.positive, metavar="N", help="longest answer")
    group.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    group.add_argument("--top-k", type=int, metavar="K", help="keep the K likeliest tokens")
    group.add_argument("--top-p", type=float, metavar="P", help="keep this much probability")
    group.add_argument("--min-p", type=float, metavar="P", help="drop tokens below P of the best")
    group.add_argument("--repeat-penalty", type=float, metavar="R", help="1 is none")
    group.add_argument("--seed", type=int, metavar="N", help="repeat an earlier answer")
    group.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end here")
    group.add_argument("--logprobs", type=int, metavar="N", help="with --json: log-probabilities")
    group.add_argument("--timeout", type=float, metavar="S", help="end after S seconds (exit 124)")
    group.add_argument(
        "--think", action=argparse.BooleanOptionalAction, default=False, help="reason first"
    )
    group.add_argument(
        "--truncate", action="store_true", help="drop the oldest input when it is too long"
    )


def run(arguments: list[str]) -> int:
    """Answer one question and return the exit code."""
    args = build_parser().parse_args(arguments)
    # `--help` and mistakes in the options end above, before anything slow is imported.
    from expert.cli.answer import answer

    return answer(args)
