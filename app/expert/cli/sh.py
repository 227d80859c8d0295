"""`expert sh`: a command for what was asked, run only when someone at a terminal says so."""

import argparse
import os
import re
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from expert.cli import options

if TYPE_CHECKING:
    from expert.assistant import Assistant
    from expert.conversation import Conversation

ASKING = "Write a shell command to do this: {request}"
DESCRIBING = "Explain what this shell command does: {command}"
LONGEST = 256
"""Tokens of a suggestion or an explanation."""
MENU = "[e]xecute, [m]odify, [d]escribe, [c]opy, [A]bort? "


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "sh",
        "Suggest a shell command. On a terminal you choose what happens to it, and nothing is the "
        "default; into a pipe goes the command alone. It exits with the command's own code, or 1 "
        "if none was run.",
    )
    parser.add_argument("request", nargs="?", metavar="REQUEST", help="what is to be done")
    parser.add_argument(
        "--print", action="store_true", dest="only_print", help="print the command and ask nothing"
    )
    options.add_model(parser)
    options.add_experts(parser)
    parser.add_argument("-n", "--no-log", action="store_true", help="keep this out of the history")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat an earlier answer")
    parser.add_argument("--timeout", type=float, metavar="S", help="end after S seconds (exit 124)")
    parser.add_argument("--no-stdin", action="store_true", help="do not read standard input")
    options.add_engine(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Suggest a command, and do with it what the user chooses."""
    args = build_parser().parse_args(arguments)
    options.require_ranges(args)
    from expert.assistant import Assistant
    from expert.conversation import Conversation

    with Assistant(config=options.config(args)) as assistant:
        assistant.experts = options.answering_experts(args)
        request = _request(args)
        talk = Conversation(assistant)
        command = _suggest(talk, request, args)
        if args.only_print or not sys.stdout.isatty() or not _keyboard():
            from expert.cli.output import write

            write(command + "\n")
            return 0
        chosen = _choose(assistant, command)
    # The model's memory is free again before anything else runs.
    return _execute(chosen) if chosen else 1


def _request(args: argparse.Namespace) -> str:
    """Return what is asked for, typed and piped.

    Raises:
        UsageError: nothing is.
    """
    from expert.cli.question import typed_and_piped
    from expert.collecting import Deadline
    from expert.errors import UsageError

    text = typed_and_piped(
        args.request, Deadline(args.timeout), wanted=not args.no_stdin, more=False
    )
    if not text:
        raise UsageError("Nothing was asked for.", "", 'Say what: expert sh "list open ports"')
    return text


def _suggest(talk: "Conversation", request: str, args: argparse.Namespace) -> str:
    """Return the command that the model suggests.

    Raises:
        ContractError: it suggests none.
        TimeLimitError: it was not ready in time.
    """
    from expert.errors import ContractError, TimeLimitError

    prompt = ASKING.format(request=request)
    limits = {
        "max_tokens": LONGEST,
        "seed": args.seed,
        "timeout": args.timeout,
        "record": not args.no_log,
    }
    with closing(talk.ask(prompt, origin="sh", **limits)) as asked:
        answer = asked.answer
    if answer.finish == "timeout":
        raise TimeLimitError(
            "The time limit ran out.", "The command is not complete.", "Allow more with --timeout."
        )
    command = command_in(answer.text)
    if not command or answer.finish == "length":
        why = "Its answer does not come to an end." if command else "Its answer is empty."
        raise ContractError("The model suggests no command.", why, "Say it in other words.")
    return command


def command_in(answer: str) -> str:
    """Return the command in an answer: its code block, or else its first paragraph."""
    from expert.cli.code import extract_code

    code = extract_code(answer)
    if code is not None:
        return code.strip().removeprefix("$ ")
    text = answer.strip().split("\n\n")[0].rstrip().removeprefix("$ ")
    span = re.fullmatch(r"(`+)([^`]+)\1", text)  # CommonMark 0.31, section 6.1
    return span[2] if span else text


def _keyboard() -> bool:
    """Make standard input a keyboard, even if something was piped in; tell whether there is one."""
    if sys.stdin is not None and sys.stdin.isatty():
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False
    os.dup2(terminal, 0)
    sys.stdin = os.fdopen(0, closefd=False)
    return True


def _choose(assistant: "Assistant", command: str) -> str | None:
    """Return the command that is to be executed; None: no command is."""
    from expert.screen import screen_text

    while True:
        warnings = _show(command)
        try:
            choice = input(MENU).strip().lower()
            if choice in ("e", "execute"):
                if not warnings or input("Type yes to run it all the same: ").strip() == "yes":
                    return command
            elif choice in ("m", "modify"):
                command = _edited(command) or command
            elif choice in ("d", "describe"):
                _describe(assistant, command)
            elif choice in ("c", "copy"):
                from expert.cli.clipboard import copy

                copy(command)
                print("copied")
            elif choice in ("", "a", "abort"):
                return None
            else:
                print(f"{screen_text(choice)!r} is none of these")
        except EOFError:
            print()
            return None


def _show(command: str) -> list[str]:
    """Print the command with what is dangerous about it, and return that."""
    from expert.cli import messages
    from expert.cli.danger import dangers

    warnings = dangers(command)
    print(f"\n  {messages.bold(command)}\n")
    for warning in warnings:
        messages.say(f"  careful: this {warning}\n")
    return warnings


def _edited(command: str) -> str:
    """Let the user change the command on a line of its own."""
    try:
        import readline
    except ImportError:  # Windows
        return input("command: ").strip()
    readline.set_startup_hook(lambda: readline.insert_text(command))
    try:
        return input("command: ").strip()
    finally:
        readline.set_startup_hook()


def _describe(assistant: "Assistant", command: str) -> None:
    from expert.cli.output import OutputOptions, show
    from expert.errors import ExpertError

    prompt = DESCRIBING.format(command=command)
    try:
        with closing(assistant.ask(prompt, max_tokens=LONGEST, record=False)) as asked:
            show(asked, OutputOptions())
    except (ExpertError, KeyboardInterrupt) as error:
        print(error)


def _execute(command: str) -> int:
    """Run a command in the user's shell, as one argument, and return its exit code."""
    import subprocess

    process = subprocess.Popen([os.environ.get("SHELL") or "/bin/sh", "-c", command])
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # the command has heard it too, and decides
            continue
    return code if code >= 0 else 128 - code
