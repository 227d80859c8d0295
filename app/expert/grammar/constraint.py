"""One answer being held to its grammar: which token may come next, and what to take back.

Sampling asks `allows` about the token it drew, and for a `mask` only when that one is refused.
A grammar may come with a `Check`, which knows what no grammar can say (no two equal items, a
column of that table) and is asked as the text grows. A check can refuse every token the mask
leaves: then `retreat` takes tokens back, as in Scholak et al. 2021 (PICARD, arXiv:2109.05093)
with a search that backs up instead of a beam that dies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from expert.errors import ContractError
from expert.grammar.lark import bind_tokens
from expert.grammar.tokens import TokenTable

if TYPE_CHECKING:
    from llguidance import LLMatcher

_RETREATS = 128  # dead ends after which an answer is given up


class Check(Protocol):
    """What a grammar cannot say, as an immutable state of the text so far."""

    def push(self, data: bytes) -> "Check | None":
        """Return the state after *data* follows, or None when it must not."""

    def complete(self) -> bool:
        """Tell whether the text may end here."""


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
    verify: Callable[[str], None] | None = None
    """The final check of a whole answer; raises ContractError."""

    def start(self, table: TokenTable) -> "GrammarConstraint":
        """Return the constraint of a new answer.

        Raises:
            UsageError: the mask engine refuses the grammar, or the vocabulary lacks a token
                that it names.
        """
        engine = bind_tokens(self.engine, table.named)
        return GrammarConstraint(table, table.matcher(engine), self)


class GrammarConstraint:
    """A llguidance matcher, with the grammar's check beside it and the tokens that failed."""

    def __init__(self, table: TokenTable, matcher: "LLMatcher", grammar: CompiledGrammar) -> None:
        self.exact = grammar.check is None
        self._table = table
        self._matcher = matcher
        self._grammar = grammar
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

    def allows(self, token: int) -> bool:
        """Tell whether *token* may come next."""
        if token in self._table.ends:
            return self.can_end()
        if self._ended or token in self._banned.get(len(self._tokens), ()):
            return False
        if self._matcher.validate_tokens([token]) != 1:
            return False
        return self.exact or self._peek(token) is not None

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
        if not self.allows(token):
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
        self._peeked = (-1, None)

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
        self._peeked = (-1, None)

    def retreat(self) -> int:
        """Take back what led to a dead end, and return how many tokens that was.

        The last token taken back is banned in its place. The mistake may lie long before it
        shows, so dead ends that follow each other go back 1, 1, 2, 1, 1, 2, 4, ... tokens, the
        sequence of Luby, Sinclair and Zuckerman 1993 for searches of unknown length.

        Raises:
            ContractError: the search was given up.
        """
        self._retreats += 1
        fresh = len(self._tokens) > self._furthest
        self._stuck = 1 if fresh else self._stuck + 1
        self._furthest = max(self._furthest, len(self._tokens))
        reach, removed = _luby(self._stuck), 0
        while self._tokens and self._retreats <= _RETREATS:
            token = self._tokens[-1]
            self.rollback(1)
            removed += 1
            self._banned.setdefault(len(self._tokens), set()).add(token)
            if removed >= reach and any(self.mask()):
                return removed
        if removed and self._retreats <= _RETREATS:
            self._banned.clear()  # long leaps ban more than was proved wrong
            return removed
        raise ContractError(
            "No answer was found that keeps its contract.",
            f"{self._retreats} dead ends were met while searching for one.",
            "Ask again with another seed, or simplify the schema.",
        )

    def copy(self) -> Self:
        """Return an independent constraint in the same state."""
        twin = self.__class__(self._table, self._matcher.deep_copy(), self._grammar)
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
