"""Token tables of llama.cpp vocabularies, and decoding under a constraint without a model."""

import ctypes
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expert.engine import library
from expert.grammar.constraint import Constraint
from expert.grammar.tokens import TokenTable

_CONTROL = 8  # LLAMA_TOKEN_ATTR_CONTROL


def load_vocabulary(path: Path) -> Any:
    """Return the llama.cpp vocabulary of a GGUF; the model stays loaded until the end."""
    lib = library.load()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    assert model, f"llama.cpp does not load {path}"
    return lib.llama_model_get_vocab(model)


def table_of(vocab: Any) -> TokenTable:
    """Build the table of a loaded vocabulary."""
    lib = library.load()
    size = lib.llama_vocab_n_tokens(vocab)
    return TokenTable(
        [_name(lib, vocab, token) for token in range(size)],
        control=[t for t in range(size) if lib.llama_vocab_get_attr(vocab, t) & _CONTROL],
        ends=[t for t in range(size) if lib.llama_vocab_is_eog(vocab, t)][-2:],
        encode=lambda text: encode(vocab, text.encode()),
    )


def _name(lib: Any, vocab: Any, token: int) -> bytes:
    buffer = ctypes.create_string_buffer(512)
    length = lib.llama_token_to_piece(vocab, token, buffer, 512, 0, True)
    return buffer.raw[:length]


def encode(vocab: Any, raw: bytes) -> list[int]:
    """Tokenise as llama.cpp does, control tokens not recognised."""
    lib = library.load()
    room = len(raw) + 2
    tokens = (ctypes.c_int32 * room)()
    count = lib.llama_tokenize(vocab, raw, len(raw), tokens, room, False, False)
    return list(tokens[:count])


def allowed(constraint: Constraint, size: int) -> list[int]:
    """Return the tokens set in the mask."""
    mask = constraint.mask()
    return [token for token in range(size) if mask[token >> 3] >> (token & 7) & 1]


def accepts(constraint: Constraint, tokens: Sequence[int]) -> bool:
    """Tell whether *tokens* are a whole answer under *constraint*."""
    for token in tokens:
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return constraint.can_end()


def generate(constraint: Constraint, table: TokenTable, seed: int, limit: int = 400) -> str | None:
    """Draw uniformly among the allowed tokens until the end; None at *limit* tokens."""
    draw = random.Random(seed)
    tokens: list[int] = []
    while not constraint.finished():
        forced = constraint.forced()
        if not forced:
            choices = allowed(constraint, table.size)
            draw.shuffle(choices)
            forced = next(([t] for t in choices if constraint.allows(t)), [])
        if not forced:
            del tokens[len(tokens) - constraint.retreat() :]
            continue
        for token in forced:
            constraint.accept(token)
        tokens += forced
        if tokens[-1] in table.ends:
            break
        if len(tokens) >= limit:
            return None
    text = table.decode(tokens).decode()
    constraint.check(text)
    return text
