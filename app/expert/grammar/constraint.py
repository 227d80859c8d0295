"""One answer being held to its grammar: which token may come next, and what to take back.

Sampling asks `allows` about the token it drew, and for a `mask` only when that one is refused.
A grammar may come with a `Check`, which knows what no grammar can say (no two equal items, a
column of that table) and is asked as the text grows. A check can refuse every token the mask
leaves: then `retreat` takes tokens back, as in Scholak et al. 2021 (PICARD, arXiv:2109.05093)
with a search that backs up instead of a beam that dies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from expert.errors import ContractError
from expert.grammar.lark import bind_tokens
from expert.grammar.tokens import TokenTable

if TYPE_CHECKING:
    from llguidance import LLMatcher

_FREE = 0.6  # the part of the limit before an answer only closes what is open
_ROOM = 1.3  # times the length of a short answer, to be left for closing
_LOST = 12  # dead ends in a row after which only the way to the end is searched
_RETREATS = 128  # dead ends after which an answer is given up


class Check(Protocol):
    """What a grammar cannot say, as an immutable state of the text so far."""

    def push(self, data: bytes) -> "Check | None":
        """Return the state after *data* follows, or None when it must not."""

    def complete(self) -> bool:
        """Tell whether the text may end here."""

    def suggestions(self) -> Iterator[bytes]:
        """Yield texts that bring the answer nearer to its end, as far as they are known."""

    def anchors(self) -> tuple[int, ...]:
        """Return where in the text, in bytes, decisions were made that can be taken back."""


class Constraint(Protocol):
    """The state of one generation under a grammar; tokens are ids of its vocabulary."""

    exact: bool
    """Whether `mask` alone decides; if not, ask `allows` about each token drawn under it."""

    def allows(self, token: int) -> bool:
        """Tell whether *token* may come next."""

    def mask(self) -> bytes:
        """Return one bit per token, set where it may come next, in little-endian 32-bit words."""

    def accept(self, token: int) -> None:
        """Go on with *token*."""

    def forced(self) -> list[int]:
        """Return the tokens that must come next, empty where there is a choice."""

    def rollback(self, count: int) -> None:
        """Take the last *count* tokens back."""

    def retreat(self) -> int:
        """Take back what led to a dead end, and return how many tokens that was."""

    def copy(self) -> "Constraint":
        """Return an independent constraint in the same state."""

    def can_end(self) -> bool:
        """Tell whether the answer may end here."""

    def finished(self) -> bool:
        """Tell whether nothing but the end may follow."""

    def check(self, text: str) -> None:
        """Raise ContractError unless *text*, the whole answer, keeps the contract."""


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar ready to start: the engine's text, and what it cannot say."""

    engine: str
    """llguidance's Lark dialect."""
    check: Check | None = None
    guide: Check | None = None
    """Follows the text where there is no check, to find the way to its end."""
    verify: Callable[[str], None] | None = None
    """The final check of a whole answer; raises ContractError."""
    closers: tuple[str, ...] = ()
    """Characters that bring an answer to its end, the most urgent first."""
    shortest: Callable[[], str] | None = None
    """Returns a short answer, empty if none is known: what must be left room for."""

    def start(self, table: TokenTable, limit: int | None = None) -> "GrammarConstraint":
        """Return the constraint of a new answer.

        With a *limit* of tokens, the last two fifths go into closing what is open, or more
        where a short answer already needs more.

        Raises:
            UsageError: the mask engine refuses the grammar, or the vocabulary lacks a token
                that it names.
        """
        engine = bind_tokens(self.engine, table.named)
        return GrammarConstraint(table, table.matcher(engine), self, self._patience(table, limit))

    def _patience(self, table: TokenTable, limit: int | None) -> int | None:
        """Return after how many tokens an answer of at most *limit* must start to close."""
        if limit is None:
            return None
        text = self.shortest() if self.shortest else ""
        return max(0, min(int(limit * _FREE), limit - int(len(table.encode(text)) * _ROOM)))


class GrammarConstraint:
    """A llguidance matcher, with the grammar's check beside it and the tokens that failed."""

    def __init__(
        self,
        table: TokenTable,
        matcher: "LLMatcher",
        grammar: CompiledGrammar,
        patience: int | None = None,
    ) -> None:
        self.exact = grammar.check is None
        self._table = table
        self._matcher = matcher
        self._grammar = grammar
        self._patience = patience
        self._tokens: list[int] = []
        self._checks: list[Check] = [grammar.check] if grammar.check else []
        self._banned: dict[int, set[int]] = {}
        """By position: tokens that led to a dead end there."""
        self._ended = False
        self._retreats = 0
        self._stuck = 0
        """Dead ends since the answer last grew beyond *furthest* tokens."""
        self._furthest = 0
        self._peeked: tuple[int, Check | None] = (-1, None)
        self._closers: tuple[frozenset[int] | None] | None = None
        """What `_closing` found for the next token, if it was asked."""

    def allows(self, token: int) -> bool:
        """Tell whether *token* may come next."""
        if not self._fits(token):
            return False
        closing = self._closing()
        return closing is None or token in closing

    def _fits(self, token: int) -> bool:
        if token in self._table.ends:
            return self.can_end()
        if self._ended or token in self._banned.get(len(self._tokens), ()):
            return False
        if self._matcher.validate_tokens([token]) != 1:
            return False
        return self.exact or self._peek(token) is not None

    def _closing(self) -> frozenset[int] | None:
        """Return the tokens that close something, when it is time to; None if there is time.

        It is also time to when dead end follows dead end: then what closes shows a way out.
        """
        late = self._patience is not None and len(self._tokens) >= self._patience
        if not late and self._stuck < _LOST:
            return None
        if self._closers is None:
            self._closers = (self._find_closing(),)
        return self._closers[0]

    def _find_closing(self) -> frozenset[int] | None:
        if self.can_end():
            return frozenset(self._table.ends)
        for wanted in self._suggestions():
            for token in self._table.prefixes(wanted):
                if self._fits(token):
                    return frozenset((token,))
        for tier in self._table.closers(self._grammar.closers):
            possible = [token for token in tier if self._matcher.validate_tokens([token]) == 1]
            fitting = frozenset(token for token in possible if self._fits(token))
            if fitting or possible:
                return fitting  # what must not be closed is a dead end, now that time is short
        return None

    def _suggestions(self) -> Iterator[bytes]:
        state = self._checks[-1] if self._checks else None
        if state is None and self._grammar.guide:
            state = self._grammar.guide.push(self._table.decode(self._tokens))
        return state.suggestions() if state else iter(())

    def _peek(self, token: int) -> Check | None:
        if self._peeked[0] != token:
            self._peeked = token, self._checks[-1].push(self._table.piece(token))
        return self._peeked[1]

    def mask(self) -> bytes:
        """Return one bit per token, set where it may come next, in little-endian 32-bit words.

        Raises:
            ContractError: the grammar became too ambiguous to follow.
        """
        mask = self._matcher.compute_bitmask()
        self._require_engine()
        if (closing := self._closing()) is not None:
            return self._table.bits(closing)
        banned = self._banned.get(len(self._tokens), set())
        if not self.can_end():
            banned = banned.union(self._table.ends)
        if not banned:
            return mask
        bits = bytearray(mask)
        for token in banned:
            bits[token >> 3] &= ~(1 << (token & 7))
        return bytes(bits)

    def accept(self, token: int) -> None:
        """Go on with *token*.

        Raises:
            ContractError: the grammar does not allow it here; the constraint is as before.
        """
        if not self._fits(token):
            self._require_engine()
            raise ContractError(
                f"Token {token} does not fit the grammar here.",
                f"It would follow {self.text()[-40:]!r}.",
                "Only go on with tokens that the constraint allows.",
            )
        if token in self._table.ends:
            self._ended = True
        else:
            self._matcher.consume_token(token)
            if not self.exact:
                after = self._peek(token)
                assert after is not None
                self._checks.append(after)
        self._tokens.append(token)
        self._peeked, self._closers = (-1, None), None

    def forced(self) -> list[int]:
        """Return the tokens that must come next, empty where there is a choice."""
        if self._ended:
            return []
        tokens = self._matcher.compute_ff_tokens()
        self._require_engine()
        if tokens and tokens[0] in self._banned.get(len(self._tokens), ()):
            return []
        if self.exact:
            return tokens
        state: Check | None = self._checks[-1]
        for index, token in enumerate(tokens):
            state = state.push(self._table.piece(token)) if state else None
            if state is None:
                return tokens[:index]
        return tokens

    def rollback(self, count: int) -> None:
        """Take the last *count* tokens back; what was banned after them is forgotten."""
        if count <= 0:
            return
        assert count <= len(self._tokens), "more tokens than there are"
        self._matcher.rollback(count - self._ended)
        self._ended = False
        del self._tokens[-count:]
        if not self.exact:
            del self._checks[len(self._tokens) + 1 :]
        depth = len(self._tokens)
        self._banned = {place: bans for place, bans in self._banned.items() if place <= depth}
        self._peeked, self._closers = (-1, None), None

    def retreat(self) -> int:
        """Take back what led to a dead end, and return how many tokens that was.

        The last token taken back is banned in its place. The mistake may lie long before it
        shows, so dead ends that follow each other go back 1, 1, 2, 1, 1, 2, 4, ... steps, the
        sequence of Luby, Sinclair and Zuckerman 1993 for searches of unknown length. A step is
        by turns a token, and a decision that the check knows of.

        Raises:
            ContractError: the search was given up.
        """
        self._retreats += 1
        fresh = len(self._tokens) > self._furthest
        self._stuck = 1 if fresh else self._stuck + 1
        self._furthest = max(self._furthest, len(self._tokens))
        target, removed = self._target(), 0
        while self._tokens and self._retreats <= _RETREATS:
            token = self._tokens[-1]
            self.rollback(1)
            removed += 1
            self._banned.setdefault(len(self._tokens), set()).add(token)
            if len(self._tokens) <= target and any(self.mask()):
                return removed
        if removed and self._retreats <= _RETREATS:
            self._banned.clear()  # long leaps ban more than was proved wrong
            self._closers = None
            return removed
        raise ContractError(
            "No answer was found that keeps its contract.",
            f"{self._retreats} dead ends were met while searching for one.",
            "Ask again with another seed, or simplify the schema.",
        )

    def _target(self) -> int:
        """Return how many tokens to keep."""
        steps = _luby((self._stuck + 1) // 2)
        length = sum(len(self._table.piece(token)) for token in self._tokens)
        anchors = [] if self.exact else [a for a in self._checks[-1].anchors() if a < length]
        if self._stuck % 2 or not anchors:
            return len(self._tokens) - steps
        kept, anchor = len(self._tokens), anchors[-min(steps, len(anchors))]
        while length > anchor:
            kept -= 1
            length -= len(self._table.piece(self._tokens[kept]))
        return kept

    def copy(self) -> Self:
        """Return an independent constraint in the same state."""
        twin = self.__class__(self._table, self._matcher.deep_copy(), self._grammar, self._patience)
        twin._tokens = self._tokens.copy()
        twin._checks = self._checks.copy()
        twin._banned = {place: bans.copy() for place, bans in self._banned.items()}
        twin._ended = self._ended
        twin._retreats = self._retreats
        twin._stuck, twin._furthest = self._stuck, self._furthest
        return twin

    def can_end(self) -> bool:
        """Tell whether the answer may end here."""
        if self._ended or not self._matcher.is_accepting():
            return False
        return self.exact or self._checks[-1].complete()

    def finished(self) -> bool:
        """Tell whether nothing but the end may follow."""
        return self._ended or (self._matcher.is_stopped() and self.can_end())

    def text(self) -> str:
        """Return the answer so far."""
        return self._table.decode(self._tokens).decode("utf-8", "replace")

    def check(self, text: str) -> None:
        """Raise ContractError unless *text*, the whole answer, keeps the contract."""
        if not self._ended and not self.can_end():
            raise ContractError(
                "The answer stopped in the middle of its grammar.",
                f"It ends in {text[-40:]!r}, where the grammar goes on.",
                "Raise the limit of tokens, or ask for less.",
            )
        if self._grammar.verify:
            self._grammar.verify(text)

    def _require_engine(self) -> None:
        if self._matcher.is_error():
            raise ContractError(
                "The mask engine gave up on this answer.",
                self._matcher.get_error().partition("\n")[0],
                "Make the grammar less ambiguous, or bound its repetitions.",
            )


def _luby(index: int) -> int:
    """Return the term of Luby's sequence at *index*, which counts from 1."""
    while index & (index + 1):
        index -= (1 << (index.bit_length() - 1)) - 1
    return (index + 1) >> 1
