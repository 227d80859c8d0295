"""`expert chat`: a conversation, line by line."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import options

if TYPE_CHECKING:
    from expert.session import Conversation, Session

HELP = """\
/expert FILE[:SCALE] …   let these experts answer; alone: the base
/scale N X               set the scale of the Nth expert
/experts                 show who answers
/save FILE               save the conversation and what was computed for it
/load FILE               take a saved conversation back
/new                     begin a new conversation
/quit                    leave (also Ctrl-D)
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("chat", "Have a conversation, line by line; /help lists commands.")
    options.add_model(parser)
    options.add_experts(parser)
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--max-tokens", type=options.positive, metavar="N", help="longest answer")
    parser.add_argument("--plain", action="store_true", help="lines only; what there is so far")
    options.add_engine(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Read lines and answer them until the input ends."""
    args = build_parser().parse_args(arguments)
    from expert.session import Session

    with Session(**options.given(args)) as session:
        chat = _Chat(session, args.system, args.max_tokens)
        session.attach_experts(*args.experts)
        for line in _lines():
            chat.take(line)
    return 0


class _Chat:
    """One conversation at a time, and the commands that steer it."""

    def __init__(self, session: "Session", system: str | None, max_tokens: int | None) -> None:
        self._session = session
        self._system = system
        self._max_tokens = max_tokens
        self._talk: Conversation = session.conversation(system)
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
        from expert.cli.output import write
        from expert.types import Delta, Done, Message, Request

        turns = [*self._talk.messages, Message("user", prompt)]
        request = Request(turns, self._session.experts, max_tokens=self._max_tokens, truncate=True)
        text = ""
        for event in self._session.assistant.ask(request):
            if isinstance(event, Delta) and not event.reasoning:
                write(event.text)
            elif isinstance(event, Done):
                text = event.answer.text
        if not text.endswith("\n"):
            write("\n")
        self._talk.messages = [*turns, Message("assistant", text)]

    def _expert(self, names: list[str]) -> None:
        self._session.attach_experts(*names)
        self._experts([])

    def _scale(self, words: list[str]) -> None:
        experts = [(choice.adapter, choice.scale) for choice in self._session.experts]
        try:
            index, scale = int(words[0]) - 1, float(words[1])
            experts[index] = (experts[range(len(experts))[index]][0], scale)
        except (IndexError, ValueError):
            _tell("write /scale N X: the number of an expert in /experts, and its scale")
            return
        self._session.attach_experts(*experts)
        self._experts([])

    def _experts(self, _: list[str]) -> None:
        for number, choice in enumerate(self._session.experts, 1):
            _tell(f"{number}. {choice.adapter.stem} at {choice.scale:g}")
        if not self._session.experts:
            _tell("the base itself answers")

    def _save(self, words: list[str]) -> None:
        path = _file(words)
        self._talk.save(path)
        _tell(f"saved to {path}")

    def _load(self, words: list[str]) -> None:
        again = self._talk.load(_file(words))
        _tell(f"{len(self._talk.messages)} turns are back" + (f"; {again}" if again else ""))

    def _new(self, _: list[str]) -> None:
        self._talk = self._session.conversation(self._system)


def _lines() -> Iterator[str]:
    """Yield what is typed or piped, line by line, until it ends or /quit; a prompt for people."""
    prompt = "> " if sys.stdin.isatty() and sys.stderr.isatty() else ""
    while True:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or line.strip() == "/quit":
            return
        if line.strip():
            yield line.strip()


def _file(words: list[str]) -> Path:
    from expert.errors import UsageError

    if len(words) != 1:
        raise UsageError("A file is missing.", "", "Write the path after the command.")
    return Path(words[0]).expanduser()


def _tell(text: str) -> None:
    from expert.cli.output import screen_text

    print(screen_text(text), file=sys.stderr, flush=True)
