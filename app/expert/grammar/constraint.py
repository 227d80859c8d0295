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
from expert.grammar.ending import Guide, Landing, find_ending
from expert.grammar.lark import bind_tokens
from expert.grammar.tokens import TokenTable

if TYPE_CHECKING:
    from llguidance import LLMatcher

_RETREATS = 128  # dead ends after which an answer goes back to where it could end, or is given up


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
    guide: Callable[[], Guide | None] | None = None
    """Returns what knows the way to the end where the check does not, before any text."""
    verify: Callable[[str], None] | None = None
    """The final check of a whole answer; raises ContractError."""

    def start(self, table: TokenTable, limit: int | None = None) -> "GrammarConstraint":
        """Return the constraint of a new answer.

        With a *limit* of tokens, the last of them go into closing what is open.

        Raises:
            UsageError: the mask engine refuses the grammar, or the vocabulary lacks a token
                that it names.
        """
        engine = bind_tokens(self.engine, table.named)
        constraint = GrammarConstraint(table, table.matcher(engine), self)
        constraint.land(limit)
        return constraint


class GrammarConstraint:
    """A llguidance matcher, with the grammar's check beside it and the tokens that failed."""

    def __init__(
        self,
        table: TokenTable,
        matcher: "LLMatcher",
        grammar: CompiledGrammar,
    ) -> None:
        self.exact = grammar.check is None
        self._table = table
        self._matcher = matcher
        self._grammar = grammar
        self.tokens: list[int] = []
        self._checks: list[Check] = [grammar.check] if grammar.check else []
        self._banned: dict[int, set[int]] = {}
        """By position: tokens that led to a dead end there."""
        self._ended = False
        self._retreats = 0
        self._stuck = 0
        """Dead ends since the answer last grew beyond *furthest* tokens."""
        self._furthest = 0
        self._peeked: tuple[int, Check | None] = (-1, None)
        self._landing: Landing | None = None
        self._guided: tuple[int, Guide | None] = 0, None
        """The guide after so many tokens."""

    def land(self, limit: int | None) -> None:
        """See to it that the answer ends within *limit* tokens, if there is a limit."""
        self._landing = Landing(limit, self._table.ends[0], exact=self.exact)

    def allows(self, token: int) -> bool:
        """Tell whether *token* may come next."""
        closing = self._closing()
        return (closing is None or token in closing) and self._fits(token)

    def _fits(self, token: int) -> bool:
        if token in self._table.ends:
            return self.can_end()
        if self._ended or token in self._banned.get(len(self.tokens), ()):
            return False
        if self._matcher.validate_tokens([token]) != 1:
            return False
        return self.exact or self._peek(token) is not None

    def _closing(self) -> frozenset[int] | None:
        """Return what may follow when it is time to end, nothing at a dead end; else None.

        It is also time to when dead end follows dead end: then an ending shows a way out.
        """
        if self._landing is None or self._ended:
            return None
        token = self._landing.token(self.tokens, self._stuck, self.ending)
        if token is None:
            return frozenset() if self._landing.stranded else None
        self._banned.get(len(self.tokens), set()).discard(token)  # it was proved to lead on
        return frozenset(self._table.ends) if token in self._table.ends else frozenset((token,))

    def ending(self) -> list[int] | None:
        """Return tokens with which the answer could end from here, or None if none are found."""
        trial = self.copy()
        trial._landing = None
        trial._banned.clear()
        return find_ending(trial, self._table)

    def suggestions(self) -> Iterator[bytes]:
        """Yield texts that bring the answer nearer to its end, as far as they are known."""
        if self._checks:
            yield from self._checks[-1].suggestions()
        if self._grammar.guide and (guide := self._follow(self._grammar.guide)):
            yield from guide.suggestions()

    def _follow(self, opening: Callable[[], Guide | None]) -> Guide | None:
        """Return the guide of the text so far."""
        known, guide = self._guided
        if guide is None or known > len(self.tokens):
            known, guide = 0, opening()
        if guide is not None:
            guide = guide.push(self._table.decode(self.tokens[known:]))
        self._guided = len(self.tokens), guide
        return guide

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
        banned = self._banned.get(len(self.tokens), set())
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
        self.tokens.append(token)
        self._peeked = -1, None

    def forced(self) -> list[int]:
        """Return the tokens that must come next, empty where there is a choice."""
        if self._ended:
            return []
        tokens = self._matcher.compute_ff_tokens()
        self._require_engine()
        if tokens and tokens[0] in self._banned.get(len(self.tokens), ()):
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
        assert count <= len(self.tokens), "more tokens than there are"
        self._matcher.rollback(count - self._ended)
        self._ended = False
        del self.tokens[-count:]
        if not self.exact:
            del self._checks[len(self.tokens) + 1 :]
        depth = len(self.tokens)
        self._banned = {place: bans for place, bans in self._banned.items() if place <= depth}
        self._peeked = -1, None
        if depth < self._guided[0]:
            self._guided = 0, None
        if self._landing:
            self._landing.rollback(depth)

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
        fresh = len(self.tokens) > self._furthest
        self._stuck = 1 if fresh else self._stuck + 1
        self._furthest = max(self._furthest, len(self.tokens))
        if removed := self._return_to_ending():
            return removed
        target = self._target()
        while self.tokens and self._retreats <= _RETREATS:
            token = self.tokens[-1]
            self.rollback(1)
            removed += 1
            self._banned.setdefault(len(self.tokens), set()).add(token)
            if len(self.tokens) <= target and any(self.mask()):
                return removed
        if removed and self._retreats <= _RETREATS:
            self._banned.clear()  # long leaps ban more than was proved wrong
            return removed
        raise ContractError(
            "No answer was found that keeps its contract.",
            f"{self._retreats} dead ends were met while searching for one.",
            "Ask again with another seed, or simplify the schema.",
        )

    def _return_to_ending(self) -> int:
        """Go back to where an ending is known, if nothing else is left; return how many tokens."""
        landing = self._landing
        if landing is None or not (landing.stranded or self._retreats > _RETREATS):
            return 0
        place = landing.return_to()
        if place is None or place == len(self.tokens):
            return 0
        removed = len(self.tokens) - place
        self.rollback(removed)
        self._banned.pop(place, None)
        return removed

    def _target(self) -> int:
        """Return how many tokens to keep."""
        steps = _luby((self._stuck + 1) // 2)
        length = sum(len(self._table.piece(token)) for token in self.tokens)
        anchors = [] if self.exact else [a for a in self._checks[-1].anchors() if a < length]
        if self._stuck % 2 or not anchors:
            return len(self.tokens) - steps
        kept, anchor = len(self.tokens), anchors[-min(steps, len(anchors))]
        while length > anchor:
            kept -= 1
            length -= len(self._table.piece(self.tokens[kept]))
        return kept

    def copy(self) -> Self:
        """Return an independent constraint in the same state."""
        twin = self.__class__(self._table, self._matcher.deep_copy(), self._grammar)
        twin.tokens = self.tokens.copy()
        twin._checks = self._checks.copy()
        twin._banned = {place: bans.copy() for place, bans in self._banned.items()}
        twin._ended = self._ended
        twin._retreats = self._retreats
        twin._stuck, twin._furthest = self._stuck, self._furthest
        twin._guided = self._guided
        twin._landing = self._landing.copy() if self._landing else None
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
        return self._table.decode(self.tokens).decode("utf-8", "replace")

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
