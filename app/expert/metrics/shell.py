"""The structure of shell commands: programs, flags in any order, operators, arguments.

This reads the words and operators of POSIX shell, not its keywords: loops and conditions come out
as programs of that name, the same for an answer and its reference.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field

from expert.metrics.synonyms import one_form

OPERATORS = "|&;<>()"
SHIELD = {ord(sign): 0xE100 + place for place, sign in enumerate(OPERATORS)}
"""A private character for each operator, where it is only text."""
BARE = {private: sign for sign, private in SHIELD.items()}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
CLUSTER = re.compile(r"-[A-Za-z]{2,}")
COUNT = re.compile(r"-\d+")
LONG_DASH = frozenset(
    ("find", "java", "javac", "ffmpeg", "gcc", "openssl", "convert", "xset", "xrandr")
)
"""Programs whose options of several letters begin with one dash."""


@dataclass
class Simple:
    """One program with its assignments, options, arguments and redirections."""

    words: list[str] = field(default_factory=list)
    redirections: list[tuple[str, str]] = field(default_factory=list)

    @property
    def program(self) -> str:
        """Return the first word that assigns nothing, or nothing."""
        return next((word for word in self.words if not ASSIGNMENT.match(word)), "")

    @property
    def flags(self) -> Counter[str]:
        """Return how often each option occurs, without values."""
        return self._sorted()[0]

    @property
    def arguments(self) -> list[str]:
        """Return assignments, the values of options, and all other words, in order."""
        return self._sorted()[1]

    def one_form(self) -> Simple:
        """Return the command that stands for all that mean the same."""
        start = self.words.index(self.program) if self.program else len(self.words)
        return Simple(self.words[:start] + one_form(self.words[start:]), self.redirections)

    def _sorted(self) -> tuple[Counter[str], list[str]]:
        flags: Counter[str] = Counter()
        arguments: list[str] = []
        program = ""
        for word in self.words:
            if program:
                _sort(program, word, flags, arguments)
            elif ASSIGNMENT.match(word):
                arguments.append(word)
            else:
                program = word
        return flags, arguments


@dataclass
class Command:
    """Simple commands and the operators between them."""

    parts: list[Simple]
    operators: list[str]

    def structure(self) -> object:
        """Return what is left when arguments lose their values but not their number."""
        return self.operators, [
            (p.program, p.flags, len(p.arguments), [op for op, _ in p.redirections])
            for p in map(Simple.one_form, self.parts)
        ]

    def whole(self) -> object:
        """Return everything but the order of flags."""
        return self.operators, [
            (p.program, p.flags, p.arguments, p.redirections)
            for p in map(Simple.one_form, self.parts)
        ]


def read_command(text: str) -> Command | None:
    """Return a command's structure, or None where its quotes do not close or it has no program."""
    lexer = shlex.shlex(_shielded(text), posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        return None
    command = Command([Simple()], [])
    redirection = ""
    for shielded in words:
        word = shielded.translate(BARE)
        if shielded and set(shielded) <= set(OPERATORS):
            if redirection:
                return None
            if set(word) & set("<>"):
                redirection = word
            else:
                command.operators.append(word)
                command.parts.append(Simple())
        elif redirection:
            command.parts[-1].redirections.append((redirection, word))
            redirection = ""
        else:
            command.parts[-1].words.append(word)
    return None if redirection or not command.parts[0].program else command


def _shielded(text: str) -> str:
    """Replace the operators that quotes or a backslash make ordinary characters."""
    made, quote, escaped = [], "", False
    for letter in text:
        plain = quote or escaped
        made.append(letter.translate(SHIELD) if plain else letter)
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
    return "".join(made)


def _sort(program: str, word: str, flags: Counter[str], arguments: list[str]) -> None:
    if COUNT.fullmatch(word):
        flags["-NUMBER"] += 1
        arguments.append(word[1:])
    elif word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        flags[name] += 1
        arguments.append(value)
    elif CLUSTER.fullmatch(word) and program not in LONG_DASH:
        flags.update(f"-{letter}" for letter in word[1:])
    elif word.startswith("-") and word not in ("-", "--"):
        flags[word] += 1
    else:
        arguments.append(word)


def same_structure(answer: str, reference: str) -> bool:
    """Tell whether two commands run the same programs with the same flags and as many arguments.

    What means the same is the same: `find -name x -print` and `find . -name x`.
    """
    found, wanted = read_command(answer), read_command(reference)
    if found is None or wanted is None:
        return answer.strip() == reference.strip()
    return found.structure() == wanted.structure()


def same_command(answer: str, reference: str) -> bool:
    """Tell whether two commands differ at most in the order of flags."""
    found, wanted = read_command(answer), read_command(reference)
    if found is None or wanted is None:
        return answer.strip() == reference.strip()
    return found.whole() == wanted.whole()
