"""Choosing the tokens of an answer that is held to a constraint.

A token is drawn first and judged alone, which costs microseconds; only where it is refused is a
mask of the whole vocabulary computed. Tokens that must come next are not drawn at all.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expert.engine.candidates import Candidates, read_mask
from expert.engine.context import Context
from expert.engine.logprobs import view_logits
from expert.engine.sampler import Sampler
from expert.engine.vocabulary import Vocabulary
from expert.errors import ContractError
from expert.grammar.constraint import Constraint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REFUSALS = 512  # draws that a constraint may refuse at one place before it counts as a dead end


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The tokens around the part of an answer that is free."""

    open: int
    close: int
    after: tuple[int, ...] = ()
    """What a model writes between the reasoning and its answer."""
    inside: bool = False
    """The prompt itself opened it."""


def reasoning_of(vocabulary: Vocabulary, inside: bool) -> Reasoning | None:
    """Return the tokens a model reasons between; None: it has none of its own for that."""
    tags = [vocabulary.encode(tag, special=True) for tag in ("<think>", "</think>")]
    if [len(tag) for tag in tags] != [1, 1]:
        return None
    (opening,), (closing,) = tags
    return Reasoning(opening, closing, tuple(vocabulary.encode("\n\n")), inside)


@dataclass(frozen=True, slots=True)
class Contract:
    """What an answer must keep."""

    start: Callable[[int], Constraint]
    """Returns the constraint of a new answer of at most so many tokens."""
    reasoning: Reasoning | None = None
    """None: the answer begins at once. Free reasoning takes at most half of the tokens."""


class ConstrainedSampler:
    """Draws tokens that a constraint allows, from the candidates of an ordinary sampler.

    Let S be the tokens that the repetition penalty, top-k, top-p and min-p leave of all. If the
    constraint allows some of S, its token comes from the softmax of their logits over the
    temperature: S is masked, then drawn from. If it allows none of S, the mask comes first and
    the same samplers filter and draw from what is allowed. So without truncation, and when
    greedy, it is exactly masking before the sampler. A first draw that is refused and then drawn
    again changes nothing: p(t) + (1 - P) p(t)/P = p(t)/P, where P is the probability of all
    allowed tokens.
    """

    def __init__(self, sampler: Sampler, candidates: Candidates, size: int, seed: int) -> None:
        self._sampler = sampler
        self._candidates = candidates
        self._size = size
        self._random = random.Random(seed)

    def sample(self, context: Context, row: int, constraint: Constraint) -> int | None:
        """Draw a token from the logits of *row*; None: the constraint is at a dead end.

        Raises:
            ContractError: the constraint cannot go on.
        """
        return self.choose(view_logits(context, row), constraint)

    def choose(self, logits: "NDArray[np.float32]", constraint: Constraint) -> int | None:
        """Draw a token from *logits*, of shape (vocabulary,), as `sample` does."""
        token = self.draw(logits)
        if constraint.allows(token):
            return token
        allowed = read_mask(constraint.mask(), self._size)
        for _ in range(REFUSALS):
            allowed[token] = False
            among_kept = None if self._sampler.greedy else self._draw_kept(allowed)
            if among_kept is None and not allowed.any():
                return None
            token = self.draw(logits, allowed) if among_kept is None else among_kept
            if constraint.allows(token):
                return token
        return None

    def draw(
        self, logits: "NDArray[np.float32]", allowed: "NDArray[np.bool_] | None" = None
    ) -> int:
        """Draw a token as the ordinary sampler does, from all or from those *allowed*."""
        self._candidates.fill(logits, allowed)
        return self._sampler.draw(self._candidates)

    def _draw_kept(self, allowed: "NDArray[np.bool_]") -> int | None:
        """Draw among the candidates that the last draw left; None: none of them is allowed."""
        import numpy as np

        ids, logits = self._candidates.kept
        chosen = allowed[ids]
        ids, logits = ids[chosen], logits[chosen].astype(np.float64)
        if not len(ids):
            return None
        sums = np.exp(logits - logits.max()).cumsum()
        place = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(ids[min(place, len(ids) - 1)])


class Guide:
    """Chooses the next tokens of one answer under its contract, its reasoning left free."""

    def __init__(
        self, contract: Contract, sampler: Sampler, vocabulary: Vocabulary, limit: int, seed: int
    ) -> None:
        candidates = Candidates(sampler.lib, vocabulary.size)
        self._sampler = ConstrainedSampler(sampler, candidates, vocabulary.size, seed)
        self._contract = contract
        self._vocabulary = vocabulary
        self._limit = limit
        self._reasoning = bool(contract.reasoning and contract.reasoning.inside)
        self.constraint: Constraint | None = None
        """None until the answer itself begins."""

    @property
    def final(self) -> bool:
        """Whether what is chosen is never taken back."""
        return self.constraint is None or self.constraint.exact

    def next(self, context: Context, row: int, left: int, *, one: bool = False) -> list[int]:
        """Return the tokens that follow, at least one, of at most *left* that may still come.

        They are drawn from the logits of *row* or forced; with *one*, none is forced. An empty
        list means a dead end: `retreat`.

        Raises:
            ContractError: the constraint cannot go on.
        """
        tokens: list[int] = []
        if self.constraint is None:
            tokens = self._reason(context, row, left)
            if self._reasoning:
                return tokens
            self.constraint = self._contract.start(left - len(tokens))
            if not one:
                tokens += self._forced(left - len(tokens))
            if tokens:
                return tokens
        token = self._sampler.sample(context, row, self.constraint)
        if token is None:
            return []
        self.constraint.accept(token)
        return [token] if one else [token, *self._forced(left - 1)]

    def retreat(self) -> int:
        """Take back what led to a dead end, and return how many tokens that was.

        Raises:
            ContractError: the search was given up, or nothing may be taken back.
        """
        assert self.constraint
        if self.constraint.exact:
            raise ContractError(
                "The grammar leads to a place where no token of the model fits.",
                "What was written there can neither go on nor end.",
                "Change the grammar there, or use another model.",
            )
        return self.constraint.retreat()

    @property
    def finished(self) -> bool:
        """Whether nothing but the end may follow."""
        return self.constraint is not None and self.constraint.finished()

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        return self.constraint is not None and (
            self.constraint.finished() or self.constraint.can_end()
        )

    def _reason(self, context: Context, row: int, left: int) -> list[int]:
        """Return a token of the reasoning, or those that end it; none if there is no reasoning."""
        terms = self._contract.reasoning
        if terms is None:
            return []
        token = self._sampler.draw(view_logits(context, row))
        if not self._reasoning:
            self._reasoning = token == terms.open and left == self._limit
            return [token] if self._reasoning else []
        over = token == terms.close or self._vocabulary.ends(token)
        if over or left <= self._limit // 2:
            self._reasoning = False
            return [terms.close, *terms.after][: max(left - 1, 1)]
        return [token]

    def _forced(self, left: int) -> list[int]:
        """Return at most *left* tokens that must come next, and go on with them."""
        assert self.constraint
        tokens: list[int] = []
        while len(tokens) < left and not self.constraint.finished():
            found = self.constraint.forced()[: left - len(tokens)]
            if not found:
                break
            for token in found:
                self.constraint.accept(token)
            tokens += found
        return tokens
