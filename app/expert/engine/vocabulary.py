"""Text to tokens and back, as the model's own tokenizer does it."""

import contextlib
import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

from expert.errors import UsageError

_CONTROL = 3  # llama_token_type


class Vocabulary:
    """The tokenizer inside a loaded model; it lives as long as the model."""

    def __init__(self, lib: Any, model: Any) -> None:
        self._lib = lib
        self._vocab = lib.llama_model_get_vocab(model)
        self.size: int = lib.llama_vocab_n_tokens(self._vocab)
        self.bos: int = lib.llama_vocab_bos(self._vocab)
        self.eos: int = lib.llama_vocab_eos(self._vocab)
        self._buffer = ctypes.create_string_buffer(256)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def encode(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        """Return the tokens of *text*.

        With *special*, the names of control tokens in the text become those tokens; without,
        they stay plain text, which is what text from a user must do. With *bos*, the model's
        beginning-of-sequence token comes first where its tokenizer asks for one. Bytes that are
        no characters, which an earlier answer may hold, are read as U+FFFD.

        Raises:
            UsageError: the text is not valid Unicode.
        """
        try:
            raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                "The text holds half a Unicode character.",
                str(error),
                "Remove the character, or send the text as valid UTF-8.",
            ) from error
        room = len(raw) + 2  # no tokenizer makes more tokens than bytes, BOS and EOS aside
        tokens = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, raw, len(raw), tokens, room, bos, special)
        if count < 0:
            tokens = (ctypes.c_int32 * -count)()
            count = self._lib.llama_tokenize(
                self._vocab, raw, len(raw), tokens, -count, bos, special
            )
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        """Return the bytes of one token; control tokens have none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token, special=False)
        return known

    def name(self, token: int) -> bytes:
        """Return the bytes of one token, control tokens by their name."""
        return self._read_piece(token, special=True)

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        if not 0 <= token < self.size:
            raise UsageError(
                f"There is no token {token}.",
                f"This model's vocabulary has {self.size} tokens.",
                "Use tokens made by the same model's tokenizer.",
            )
        buffer = self._buffer
        size = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = self._lib.llama_token_to_piece(
                self._vocab, token, buffer, len(buffer), 0, special
            )
        return ctypes.string_at(buffer, size)

    def decode(self, tokens: Iterable[int]) -> bytes:
        """Return the bytes of *tokens*, which need not be valid UTF-8."""
        return b"".join(self.piece(token) for token in tokens)

    def ends(self, token: int) -> bool:
        """Tell whether *token* ends a turn or a text."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(self._lib.llama_vocab_is_eog(self._vocab, token))
        return known

    def control_names(self, token_types: Sequence[int]) -> list[str]:
        """Return the spelling of every control token, longest first.

        *token_types* is the file's `tokenizer.ggml.token_type`: asking llama.cpp for each of
        150,000 tokens would take longer than reading that array.
        """
        names = []
        index = -1
        with contextlib.suppress(ValueError):  # `index` finds no further one
            while True:
                index = token_types.index(_CONTROL, index + 1)
                names.append(self._lib.llama_vocab_get_text(self._vocab, index))
        texts = [name.decode("utf-8", "replace") for name in names if name]
        return sorted(texts, key=len, reverse=True)
