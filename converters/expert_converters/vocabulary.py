"""Turns `tokenizer.json` into llama.cpp's vocabulary: byte-level BPE and BERT's WordPiece.

llama.cpp implements each pre-tokeniser in C and knows it by name. Its own converter guesses the
name from a hash over one vocabulary; here it follows from the pre-tokeniser itself, so that any
vocabulary trained with Qwen2's pattern is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from .checkpoint import read_json
from .errors import CheckpointError
from .special_tokens import read_special_tokens

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS = {QWEN2_PATTERN: "qwen2"}
WORDPIECE_NAME = "jina-v2-en"
"""What llama.cpp's converter writes for BERT's own vocabulary; it is not used for WordPiece."""


@dataclass(frozen=True)
class Vocabulary:
    """The token texts and types (`gguf.TokenType`) of a model, and how it splits text."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str


def write_bpe(
    writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any], vocab_size: int
) -> None:
    """Add the keys of the byte-level BPE tokenizer in *folder* to *writer*.

    Raises:
        CheckpointError: it is of another kind, or does not fit *vocab_size*.
    """
    tokenizer = read_json(folder / "tokenizer.json")
    vocabulary = read_bpe(folder, tokenizer, vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    read_special_tokens(folder, tokenizer, config, vocab_size).write(writer)


def write_wordpiece(
    writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any], vocab_size: int
) -> None:
    """Add the keys of the WordPiece tokenizer in *folder* to *writer*.

    llama.cpp marks the start of a word instead of its continuation: `##x` becomes `x`, and `x`
    becomes `▁x`.

    Raises:
        CheckpointError: it is of another kind, or does not fit *vocab_size*.
    """
    tokenizer = read_json(folder / "tokenizer.json")
    model = tokenizer.get("model") or {}
    pre_tokenizer = tokenizer.get("pre_tokenizer") or {}
    if model.get("type") != "WordPiece" or pre_tokenizer.get("type") != "BertPreTokenizer":
        raise _unsupported(folder, "its tokenizer is not BERT's WordPiece")
    tokens, types = _token_lists(folder, tokenizer, vocab_size)
    marked = [_phantom_space(*token) for token in zip(tokens, types, strict=True)]
    writer.add_token_type_count(config.get("type_vocab_size", 2))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre(WORDPIECE_NAME)
    writer.add_token_list(marked)
    writer.add_token_types(types)
    read_special_tokens(folder, tokenizer, config, vocab_size).write(writer)


def read_bpe(folder: Path, tokenizer: dict[str, Any], vocab_size: int) -> Vocabulary:
    """Read the byte-level BPE vocabulary of a parsed `tokenizer.json`, padded to *vocab_size*.

    Raises:
        CheckpointError: it is of another kind, or does not fit *vocab_size*.
    """
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE":
        raise _unsupported(folder, f"its tokenizer is {model.get('type')}, not BPE")
    for option in ("byte_fallback", "ignore_merges", "dropout", "unk_token"):
        if model.get(option):
            raise _unsupported(folder, f"its tokenizer sets {option}")
    normalizer = tokenizer.get("normalizer") or {"type": "NFC"}
    if normalizer.get("type") != "NFC":
        raise _unsupported(folder, f"its tokenizer normalises with {normalizer.get('type')}")
    pre = _pre_tokenizer_name(folder, tokenizer.get("pre_tokenizer") or {})
    tokens, types = _token_lists(folder, tokenizer, vocab_size)
    return Vocabulary(tokens, types, _merges(folder, model.get("merges")), pre)


def _pre_tokenizer_name(folder: Path, pre_tokenizer: dict[str, Any]) -> str:
    steps = pre_tokenizer.get("pretokenizers") or []
    if [step.get("type") for step in steps] == ["Split", "ByteLevel"]:
        split, byte_level = steps
        pattern = (split.get("pattern") or {}).get("Regex")
        plain = split.get("behavior") == "Isolated" and not split.get("invert")
        plain = plain and not byte_level.get("add_prefix_space") and not byte_level.get("use_regex")
        if plain and pattern in PRE_TOKENIZERS:
            return PRE_TOKENIZERS[pattern]
    known = ", ".join(PRE_TOKENIZERS.values())
    raise _unsupported(folder, f"its pre-tokeniser is not one of: {known}")


def _token_lists(
    folder: Path, tokenizer: dict[str, Any], vocab_size: int
) -> tuple[list[str], list[int]]:
    vocab: dict[str, int] = tokenizer["model"].get("vocab") or {}
    added: list[dict[str, Any]] = tokenizer.get("added_tokens") or []
    tokens = [f"[PAD{token}]" for token in range(vocab_size)]
    types = [int(gguf.TokenType.UNUSED)] * vocab_size
    numbers = [*vocab.values(), *(entry["id"] for entry in added)]
    if any(type(token) is not int or token < 0 for token in numbers):
        raise _unsupported(folder, "a token of its vocabulary has no natural number")
    if len(set(vocab.values())) != len(vocab):
        raise _unsupported(folder, "two texts of its vocabulary are the same token")
    highest = max(numbers, default=-1)
    if highest >= vocab_size:
        raise _unsupported(folder, f"token {highest} is outside vocab_size {vocab_size}")
    for text, token in vocab.items():
        tokens[token], types[token] = text, int(gguf.TokenType.NORMAL)
    named = _named_special(folder)
    for entry in added:
        text, token = entry["content"], entry["id"]
        if entry.get("special") or text in named or _looks_special(text):
            types[token] = int(gguf.TokenType.CONTROL)
        else:
            text = text.replace("\u2581", " ")
            types[token] = int(gguf.TokenType.USER_DEFINED)
        tokens[token] = text
    return tokens, types


def _named_special(folder: Path) -> set[str]:
    """Return the texts that `tokenizer_config.json` names as special, which transformers obeys."""
    settings = read_json(folder / "tokenizer_config.json", {})
    entries = [value for key, value in settings.items() if key.endswith("_token")]
    entries += settings.get("additional_special_tokens") or []
    texts = {entry.get("content") if isinstance(entry, dict) else entry for entry in entries}
    return {text for text in texts if isinstance(text, str)}


def _looks_special(text: str) -> bool:
    return (
        text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<｜") and text.endswith("｜>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def _merges(folder: Path, merges: Any) -> list[str]:
    if not isinstance(merges, list) or not merges:
        raise _unsupported(folder, "its tokenizer has no merges")
    if isinstance(merges[0], str):
        return merges
    if any(len(pair) != 2 for pair in merges):
        raise _unsupported(folder, "a merge of its tokenizer is not of two parts")
    return [" ".join(part.replace(" ", "Ġ") for part in pair) for pair in merges]


def _phantom_space(text: str, kind: int) -> str:
    if kind == gguf.TokenType.CONTROL:
        return text
    return text[2:] if text.startswith("##") else "\u2581" + text


def _unsupported(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{folder} cannot be converted", why, "Use a model with a supported tokenizer."
    )
