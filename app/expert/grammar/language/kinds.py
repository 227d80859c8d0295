"""What stands behind a name's colon: texts, numbers, choices, lists, and other grammars."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from expert.grammar import chars
from expert.grammar.form import Chars, Node, Reference, Repeat, Text, choice, sequence
from expert.grammar.language.source import Place, Token

_LONGEST = 2000  # what llama.cpp counts at most
_LETTER = chars.ranges([(ord("a"), ord("z")), (ord("A"), ord("Z"))])
_WORD = chars.union((_LETTER, chars.of("0123456789_-'")))
_LINE = chars.complement(chars.ranges([(0, 31), (127, 159), (0x2028, 0x2029)]))
_NO_SPACE = chars.intersect(_LINE, chars.complement(chars.of(" ")))
_KNOWN = (
    'Known are "a text", text, word, integer, number, date, time, date-time, json, one of, list of,'
    " optional, template, schema, grammar, and the names of your own definitions."
)
BUILT_IN = ("number", "integer", "date", "time", "date-time", "json")
_WORDS = "text word one list optional or template schema grammar"
RESERVED = frozenset((*BUILT_IN, *_WORDS.split()))


@dataclass
class Kinds:
    """Turns the words of a kind into rules."""

    names: frozenset[str]
    """The names that the form defines."""
    template: Callable[[str, Place], Node]
    """Reads a template on one line."""
    load: Callable[[str, str, Place], Node]
    """Loads another grammar: what kind of reference, and what it says."""
    most: int = 200
    """How long a text or list is when nothing is said."""
    depth: int = field(default=0)

    def parse(self, tokens: Sequence[Token], end: Place) -> Node:
        """Return what a whole kind matches.

        Raises:
            UsageError: it is none.
        """
        reader = _Reader(tokens, end)
        node = self._either(reader)
        if not reader.at_end():
            raise reader.place().error(f"unexpected {reader.peek()!r}", "Remove it, or add `or`.")
        return node

    def _either(self, reader: "_Reader") -> Node:
        options = [self._single(reader)]
        while reader.take("or"):
            options.append(self._single(reader))
        return choice(*options)

    def _single(self, reader: "_Reader") -> Node:
        token = reader.next("a kind")
        if token.kind == "quote":
            return _text(token.text, token.place)
        if token.text in self.names:
            return Reference(token.text)
        match token.text:
            case "text":
                least, most = reader.range() or (1, self.most)
                return _line(least, most)
            case "word":
                return sequence(Chars(_LETTER), Repeat(Chars(_WORD), 0, 29))
            case "one":
                reader.require("of")
                return self._one_of(reader)
            case "list":
                reader.require("of")
                return self._list(reader)
            case "optional":
                return Repeat(self._nested(reader), 0, 1)
            case "template":
                quote = reader.quotation("a template")
                return self.template(quote.text, quote.place)
            case "schema" | "grammar":
                named = reader.quotation("a file", names=True)
                return self.load(token.text, named.text, named.place)
            case name if name in BUILT_IN:
                return self.load("grammar", name, token.place)
        raise token.place.error(f"there is no kind or name `{token.text}`", _KNOWN)

    def _nested(self, reader: "_Reader") -> Node:
        self.depth += 1
        if self.depth > 50:
            raise reader.place().error("this is nested too deeply", "Name its parts.")
        node = self._single(reader)
        self.depth -= 1
        return node

    def _one_of(self, reader: "_Reader") -> Node:
        options: list[Node] = []
        while True:
            options.append(_text(*reader.words()))
            if not reader.take(","):
                return choice(*options)

    def _list(self, reader: "_Reader") -> Node:
        item = self._nested(reader)
        least, most = 1, min(self.most, 50)
        between: Node = Text(", ")
        while reader.take(","):
            if reader.peek() == "separated":
                break
            place = reader.place()
            bounds = reader.range()
            if bounds is None:
                raise place.error("expected how many", "Write such as: list of word, 1 to 5")
            least, most = bounds
        if reader.take("separated"):
            reader.require("by")
            quote = reader.quotation("what stands between")
            between = _text(quote.text, quote.place)
        if most == 0:
            return Text("")
        more = Repeat(sequence(between, item), max(least - 1, 0), most - 1)
        row = sequence(item, more)
        return Repeat(row, 0, 1) if least == 0 else row


class _Reader:
    """The words of one kind, from left to right."""

    def __init__(self, tokens: Sequence[Token], end: Place) -> None:
        self._tokens = tokens
        self._end = end
        self._at = 0

    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def place(self) -> Place:
        return self._tokens[self._at].place if self._at < len(self._tokens) else self._end

    def next(self, what: str) -> Token:
        if self._at >= len(self._tokens):
            raise self._end.error(f"expected {what}", _KNOWN)
        self._at += 1
        return self._tokens[self._at - 1]

    def take(self, word: str) -> bool:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        if token is None or token.kind == "quote" or token.text != word:
            return False
        self._at += 1
        return True

    def require(self, word: str) -> None:
        if not self.take(word):
            raise self.place().error(f"expected `{word}`", f"Write `{word}` here.")

    def quotation(self, what: str, *, names: bool = False) -> Token:
        token = self.next(what)
        if token.kind != "quote" and not (names and token.kind == "name"):
            raise token.place.error(f"expected {what} in quotes", 'Put it in "quotes".')
        return token

    def words(self) -> tuple[str, Place]:
        """Return an option: a quotation, or words up to the next comma."""
        first = self.next("an option")
        if first.kind == "sign":
            raise first.place.error("expected an option", "Write: one of low, normal, high")
        if first.kind == "quote":
            return first.text, first.place
        words = [first.text]
        while self.peek() not in ("", ",", "or"):
            word = self.next("an option")
            if word.kind not in ("name", "number"):
                raise word.place.error("expected a comma", "Part options by commas.")
            words.append(word.text)
        return " ".join(words), first.place

    def range(self) -> tuple[int, int] | None:
        """Return the bounds that follow: `5`, `1 to 5`, `up to 5`; None if there are none."""
        place = self.place()
        if self.take("up"):
            self.require("to")
            least, most = 1, self._number()
        elif self.peek().isdigit():
            least = most = self._number()
            if self.take("to"):
                most = self._number()
        else:
            return None
        if least > most:
            raise place.error(f"at least {least} but at most {most}", "Swap the two numbers.")
        return least, most

    def _number(self) -> int:
        token = self.next("a number")
        if token.kind != "number":
            raise token.place.error("expected a number", "Write a number here.")
        if len(token.text) > 6 or int(token.text) > _LONGEST:
            raise token.place.error(f"more than {_LONGEST}", "Lower the number.")
        return int(token.text)


def _text(text: str, place: Place) -> Node:
    if not all(chars.holds(ord(char)) for char in text):
        raise place.error("no answer can hold this character", "Remove it.")
    return Text(text)


def _line(least: int, most: int) -> Node:
    """Text on one line that neither begins nor ends with a space."""
    if most == 0:
        return Text("")
    edge = Chars(_NO_SPACE)
    middle = Repeat(Chars(_LINE), max(least - 2, 0), max(most - 2, 0))
    if least >= 2:
        return sequence(edge, middle, edge)
    longer = Repeat(sequence(middle, edge), 0, 1) if most > 1 else Text("")
    row = sequence(edge, longer)
    return Repeat(row, 0, 1) if least == 0 else row
