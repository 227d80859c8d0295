"""`expert man`: the manual page, made of the commands' own help."""

import sys
from collections.abc import Iterator

from expert._version import __version__
from expert.cli import options
from expert.cli.commands import Command, commands

_CODES = {
    "0": "an answer came",
    "1": "anything else",
    "2": "the command line or a setting is wrong",
    "3": "a model, expert, file or conversation does not exist",
    "4": "an expert was made for another base model",
    "5": "a file is damaged, hostile or not what it says",
    "6": "the answer breaks the form it was asked to have",
    "7": "the input does not fit the context",
    "8": "something would need the network",
    "9": "memory, disk or device is not enough",
    "124": "the time limit ran out",
    "130": "Ctrl-C; what came until then was written",
    "141": "the reader of the output went away",
}
_VARIABLES = {
    "EXPERT_HOME": "one folder for settings, data, cache and sockets",
    "EXPERT_MODEL, EXPERT_CONTEXT, ...": "settings; see `expert config list`",
    "NO_COLOR, FORCE_COLOR": "no styles on stderr, or styles in any case",
    "VISUAL, EDITOR": "what `expert config edit` opens",
    "SHELL": "what runs a command that `expert sh` was told to execute",
}


def run(arguments: list[str]) -> int:
    """Show the manual on a screen, or print its source into a pipe."""
    options.parser("man", "Show the manual; into a pipe goes its source.").parse_args(arguments)
    page = manual(commands())
    if sys.stdout.isatty() and _shown(page):
        return 0
    sys.stdout.write(page)
    return 0


def _shown(page: str) -> bool:
    """Show the page with the system's `man`, if there is one."""
    import subprocess
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".1", encoding="utf-8") as file:
        file.write(page)
        file.flush()
        try:
            return subprocess.run(["man", file.name]).returncode == 0
        except OSError:
            return False


def manual(found: list[Command]) -> str:
    """Return the manual page in the macros of man(7)."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: list[Command]) -> Iterator[str]:
    yield f'.TH EXPERT 1 "" "expert {__version__}" "User Commands"'
    yield from (".SH NAME", "expert \\- an offline assistant: one base model, many experts")
    yield from (".SH SYNOPSIS", ".B expert", ".I COMMAND", "\\&...")
    yield from (".SH DESCRIPTION", _text(
        "Answers questions with a small language model on this machine. In a pipe, standard "
        "output carries the answer's bytes and nothing else; everything else goes to standard "
        "error."))  # fmt: skip
    yield ".SH COMMANDS"
    for command in found:
        yield from _command(command, ".SS")
    yield from _table(".SH EXIT STATUS", _CODES)
    yield from _table(".SH ENVIRONMENT", _VARIABLES)


def _command(command: Command, heading: str) -> Iterator[str]:
    yield f'{heading} "{" ".join(("expert", *command.words))}"'
    yield _text(command.about)
    for name, about in command.arguments:
        yield from (".TP", f".I {_text(name)}", _text(about))
    for option in command.options:
        if "--help" not in option.flags and "--debug" not in option.flags:
            flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags)
            value = f" \\fI{_text(option.metavar)}\\fR" if option.metavar else ""
            yield from (".TP", flags + value, _text(option.about))
    for action in command.actions:
        yield from _command(action, ".SS")


def _table(heading: str, rows: dict[str, str]) -> Iterator[str]:
    yield heading
    for name, about in rows.items():
        yield from (".TP", f".B {_text(name)}", _text(about))


def _text(text: str) -> str:
    """Return text in which nothing is a request of roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "\\&...")
    lines = (f"\\&{line}" if line[:1] in (".", "'") else line for line in escaped.splitlines())
    return "\n".join(lines) or "\\&"
