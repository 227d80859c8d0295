"""The GBNF front end: reads exactly what llama.cpp reads, and says where a grammar is wrong.

Format: llama.cpp's `grammars/README.md` and, where that is silent, its parser in
`src/llama-grammar.cpp`: names have letters, digits and `-`; the last definition of a name counts;
an empty literal or set is nothing; a repetition above 2,000 has no upper bound. Left recursion,
which llama.cpp refuses, is read as well.
"""

import difflib
import re
from dataclasses import dataclass, field

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.form import (
    Chars,
    Grammar,
    Node,
    Reference,
    Repeat,
    Text,
    Token,
    choice,
    sequence,
)

_LARGEST = 1_000_000  # characters of a grammar
_DEEPEST = 60  # parentheses inside each other
_REPETITIONS = 2000  # MAX_REPETITION_THRESHOLD of llama.cpp
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_DIGITS = frozenset("0123456789")
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n"} | {char: char for char in '\\"[]-'}
_HEX = {"x": 2, "u": 4, "U": 8}


def parse_gbnf(text: str, source: str = "grammar") -> Grammar:
    """Read a GBNF grammar whose first rule to match is `root`.

    Raises:
        UsageError: it is no GBNF, too large, or refers to a rule that does not exist; *what*
            starts with *source*, line and column.
    """
    return _Parser(text, source).parse()


@dataclass
class _Parser:
    text: str
    source: str
    place: int = 0
    rule: str = ""
    rules: dict[str, Node] = field(default_factory=dict)
    first_use: dict[str, int] = field(default_factory=dict)
    """Where each name was met first: a symbol of llama.cpp's parser."""
    made: int = 0
    """Further symbols, which llama.cpp's parser makes for groups and repetitions."""
    depth: int = 0

    def parse(self) -> Grammar:
        self._require_readable()
        self._skip(newlines=True)
        while self._peek():
            self._rule()
        self._require_defined()
        return Grammar(self.rules)

    def _require_readable(self) -> None:
        if len(self.text) > _LARGEST:
            why = f"It has {len(self.text):,} characters; {_LARGEST:,} are read at most."
            raise UsageError(f"{self.source} is too large for a grammar.", why, "Split it.")
        if bad := re.search("[\0\ud800-\udfff]", self.text):
            self.place = bad.start()
            raise self._error("this is no text", "Save the grammar as UTF-8 text.")

    def _require_defined(self) -> None:
        missing = [name for name in self.first_use if name not in self.rules]
        if missing:
            self.rule, self.place = "", self.first_use[missing[0]]
            close = difflib.get_close_matches(missing[0], self.rules, 1)
            hint = f"Did you mean `{close[0]}`?" if close else f"Define it: {missing[0]} ::= ..."
            raise self._error(f"there is no rule `{missing[0]}`", hint)
        if "root" not in self.rules:
            self.rule, self.place = "", 0
            raise self._error("there is no rule `root`", "Name the rule to start with `root`.")

    def _rule(self) -> None:
        self.rule = ""
        self.rule = self._name("a rule's name")
        self._skip()
        if self.text[self.place : self.place + 3] != "::=":
            raise self._error("expected ::= after the rule's name", "Write: name ::= definition")
        self.place += 3
        self._skip(newlines=True)
        self.rules[self.rule] = self._options(nested=False)
        char = self._peek()
        if char and char not in "\r\n":
            raise self._error(
                f"unexpected {char!r}", "End the rule with a new line, or put it in quotes."
            )
        self._skip(newlines=True)

    def _options(self, *, nested: bool) -> Node:
        options = [self._sequence(nested=nested)]
        while self._peek() == "|":
            self.place += 1
            self._skip(newlines=True)
            options.append(self._sequence(nested=nested))
        return choice(*options)

    def _sequence(self, *, nested: bool) -> Node:
        parts: list[Node] = []
        item: Node | None = None
        weight = 1  # llama.cpp's count of the rules a repetition would copy
        while char := self._peek():
            if char in "*+?{":
                start = self.place
                least, most = self._repetition(nested=nested)
                weight = self._weigh(item, weight, least, most, start)
                assert item is not None
                parts.pop()
                if most == 0:
                    item = None
                    continue
                item = Repeat(item, least, most)
            else:
                symbols = self._symbols()
                found = self._item(char, nested=nested)
                if found is None:
                    break
                weight = max(1, self._symbols() - symbols) if char == "(" else 1
                item = (
                    None if isinstance(found, Text) and char in '"[' and not found.text else found
                )
                if item is None:
                    continue
            parts.append(item)
        return sequence(*parts)

    def _symbols(self) -> int:
        return len(self.first_use) + self.made

    def _item(self, char: str, *, nested: bool) -> Node | None:
        match char:
            case '"':
                node = self._literal()
            case "[":
                node = self._set()
            case "<" | "!":
                node = self._token()
            case "(":
                node = self._group()
            case ".":
                self.place += 1
                node = Chars(chars.ANY)
            case _ if char in _WORD:
                node = Reference(self._name("a rule's name"))
            case _:
                return None
        self._skip(newlines=nested)
        return node

    def _group(self) -> Node:
        start = self.place
        self.place += 1
        self.depth += 1
        self.made += 1
        if self.depth > _DEEPEST:
            raise self._error(
                f"more than {_DEEPEST} parentheses inside each other", "Use more rules."
            )
        self._skip(newlines=True)
        node = self._options(nested=True)
        if self._peek() != ")":
            if not self._peek():
                self.place = start
            raise self._error("this parenthesis is not closed", "Add the missing ).")
        self.place += 1
        self.depth -= 1
        return node

    def _literal(self) -> Node:
        start = self.place
        self.place += 1
        points: list[int] = []
        while self._peek() != '"':
            points.append(self._char(start, '"'))
        self.place += 1
        if all(map(chars.holds, points)):
            return Text("".join(map(chr, points)))
        return Chars(chars.NONE)

    def _set(self) -> Node:
        start = self.place
        self.place += 1
        inverse = self._peek() == "^"
        self.place += inverse
        pairs: list[tuple[int, int]] = []
        while self._peek() != "]":
            low = high = self._char(start, "]")
            if self._peek() == "-" and self._peek(1) != "]":
                self.place += 1
                high = self._char(start, "]")
            pairs.append((low, high))
        self.place += 1
        if not pairs:
            return Text("")
        members = chars.ranges(pairs)
        return Chars(chars.complement(members) if inverse else members)

    def _char(self, start: int, closer: str) -> int:
        char = self._peek()
        if not char:
            self.place = start
            raise self._error(f"the closing {closer} is missing", f"Add {closer}.")
        if char != "\\":
            self.place += 1
            return ord(char)
        kind = self._peek(1)
        if kind in _HEX:
            digits = self.text[self.place + 2 : self.place + 2 + _HEX[kind]]
            if len(digits) == _HEX[kind] and all(c in "0123456789abcdefABCDEF" for c in digits):
                self.place += 2 + len(digits)
                return int(digits, 16)
            raise self._error(
                f"\\{kind} needs {_HEX[kind]} hexadecimal digits", "Fill up with zeros in front."
            )
        if kind not in _ESCAPES or not kind:
            raise self._error(
                f"unknown escape \\{kind}",
                'Known are \\n \\r \\t \\\\ \\" \\[ \\] \\- \\xNN \\uNNNN \\UNNNNNNNN.',
            )
        self.place += 2
        return ord(_ESCAPES[kind])

    def _token(self) -> Node:
        start = self.place
        other = self._peek() == "!"
        self.place += other
        end = self.text.find(">", self.place)
        if self._peek() != "<" or end < 0:
            self.place = start
            raise self._error("expected a token", "Write <name>, <[number]>, or ! before either.")
        name = self.text[self.place : end + 1]
        self.place = end + 1
        if not name.startswith("<["):
            return Token(name, other)
        number = name[2:-2]
        if not name.endswith("]>") or not number or not set(number) <= _DIGITS:
            self.place = start
            raise self._error("expected a token's number", "Write <[number]>.")
        if int(number[:12]) >= 1 << 32:
            self.place = start
            raise self._error("there is no such token", "Token numbers have 32 bits.")
        return Token(int(number), other)

    def _repetition(self, *, nested: bool) -> tuple[int, int | None]:
        start, char = self.place, self._peek()
        self.place += 1
        self._skip(newlines=nested)
        if char != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        least = self._number(nested=nested)
        most: int | None = least
        if self._peek() == ",":
            self.place += 1
            self._skip(newlines=nested)
            most = self._number(nested=nested) if self._peek() in _DIGITS else None
        if self._peek() != "}":
            raise self._error("expected } or ,", "Write {n}, {n,} or {n,m}.")
        self.place += 1
        self._skip(newlines=nested)
        if most is not None and most < least:
            self.place = start
            raise self._error(f"at least {least} but at most {most} times", "Swap the numbers.")
        if least > _REPETITIONS:
            self.place = start
            raise self._error(f"more than {_REPETITIONS} repetitions", "Lower the number.")
        return least, None if most is None or most > _REPETITIONS else most

    def _number(self, *, nested: bool) -> int:
        start = self.place
        while self._peek() in _DIGITS:
            self.place += 1
        digits = self.text[start : self.place]
        if not digits:
            raise self._error("expected a number", "Write {n}, {n,} or {n,m}.")
        if len(digits) > 19:
            self.place = start
            raise self._error("the number is too large", f"At most {_REPETITIONS} are counted.")
        self._skip(newlines=nested)
        return int(digits)

    def _weigh(
        self, item: Node | None, weight: int, least: int, most: int | None, start: int
    ) -> int:
        """Refuse what llama.cpp refuses, and count the symbols it would make."""
        if item is None:
            self.place = start
            raise self._error("there is nothing to repeat", "Put an item before * + ? or {.")
        total = most or least or 1
        if weight * total > _REPETITIONS:
            self.place = start
            raise self._error(
                f"this repeats {weight * total:,} parts; {_REPETITIONS:,} is the limit",
                "Lower the number, or name a part of it as a rule.",
            )
        self.made += 1 if most is None else most - least
        return weight * total

    def _name(self, what: str) -> str:
        start = self.place
        while self._peek() in _WORD:
            self.place += 1
        name = self.text[start : self.place]
        if not name:
            hint = "Names have letters, digits and -; a definition stays on one line unless it is "
            raise self._error(f"expected {what}", hint + "in parentheses or goes on after a |.")
        self.first_use.setdefault(name, start)
        return name

    def _skip(self, *, newlines: bool = False) -> None:
        blank = " \t\r\n" if newlines else " \t"
        while char := self._peek():
            if char == "#":
                while self._peek() not in ("", "\r", "\n"):
                    self.place += 1
            elif char in blank:
                self.place += 1
            else:
                return

    def _peek(self, ahead: int = 0) -> str:
        return self.text[self.place + ahead : self.place + ahead + 1]

    def _error(self, problem: str, fix: str) -> UsageError:
        line = self.text.count("\n", 0, self.place) + 1
        column = self.place - self.text.rfind("\n", 0, self.place)
        rule = f" in rule `{self.rule}`" if self.rule else ""
        shown = self.text.split("\n")[line - 1][:120].strip()
        return UsageError(
            f"{self.source}:{line}:{column}: {problem}{rule}.", f"The line is: {shown}", fix
        )
