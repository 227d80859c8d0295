"""Every command with its options, as plain data: what completions and the manual are made of."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from expert.cli import MODULES, VERBS, options

_FILES = {
    "FILE", "MODEL", "FOLDER", "PACKAGE", "OUT", "KEY", "EXPERT", "DIR", "DATA", "RECIPE", "PLAN",
    "BEFORE", "AFTER", "OLD", "NEW", "RUN", "TOML", "JSONL", "ADAPTER", "KEY.pub", "NEW.pub",
}  # fmt: skip


def is_file(metavar: str) -> bool:
    """Tell whether a file may stand for this metavariable, as for FILE[:SCALE] or FILE|NAME."""
    return not _FILES.isdisjoint(metavar.partition("[")[0].split("|"))


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command."""

    flags: tuple[str, ...]
    metavar: str
    """What follows it; empty: nothing."""
    choices: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or an action of one."""

    words: tuple[str, ...]
    about: str
    usage: str
    options: tuple[Option, ...]
    arguments: tuple[tuple[str, str], ...]
    """Names and meanings of what has no flag."""
    actions: tuple["Command", ...] = ()
    """What may follow it; without arguments of its own, one of these must."""

    @property
    def name(self) -> str:
        """The last word."""
        return self.words[-1]

    @property
    def takes_files(self) -> bool:
        """Whether files may stand where no option is."""
        return any(is_file(name) for name, _ in self.arguments)


def commands() -> list[Command]:
    """Return every command of the program; imports each one's module."""
    found = []
    for verb, about in VERBS.items():
        module = import_module(f"expert.cli.{MODULES.get(verb, verb)}")
        command = _command((verb,), about, options.parser_of(module.run, ["--help"]))
        forms = [
            _command((verb, word), what, options.parser_of(module.run, [word, "--help"]))
            for word, what in getattr(module, "ALSO", {}).items()
        ]
        found.append(replace(command, actions=(*command.actions, *forms)))
    return found


def _command(words: tuple[str, ...], about: str, parser: argparse.ArgumentParser) -> Command:
    parser.prog = " ".join(("expert", *words))
    plain = [action for action in parser._actions if not _is_choice(action)]
    return Command(
        words,
        parser.description or about,
        parser.format_usage().removeprefix("usage: ").strip(),
        tuple(_option(action) for action in plain if action.option_strings),
        tuple(_argument(action) for action in plain if not action.option_strings),
        tuple(_actions(words, parser)),
    )


def _is_choice(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


def _actions(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield _command((*words, name), about.get(name, ""), inner)


def _option(action: argparse.Action) -> Option:
    metavar = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    if isinstance(metavar, tuple):
        metavar = " ".join(metavar)
    if action.choices:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    if action.nargs == 0:
        metavar = ""
    choices = tuple(map(str, action.choices or ()))
    return Option(tuple(action.option_strings), metavar, choices, _about(action))


def _argument(action: argparse.Action) -> tuple[str, str]:
    name = action.metavar or action.dest.upper()
    return (name if isinstance(name, str) else " ".join(name), _about(action))


def _about(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")
