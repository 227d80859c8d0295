"""`expert log`: past conversations listed, shown, searched, renamed, removed and exported."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import messages, options

if TYPE_CHECKING:
    from expert.history.history import History
    from expert.history.records import Conversation, Hit, Recorded


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("log", "Past conversations: what was asked, and what came of it.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list conversations, the latest first (the default)")
    listing.add_argument("--bin", action="store_true", help="those that were removed")
    listing.add_argument("-n", "--limit", type=options.positive, default=20, metavar="N")
    listing.add_argument("--all", action="store_true", help="without a limit")
    show = actions.add_parser("show", help="show a conversation")
    search = actions.add_parser(
        "search",
        help="find words in questions and answers",
        description='Words must all be there. "…" is a phrase, word* a beginning, -word excludes, '
        "OR stands between alternatives; anything else is text to be found.",
    )
    search.add_argument("words", nargs="+", metavar="WORD", help="after --, words may begin with -")
    search.add_argument("--expert", metavar="NAME", help="only what this expert answered")
    search.add_argument("-n", "--limit", type=options.positive, default=20, metavar="N")
    remove = actions.add_parser("rm", help="put conversations into the bin, for 30 days")
    remove.add_argument("--forever", action="store_true", help="overwrite them now")
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask")
    restore = actions.add_parser("restore", help="take conversations out of the bin")
    rename = actions.add_parser("rename", help="give a conversation another title")
    export = actions.add_parser("export", help="write a conversation as Markdown or JSON")
    export.add_argument("--format", choices=("markdown", "json"), default="markdown")
    export.add_argument("-o", "--output", metavar="FILE", help="a new file instead of stdout")
    for action, count in (
        (show, "?"),
        (remove, "+"),
        (restore, "+"),
        (rename, None),
        (export, "?"),
    ):
        action.add_argument("id", metavar="ID", nargs=count, help="a number or a title")
    rename.add_argument("title", metavar="TITLE")
    for action in (listing, show, search, remove, restore, rename, export):
        options.add_json(action)
    return parser


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    if not arguments or arguments[0] in ("--json", "--bin", "--all", "-n", "--limit"):
        arguments = ["list", *arguments]
    args = build_parser().parse_args(arguments)
    actions: dict[str | None, Callable[[argparse.Namespace, History], None]] = {
        "list": _list,
        "show": _show,
        "search": _search,
        "rm": _remove,
        "restore": _restore,
        "rename": _rename,
        "export": _export,
    }
    from expert.history.history import user_history

    if args.action is None:
        build_parser().error("an action is missing")
    actions[args.action](args, user_history())
    return 0


def _emit(args: argparse.Namespace, record: Any, lines: Iterable[str]) -> None:
    """Print JSON if that was asked for, else lines: harmless on a screen, exact in a pipe."""
    from expert.cli.output import write

    if args.json:
        import json

        write(json.dumps(record, ensure_ascii=False) + "\n")
        return
    for line in lines:
        write(line + "\n")


def _list(args: argparse.Namespace, history: "History") -> None:
    found = history.conversations(-1 if args.all else args.limit, deleted=args.bin)
    _emit(args, [asdict(one) for one in found], map(_row, found))
    if not found and not args.json:
        messages.tell("the bin is empty" if args.bin else "there is no conversation yet")


def _row(one: "Conversation") -> str:
    from expert.screen import one_line

    turns = "1 turn" if one.turns == 1 else f"{one.turns} turns"
    return f"{one.id:>5}  {_moment(one.updated)}  {turns:>9}  {one_line(one.title)}"


def _moment(text: str) -> str:
    """Return a moment in this machine's time zone, to the minute."""
    from datetime import datetime

    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def _show(args: argparse.Namespace, history: "History") -> None:
    from expert.history.export import as_record

    conversation = history.find(args.id)
    turns = history.turns(conversation.id)
    _emit(args, as_record(conversation, turns), _told(conversation, turns))


def _told(conversation: "Conversation", turns: "list[Recorded]") -> Iterator[str]:
    from expert.history.export import ending, who
    from expert.screen import one_line

    yield f"{conversation.id}  {one_line(conversation.title)}"
    for recorded in turns:
        yield from ("", f"> {_moment(recorded.created)}", recorded.turn.prompt.strip("\n"))
        yield from ("", f"< {who(recorded)}", recorded.turn.answer.strip("\n"))
        if recorded.partial:
            yield f"(not complete: {ending(recorded)})"


def _search(args: argparse.Namespace, history: "History") -> None:
    hits = history.search(" ".join(args.words), args.limit, expert=args.expert)
    _emit(args, [_hit_record(hit) for hit in hits], map(_hit_row, hits))


def _hit_record(hit: "Hit") -> dict[str, Any]:
    from expert.history.records import END, FOUND

    plain = hit.snippet.replace(FOUND, "").replace(END, "")
    return {**asdict(hit), "snippet": plain}


def _hit_row(hit: "Hit") -> str:
    from expert.history.records import END, FOUND
    from expert.screen import one_line

    snippet = one_line(hit.snippet.replace(FOUND, "«").replace(END, "»"))
    return f"{hit.conversation:>5}  {_moment(hit.created)}  {one_line(hit.title)}\n       {snippet}"


def _remove(args: argparse.Namespace, history: "History") -> None:
    found = list(dict.fromkeys(history.find(name) for name in args.id))
    if not args.yes:
        for one in found:
            messages.say(_row(one) + "\n")
        words = "Remove for good?" if args.forever else "Put into the bin?"
        if not options.confirmed(words):
            messages.tell("nothing was removed")
            return
    for one in found:
        (history.erase if args.forever else history.remove)(one.id)
    numbers = " ".join(str(one.id) for one in found)
    kept = "" if args.forever else f"; `expert log restore {numbers}` brings it back"
    _emit(args, {"removed": [one.id for one in found]}, [f"removed {numbers}{kept}"])


def _restore(args: argparse.Namespace, history: "History") -> None:
    removed = {one.title.casefold(): one.id for one in history.conversations(deleted=True)}
    found = [history.find(str(removed.get(name.casefold(), name))) for name in args.id]
    for one in found:
        history.restore(one.id)
    numbers = [one.id for one in found]
    _emit(args, {"restored": numbers}, [f"restored {' '.join(map(str, numbers))}"])


def _rename(args: argparse.Namespace, history: "History") -> None:
    one = history.find(args.id)
    if not args.title.split():
        build_parser().error("a title has at least one word")
    history.rename(one.id, args.title)
    renamed = history.conversation(one.id)
    _emit(args, asdict(renamed), [f"{one.id} is now {renamed.title!r}"])


def _export(args: argparse.Namespace, history: "History") -> None:
    from expert.cli.output import write
    from expert.history.export import as_markdown, as_record

    conversation = history.find(args.id)
    turns = history.turns(conversation.id)
    if args.json or args.format == "json":
        import json

        record = as_record(conversation, turns)
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    else:
        text = as_markdown(conversation, turns)
    if args.output is None:
        write(text)
        return
    save(Path(args.output), text)
    print(f"wrote {args.output}", file=sys.stderr)


def save(path: Path, text: str) -> None:
    """Write a new file, whole or not at all.

    Raises:
        UsageError: there is a file already.
        ResourceError: it cannot be written.
    """
    import os

    from expert.errors import ResourceError, UsageError

    if not path.name:
        raise UsageError("The file has no name.", "", "Give one with -o.")
    draft = path.with_name(f".{os.getpid()}.draft")
    try:
        if path.exists():
            raise UsageError(f"{path} is there already.", "", "Choose another name.")
        draft.write_bytes(text.encode("utf-8", "surrogateescape"))
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ResourceError(
            f"{path} could not be written.", f"{error.strerror}.", "Choose another place."
        ) from error
