"""The mask engine's tables of a model's vocabulary, made while the model itself still loads.

What can be kept on disk is kept: the bytes of every token, under a hash of the vocabulary. The
trie on top cannot be stored, and is built again in half a second for 151,936 tokens.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from expert.engine.header import read_header, recall, remember
from expert.engine.vocabulary import Vocabulary
from expert.grammar.tokens import TokenTable
from expert_converters.gguf_file import GGUFFile

_FORMAT = b"pieces 1"  # raise when what is kept changes
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # llama_token_type
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
_END_NAMES = frozenset(
    (b"<|im_end|>", b"<|endoftext|>", b"<|end|>", b"<|eot_id|>", b"<|eom_id|>", b"</s>")
)


def build_table(header: GGUFFile, loaded: Callable[[], Vocabulary | None]) -> TokenTable:
    """Build the table of a model file's vocabulary.

    *loaded* returns the vocabulary once its model is loaded, and nothing before; only for other
    tokenizers than Qwen's byte-level one must it be there already.

    Raises:
        UsageError: the vocabulary has no token that ends an answer.
    """
    pieces = read_pieces(header, loaded())
    types = header.array("tokenizer.ggml.token_type")
    control = [token for token, kind in enumerate(types) if kind == _CONTROL]

    def encode(text: str) -> Sequence[int]:
        vocabulary = loaded()
        # Before the model is there, the mask engine only tries whether it may call this at all.
        return vocabulary.encode(text) if vocabulary else []

    return TokenTable(pieces, control=control, ends=_ends(header, pieces, control), encode=encode)


def is_readable(header: GGUFFile) -> bool:
    """Tell whether the file alone says which bytes a token stands for."""
    return header.metadata.get("tokenizer.ggml.model") == "gpt2"


def read_pieces(header: GGUFFile, vocabulary: Vocabulary | None = None) -> list[bytes]:
    """Return the bytes of every token, special tokens by their name."""
    if not is_readable(header):
        assert vocabulary, "this tokenizer's tokens are known only to llama.cpp"
        return [vocabulary.name(token) for token in range(vocabulary.size)]
    key = _key(header)
    known = recall(key, list[bytes])
    if known is None:
        known = _decode(header)
        remember(key, known)
    return known


def _key(header: GGUFFile) -> str:
    digest = hashlib.sha256(_FORMAT)
    for name in ("tokens", "token_type"):
        digest.update(header.array_data(f"tokenizer.ggml.{name}"))
    return f"tokens-{digest.hexdigest()[:32]}"


def _decode(header: GGUFFile) -> list[bytes]:
    """Turn tokens spelled in GPT-2's printable alphabet back into bytes, as llama.cpp does."""
    letters = _alphabet()
    texts = header.array_bytes("tokenizer.ggml.tokens")
    types = header.array("tokenizer.ggml.token_type")
    pieces = []
    for text, kind in zip(texts, types, strict=True):
        if kind == _NORMAL:
            pieces.append(
                text.decode("utf-8", "replace").translate(letters).encode("latin-1", "replace")
            )
        else:
            pieces.append(text if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED) else b"")
    return pieces


def _alphabet() -> dict[int, str]:
    """Return the byte behind each printable character of GPT-2's vocabulary, as Latin-1.

    Source: `bytes_to_unicode` of openai/gpt-2's encoder.py.
    """
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    return letters | {256 + index: chr(byte) for index, byte in enumerate(others)}


def _ends(header: GGUFFile, pieces: Sequence[bytes], control: Sequence[int]) -> list[int]:
    named = [header.metadata.get(f"tokenizer.ggml.{key}") for key in _END_KEYS]
    found = [token for token in named if isinstance(token, int)]
    found += [token for token in control if pieces[token] in _END_NAMES]
    return list(dict.fromkeys(token for token in found if 0 <= token < len(pieces)))


class LateTable:
    """The table of a model file's vocabulary, built in a thread of its own from the start."""

    def __init__(self, path: Path, load: Callable[[], Vocabulary]) -> None:
        """*load* waits for the model and returns its vocabulary."""
        self._path = path
        self._load = load
        self._vocabulary: Vocabulary | None = None
        self._table: TokenTable | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._build, name="expert-table", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        try:
            import numpy  # noqa: F401  imported here, where there is time for it

            header = read_header(self._path)
            if not is_readable(header):
                self._vocabulary = self._load()
            self._table = build_table(header, lambda: self._vocabulary)
        except BaseException as error:  # handed to whoever asks
            self._failure = error

    def get(self) -> TokenTable:
        """Return the table; waits for it and for the model.

        Raises:
            ExpertError: whatever kept them from being made.
        """
        self._vocabulary = self._load()
        self.wait()
        if self._failure:
            raise self._failure
        assert self._table
        return self._table

    def wait(self) -> None:
        """Wait until nothing is being built any more."""
        self._thread.join()
