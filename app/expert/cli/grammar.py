"""`expert grammar`: the grammars there are, and whether one of your own is right."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from expert.cli import options

if TYPE_CHECKING:
    from expert.forms import AnswerForm


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("grammar", "List, show, check and try what answers can be held to.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list the grammars that come with Expert")
    show = actions.add_parser("show", help="print a grammar as GBNF")
    check = actions.add_parser("check", help="tell whether a grammar or schema can be used")
    test = actions.add_parser("test", help="tell whether a text matches (exit 6 if not)")
    for action in (show, check, test):
        action.add_argument("grammar", metavar="FILE|NAME", help="a grammar, or a JSON Schema file")
    test.add_argument("text", metavar="TEXT", help="the text; '-' reads standard input")
    schema = actions.add_parser("from-schema", help="print the GBNF of a JSON Schema")
    schema.add_argument("schema", metavar="FILE|JSON", help="the schema, or '-'")
    for action in actions.choices.values():
        options.add_json(action)
    return parser


def run(arguments: list[str]) -> int:
    """Do what the action says and return the exit code."""
    args = build_parser().parse_args(arguments)
    work: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "show": _show,
        "check": _check,
        "test": _test,
        "from-schema": _from_schema,
    }
    return work[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from expert.forms import describe, shipped_grammars

    rows = [{"name": name, "is": describe(path)} for name, path in shipped_grammars().items()]
    width = max((len(row["name"]) for row in rows), default=0) + 2
    _emit(args, rows, "".join(f"{row['name']:<{width}}{row['is']}\n" for row in rows))
    return 0


def _show(args: argparse.Namespace) -> int:
    from expert.forms import gbnf_of

    text = gbnf_of(args.grammar)
    _emit(args, {"gbnf": text}, text)
    return 0


def _check(args: argparse.Namespace) -> int:
    form = _form(args.grammar)
    from expert.forms import byte_table

    form.grammar.start(byte_table())
    beside = form.grammar.check is not None or form.grammar.verify is not None
    text = f"{form.name} can be used" + ("; answers are checked beside it\n" if beside else "\n")
    _emit(args, {"name": form.name, "usable": True, "checked": beside}, text)
    return 0


def _test(args: argparse.Namespace) -> int:
    from expert.forms import byte_table

    form = _form(args.grammar)
    form.check(_text(args.text), byte_table())
    _emit(args, {"name": form.name, "matches": True}, f"matches {form.name}\n")
    return 0


def _from_schema(args: argparse.Namespace) -> int:
    from expert.forms import gbnf_of_schema

    text = gbnf_of_schema(_text(args.schema))
    _emit(args, {"gbnf": text}, text)
    return 0


def _form(name: str) -> "AnswerForm":
    from expert.forms import read_grammar

    return read_grammar(name)


def _text(given: str) -> str:
    """Return the text of an argument, or what is piped in for '-', without its last newline."""
    if given != "-":
        return given
    from expert.cli.stdin import read
    from expert.collecting import Deadline

    return read(Deadline(None), hint=True).removesuffix("\n")


def _emit(args: argparse.Namespace, record: Any, text: str) -> None:
    from expert.cli.output import write

    if args.json:
        import json

        text = json.dumps(record, ensure_ascii=False) + "\n"
    write(text)
