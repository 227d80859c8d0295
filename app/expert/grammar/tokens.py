"""The tables of one vocabulary that the mask engine needs, built once and shared."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from expert.errors import UsageError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits

_STACK = 64 << 20  # bytes, of which only those used are ever taken
_stack_lock = threading.Lock()
_LONGEST_PREFIX = 32
_TEXT = r"[^\"'\\\x00-\x1F\x7F]"
_QUOTED = r"[^\"\\\x00-\x1F\x7F]"
_SLICES = (_TEXT + "{1,10}", _TEXT + "{1,30}", _QUOTED + "{1,30}", _QUOTED + "+")
"""Parts of the vocabulary that fit as a whole inside texts in either quotes, for the engine."""
_PROTOTYPES = 32  # compiled grammars kept for the next question that asks for the same


class TokenTable:
    """A vocabulary as the mask engine sees it: a trie of all tokens, and its own text encoder.

    *tokens* are the bytes of every token, control tokens by their name; *control* the tokens
    that no text may spell; *ends* every token that ends an answer (Qwen has two); *encode* the
    model's own tokenizer, used to spell forced text the way the model would.

    Building it takes about 0.5 s for 151,936 tokens, which is best spent while the model loads.
    A file would not help: the time goes into the trie, which the engine cannot store.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        control: Collection[int],
        ends: Sequence[int],
        encode: Callable[[str], Sequence[int]],
    ) -> None:
        from llguidance import LLTokenizer, TokenizerWrapper  # 8 MB of Rust, loaded when needed

        if not ends:
            raise UsageError(
                "This vocabulary has no token that ends an answer.",
                "A constrained answer could never end.",
                "Use a model whose vocabulary names an end-of-text token.",
            )
        self.size = len(tokens)
        self.ends = tuple(ends)
        self._control = {tokens[token]: token for token in sorted(control)}
        self._pieces = list(tokens)
        for token in control:
            self._pieces[token] = b""
        self._encode = encode
        source = _Source(tokens, sorted(control), self.ends[0], self.encode)
        self._tokenizer = LLTokenizer(
            TokenizerWrapper(source), eos_token=list(self.ends), slices=list(_SLICES)
        )
        self._by_piece: dict[bytes, int] = {}
        self._prototypes: OrderedDict[str, LLMatcher] = OrderedDict()

    def encode(self, text: str | bytes) -> list[int]:
        """Return the tokens of *text* as the model's tokenizer makes them."""
        return list(self._encode(text if isinstance(text, str) else text.decode()))

    def piece(self, token: int) -> bytes:
        """Return the bytes of one token; control tokens have none."""
        return self._pieces[token]

    def decode(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of *tokens*, which need not be valid UTF-8."""
        return b"".join(self._pieces[token] for token in tokens)

    def prefixes(self, text: bytes) -> list[int]:
        """Return the tokens that *text* begins with, the longest first."""
        if not self._by_piece:
            self._by_piece = {piece: token for token, piece in enumerate(self._pieces) if piece}
        ends = range(min(len(text), _LONGEST_PREFIX), 0, -1)
        return [self._by_piece[text[:end]] for end in ends if text[:end] in self._by_piece]

    def bits(self, tokens: Collection[int]) -> bytes:
        """Return the mask of *tokens*."""
        mask = bytearray((self.size + 31) // 32 * 4)
        for token in tokens:
            mask[token >> 3] |= 1 << (token & 7)
        return bytes(mask)

    def named(self, name: str) -> int | None:
        """Return the token that the grammar writes as *name*, such as `<think>`, if it is one."""
        token = self._control.get(name.encode())
        if token is not None:
            return token
        tokens = self.encode(name)
        return tokens[0] if len(tokens) == 1 else None

    def matcher(self, grammar: str) -> "LLMatcher":
        """Return a fresh matcher of *grammar*, in the engine's Lark dialect.

        Raises:
            UsageError: the engine refuses the grammar; *why* holds its words.
        """
        if reason := self.error(grammar):
            raise UsageError(
                "The mask engine refuses this grammar.",
                reason,
                "Make it smaller or less ambiguous.",
            )
        return self._prototypes[grammar].deep_copy()

    def error(self, grammar: str) -> str:
        """Compile *grammar*, and return why the engine refuses it, in its words, or nothing."""
        if grammar not in self._prototypes:
            self._prototypes[grammar] = self._compile(grammar)
            if len(self._prototypes) > _PROTOTYPES:
                self._prototypes.popitem(last=False)
        self._prototypes.move_to_end(grammar)
        return first_line(self._prototypes[grammar].get_error())

    def _compile(self, grammar: str) -> "LLMatcher":
        from llguidance import LLMatcher

        return _with_deep_stack(
            lambda: LLMatcher(self._tokenizer, grammar, log_level=0, limits=_limits())
        )


def first_line(error: str) -> str:
    """Return the part of the engine's error that is about the grammar."""
    return error.strip().partition("\n")[0]


class _Source:
    """What llguidance asks of a tokenizer."""

    def __init__(
        self,
        tokens: Sequence[bytes],
        control: Sequence[int],
        end: int,
        encode: Callable[[bytes], list[int]],
    ) -> None:
        self.tokens = tokens
        self.special_token_ids = control
        self.eos_token_id = end
        self.bos_token_id = None
        self._encode = encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text)


def _limits() -> "LLParserLimits":
    """Allow what a grammar cut into single characters needs; a mask then takes up to 0.1 s."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        max_items_in_row=5_000,
        step_max_items=200_000,
        step_lexer_fuel=1_000_000,
        initial_lexer_fuel=5_000_000,
        verbose_errors=False,
    )


def _with_deep_stack(work: Callable[[], "LLMatcher"]) -> "LLMatcher":
    """Run *work* where it can recurse: the engine's compiler dies when a thread's stack ends."""
    results: list[LLMatcher] = []
    with _stack_lock:
        before = threading.stack_size(_STACK)
        try:
            thread = threading.Thread(target=lambda: results.append(work()))
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    return results[0]
