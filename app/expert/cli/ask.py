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
    parser.add_argument("-q", "--quiet", action="store_true", help="only the answer and errors")
    _add_input(parser.add_argument_group("input"))
    _add_output(parser.add_argument_group("output"))
    _add_conversation(parser.add_argument_group("conversation"))
    options.add_form(parser)
    _add_generation(parser.add_argument_group("generation"))
    options.add_engine(parser)
    return parser


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    group.add_argument(
        "-f", "--file", action="append", default=[], metavar="FILE", dest="files",
        help="attach a text file; repeatable",
    )  # fmt: skip
    group.add_argument(
        "-t", "--template", metavar="NAME",
        help="fill templates/NAME.toml of the configuration folder: prompt = \"… {{input}} …\"",
    )  # fmt: skip
    group.add_argument(
        "-p", "--param", action="append", nargs=2, default=[], metavar=("HOLE", "VALUE"),
        dest="params", help="fill a hole of the template; repeatable",
    )  # fmt: skip
    group.add_argument("--no-stdin", action="store_true", help="do not read standard input")
    group.add_argument(
        "--truncate", action="store_true", help="drop the oldest input when it is too long"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    form = group.add_mutually_exclusive_group()
    options.add_json(form)
    form.add_argument(
        "--stream-json", action="store_true", help="print each event as one line of JSON"
    )
    form.add_argument(
        "-x", "--extract", action="store_true",
        help="print only the first code block (exit 6 if there is none)",
    )  # fmt: skip
    group.add_argument("-u", "--usage", action="store_true", help="say on stderr what it took")
    group.add_argument("--why", action="store_true", help="say on stderr who answers, and why")
    group.add_argument(
        "--dry-run", action="store_true", help="print the final prompt and who would answer"
    )


def _add_conversation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-c", "--continue", action="store_true", dest="go_on", help="go on with the last one"
    )
    group.add_argument("--cid", metavar="ID", help="go on with this one: a number or a title")
    group.add_argument("-n", "--no-log", action="store_true", help="keep this out of the history")


def _add_generation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-tokens", type=options.positive, metavar="N", help="longest answer")
    group.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    group.add_argument("--top-k", type=int, metavar="K", help="keep the K likeliest tokens")
    group.add_argument("--top-p", type=float, metavar="P", help="keep this much probability")
    group.add_argument("--min-p", type=float, metavar="P", help="drop tokens below P of the best")
    group.add_argument("--repeat-penalty", type=float, metavar="R", help="1 is none")
    group.add_argument(
        "--beam", type=options.positive, default=1, metavar="K", dest="beams",
        help="look for the most probable answer with K hypotheses (2 to 8)",
    )  # fmt: skip
    group.add_argument("--seed", type=int, metavar="N", help="repeat an earlier answer")
    group.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end here")
    group.add_argument("--logprobs", type=int, metavar="N", help="with --json: log-probabilities")
    group.add_argument("--timeout", type=float, metavar="S", help="end after S seconds (exit 124)")
    group.add_argument(
        "--think", action=argparse.BooleanOptionalAction, default=False, help="reason first"
    )


def run(arguments: list[str]) -> int:
    """Answer one question and return the exit code."""
    args = build_parser().parse_args(arguments)
    options.require_ranges(args)
    # `--help` and mistakes in the options end above, before anything slow is imported.
    from expert.loading import begin_loading

    config = options.config(args)
    with begin_loading(config) as loading:
        from expert.cli.answer import answer  # and all it needs, while the model loads

        return answer(args, config, loading)
