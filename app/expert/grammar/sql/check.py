"""The scope check: follows a SQL statement piece by piece, and refuses names out of scope.

The grammar has seen to the syntax; what is left is which tables a query reads, which columns they
have, and when a query must not go on without another table. A piece that is still being written is
refused as soon as it begins nothing that would be allowed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from expert.grammar.sql import scope
from expert.grammar.sql.dialects import Dialect
from expert.grammar.sql.scanner import Scanner
from expert.grammar.sql.schema import Schema
from expert.grammar.sql.scope import Query
from expert.grammar.sql.state import State
from expert.grammar.sql.statement import finish, step, viable
from expert.grammar.sql.ways import ways


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """The state of one statement; implements `expert.grammar.constraint.Check`."""

    scanner: Scanner
    state: State
    length: int = 0
    places: tuple[int, ...] = ()
    """Where tables were chosen, in bytes."""

    def push(self, data: bytes) -> "SqlCheck | None":
        """Return the state after *data* follows, or None when it must not."""
        scanner, pieces = self.scanner.feed(data)
        state: State | None = self.state
        for piece in pieces:
            state = step(state, piece) if state else None
        if state is None or not viable(state, scanner):
            return None
        length, places = self.length + len(data), self.places
        if state.chosen != self.state.chosen:
            places = (*places, self.length)
        return replace(self, scanner=scanner, state=state, length=length, places=places)

    def complete(self) -> bool:
        """Tell whether the statement may end here."""
        rest = self.scanner.end()
        if rest is None:
            return False
        state: State | None = self.state
        for piece in rest:
            state = step(state, piece) if state else None
        return state is not None and finish(state)

    def suggestions(self) -> Iterator[bytes]:
        """Yield names and clauses that are still needed; brackets and texts are closed anyway."""
        return ways(self.state, self.scanner)

    def anchors(self) -> tuple[int, ...]:
        """Return where tables were chosen."""
        return self.places


def opening_check(schema: Schema, dialect: Dialect, functions: Iterable[str]) -> SqlCheck:
    """Return the state before a statement about *schema*, in a dialect that has *functions*."""
    known = scope.known(schema, functions)
    return SqlCheck(Scanner(), State((Query("start"),), known, dialect))
