"""`expert chat`: a conversation, line by line."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import at_terminal, options

if TYPE_CHECKING:
    from expert.assistant import Assistant
    from expert.conversation import Conversation

HELP = """\
/expert NAME[:SCALE] …   let these experts answer; none: the base; alone: whoever fits
/scale N|NAME X          set the scale of the Nth expert, or of NAME
/experts                 show who answers
/save FILE               save the conversation and what was computed for it
/load FILE               take a saved conversation back
/new                     begin a new conversation
/quit                    leave (also Ctrl-D)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "chat",
        "Have a conversation: on a screen (F1 shows its keys), or line by line with --plain and "
        "in pipes, where /help lists commands.",
    )
    options.add_model(parser)
    options.add_experts(parser)
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--max-tokens", type=options.positive, metavar="N", help="longest answer")
    parser.add_argument("--plain", action="store_true", help="line by line, without a screen")
    options.add_engine(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Open the screen on a terminal; else read lines and answer them until the input ends."""
    args = build_parser().parse_args(arguments)
    if not args.plain and at_terminal():
        return _on_screen(args)
    from expert.assistant import Assistant

    with Assistant(config=options.config(args)) as assistant:
        chat = _Chat(assistant, args.system, args.max_tokens)
        assistant.experts = options.answering_experts(args)
        for line in _lines():
            chat.take(line)
    return 0


def _on_screen(args: argparse.Namespace) -> int:
    """Run the screens; what stands on the command line is where they begin."""
    from expert.tui.app import ExpertApp
    from expert.tui.asking import How
    from expert.tui.local import local_backend

    config = options.config(args)
    with local_backend(config) as backend:
        how = How(options.answering_experts(args), args.system, args.max_tokens)
        ExpertApp(backend, config.theme, how).run()
    return 0


class _Chat:
    """One conversation at a time, and the commands that steer it."""

    def __init__(self, assistant: "Assistant", system: str | None, max_tokens: int | None) -> None:
        self._assistant = assistant
        self._system = system
        self._max_tokens = max_tokens
        self._talk = self._begin()
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "/expert": self._expert,
            "/scale": self._scale,
            "/experts": self._experts,
            "/save": self._save,
            "/load": self._load,
            "/new": self._new,
            "/help": lambda _: print(HELP, end="", file=sys.stderr),
        }

    def take(self, line: str) -> None:
        """Obey a command or answer a question; an error ends the line, not the chat."""
        from expert.errors import ExpertError

        command, *rest = line.split()
        try:
            if not line.startswith("/"):
                self._answer(line)
            elif command in self._commands:
                self._commands[command](rest)
            else:
                _tell(f"there is no command {command}; /help lists them")
        except ExpertError as error:
            _tell(str(error))

    def _answer(self, prompt: str) -> None:
        from expert.cli.interrupts import ending
        from expert.cli.output import OutputOptions, show

        asked = self._talk.ask(prompt, max_tokens=self._max_tokens, origin="chat")
        with ending(asked):
            code = show(asked, OutputOptions(quiet=True))
        if code == 130 and not sys.stdin.isatty():  # people go on with the chat
            raise KeyboardInterrupt

    def _expert(self, names: list[str]) -> None:
        if not names:
            self._assistant.release()
        else:
            self._assistant.attach_experts(*(name for name in names if name != "none"))
        self._experts([])

    def _scale(self, words: list[str]) -> None:
        from expert.tui.commands import number, place

        experts = list(self._assistant.experts or ())
        at = place(words[0], [choice.name for choice in experts]) if len(words) == 2 else None
        scale = number(words[-1]) if words else None
        if at is None or scale is None:
            _tell("write /scale N X or /scale NAME X: one of /experts, and its scale")
            return
        experts[at] = replace(experts[at], scale=scale)
        self._assistant.attach_experts(*experts)
        self._experts([])

    def _experts(self, _: list[str]) -> None:
        chosen = self._assistant.experts
        for number, choice in enumerate(chosen or (), 1):
            _tell(f"{number}. {choice.name} at {choice.scale:g}")
        if chosen is None:
            _tell("whoever fits the question answers")
        elif not chosen:
            _tell("the base itself answers")

    def _save(self, words: list[str]) -> None:
        path = _file(words)
        self._talk.save(path)
        _tell(f"saved to {path}")

    def _load(self, words: list[str]) -> None:
        again = self._talk.load(_file(words))
        _tell(f"{len(self._talk.messages)} turns are back" + (f"; {again}" if again else ""))

    def _new(self, _: list[str]) -> None:
        self._talk = self._begin()

    def _begin(self) -> "Conversation":
        from expert.conversation import Conversation

        return Conversation(self._assistant, self._system)


def _lines() -> Iterator[str]:
    """Yield what is typed or piped, line by line, until it ends or /quit; a prompt for people."""
    if sys.stdin is None:  # closed by whoever started this program
        return
    prompt = "> " if sys.stdin.isatty() and sys.stderr.isatty() else ""
    while True:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = _line()
        if not line or line.strip() == "/quit":
            return
        if line.strip():
            yield line.strip()


def _line() -> str:
    """Return the next line; empty at the end.

    Raises:
        UsageError: what is piped in is not UTF-8.
    """
    from expert.errors import UsageError

    try:
        line = sys.stdin.readline()
        line.encode("utf-8")
    except UnicodeError as error:
        raise UsageError(
            "The piped input is not valid UTF-8.",
            str(error),
            "Convert it first, for example with `iconv -t utf-8`.",
        ) from error
    return line


def _file(words: list[str]) -> Path:
    from expert.errors import UsageError
    from expert.paths import expanded

    if len(words) != 1:
        raise UsageError("A file is missing.", "", "Write the path after the command.")
    return expanded(words[0])


def _tell(text: str) -> None:
    from expert.screen import screen_text

    print(screen_text(text), file=sys.stderr, flush=True)
