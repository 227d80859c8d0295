"""`expert config`: settings shown and changed."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from expert.cli import options


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "config",
        "Show and change settings. A flag beats the environment (EXPERT_NAME), which beats the "
        "settings file, which beats the default.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list every setting and where it comes from")
    get = actions.add_parser("get", help="print a setting as it is in force")
    put = actions.add_parser("set", help="write a setting to the settings file")
    unset = actions.add_parser("unset", help="take a setting out of the settings file")
    path = actions.add_parser("path", help="print where the settings file is")
    edit = actions.add_parser("edit", help="open the settings file in $VISUAL or $EDITOR")
    for action in (get, put, unset):
        action.add_argument("name", metavar="NAME")
    put.add_argument("value", metavar="VALUE")
    for action in (listing, get, put, unset, path, edit):
        options.add_json(action)
    return parser


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    if not arguments or arguments[0] == "--json":
        arguments = ["list", *arguments]
    parser = build_parser()
    args = parser.parse_args(arguments)
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "get": _get,
        "set": _set,
        "unset": _unset,
        "path": _path,
        "edit": _edit,
    }
    if args.action is None:
        parser.error("an action is missing")
    return actions[args.action](args)


def _rows() -> list[dict[str, Any]]:
    from expert.config import Config, load_config, saved_settings, setting_names

    saved, now, default = saved_settings(), load_config(), Config()
    rows = []
    for name in setting_names():
        if os.environ.get(f"EXPERT_{name.upper()}"):
            origin = "environment"
        else:
            origin = "file" if name in saved else "default"
        row = {"name": name, "value": getattr(now, name), "origin": origin}
        rows.append({**row, "default": getattr(default, name)})
    return rows


def _list(args: argparse.Namespace) -> int:
    rows = _rows()
    lines = [f"{row['name']:<17}{_text(row['value']):<24}({row['origin']})" for row in rows]
    return _emit(args, rows, lines)


def _get(args: argparse.Namespace) -> int:
    from expert.errors import UsageError

    row = {row["name"]: row for row in _rows()}.get(args.name)
    if row is None:
        raise UsageError(
            f"There is no setting {args.name!r}.", "", "`expert config list` shows all of them."
        )
    return _emit(args, row, [_text(row["value"])])


def _set(args: argparse.Namespace) -> int:
    from expert.config import save_setting

    file = save_setting(args.name, args.value)
    return _emit(args, {"name": args.name, "file": str(file)}, [f"saved in {file}"])


def _unset(args: argparse.Namespace) -> int:
    from expert.config import remove_setting

    file = remove_setting(args.name)
    return _emit(args, {"name": args.name, "file": str(file)}, [f"removed from {file}"])


def _path(args: argparse.Namespace) -> int:
    from expert.paths import user_paths

    file = user_paths().config_file
    return _emit(args, {"file": str(file)}, [str(file)])


def _edit(args: argparse.Namespace) -> int:
    """Open the file, and say afterwards if it cannot be used as it is."""
    from expert.config import load_config
    from expert.editor import find_editor, run_editor
    from expert.paths import make_private, user_paths

    file = user_paths().config_file
    editor = find_editor(f"Open {file} yourself.")
    make_private(file.parent)
    file.touch(mode=0o600)
    code = run_editor(editor, file)
    load_config()
    return code


def _text(value: object) -> str:
    """Return a value as `config set` takes it."""
    if value is None:
        return "(automatic)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _emit(args: argparse.Namespace, record: Any, lines: list[str]) -> int:
    if args.json:
        print(json.dumps(record, ensure_ascii=False))
    else:
        print("\n".join(lines), file=sys.stdout)
    return 0
