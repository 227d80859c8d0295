"""The one form that every front end compiles to: named rules over characters.

A node matches text: `Text` itself, `Chars` one character of a set, `Sequence`, `Choice` and
`Repeat` as their names say, `Reference` what the named rule matches, `Token` one token of the
vocabulary whatever its text, and `Schema` a JSON value of a JSON Schema.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from expert.grammar.chars import Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """Exactly this text; it may be empty."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Chars:
    """One character of a set; nothing if the set is empty."""

    ranges: Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """The parts one after the other."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of the options."""

    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """The item at least *least* and at most *most* times; None is no limit."""

    item: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What another rule matches."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token by number or name, or any token but that one."""

    token: int | str
    other: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A JSON value of the engine's own JSON Schema compiler; *text* is the schema as JSON."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Lexeme:
    """What the engine matches in one piece, greedily: an expression in its dialect of Lark."""

    expression: str


Node: TypeAlias = Text | Chars | Sequence | Choice | Repeat | Reference | Token | Schema | Lexeme
EMPTY = Text("")


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name, and the one an answer must match."""

    rules: dict[str, Node]
    root: str = "root"


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly inside *node*."""
    match node:
        case Sequence(parts):
            return parts
        case Choice(options):
            return options
        case Repeat(item):
            return (item,)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield *node* and every node inside it."""
    pending = [node]
    while pending:
        one = pending.pop()
        yield one
        pending += reversed(children(one))


def references(node: Node) -> Iterator[str]:
    """Yield the name of every rule that *node* refers to, in order."""
    for one in walk(node):
        if isinstance(one, Reference):
            yield one.name


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fold(Generic[T]):
    """Computes a value for a node from those of the nodes inside it, each only when asked for."""

    leaf: Callable[[Node], T]
    sequence: Callable[[Iterable[T]], T]
    choice: Callable[[Iterable[T]], T]
    repeat: Callable[["Repeat", Callable[[], T]], T]
    """Given the repetition, and the value of its item."""

    def __call__(self, node: Node) -> T:
        """Return the value for *node*."""
        match node:
            case Sequence(parts):
                return self.sequence(map(self, parts))
            case Choice(options):
                return self.choice(map(self, options))
            case Repeat(item):
                return self.repeat(node, lambda: self(item))
            case _:
                return self.leaf(node)


def sequence(*parts: Node) -> Node:
    """Return the parts in a row, as flat as possible."""
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Sequence) else [part]
    flat = [part for part in flat if not (isinstance(part, Text) and not part.text)]
    if not flat:
        return EMPTY
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(*options: Node) -> Node:
    """Return the options as one choice, as flat as possible."""
    flat: list[Node] = []
    for option in options:
        flat += option.options if isinstance(option, Choice) else [option]
    return flat[0] if len(flat) == 1 else Choice(tuple(flat))


def optional(*parts: Node) -> Node:
    """Return the parts in a row, or nothing."""
    return Repeat(sequence(*parts), 0, 1)
