"""Checks a model's tokenizer: llama.cpp aborts on duplicate tokens and tokens of a wrong kind."""

from __future__ import annotations

from dataclasses import dataclass

from .check_metadata import Rule, check_rule, refuse
from .gguf_file import ArrayValue, GGUFFile
from .gguf_types import ValueType

PREFIX = "tokenizer.ggml."
TOKENS, TYPES = PREFIX + "tokens", PREFIX + "token_type"
SCORES, MERGES = PREFIX + "scores", PREFIX + "merges"
SUPPRESSED = PREFIX + "suppress_tokens"
MAX_TOKEN_BYTES = 1 << 16
TOKEN_TYPES = range(1, 6)
"""Normal, unknown, control, user-defined, unused; llama.cpp aborts on byte tokens (6) here."""

IDS = (
    *("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "cls", "mask"),
    *("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep"),
    *("prefix", "suffix", "middle"),
)
FLAGS = (
    *("add_bos_token", "add_eos_token", "add_sep_token"),
    *("add_space_prefix", "remove_extra_whitespaces"),
    *("normalizer.lowercase", "normalizer.strip_accents"),
)
OTHER_KEYS = {
    PREFIX + "model": Rule(ValueType.STRING, required=True),
    PREFIX + "pre": Rule(ValueType.STRING),
    PREFIX + "token_type_count": Rule(ValueType.UINT32, 1, 1 << 16),
    "tokenizer.huggingface.json": Rule(ValueType.STRING),
    "tokenizer.chat_template": Rule(ValueType.STRING),
    "tokenizer.chat_templates": Rule(ValueType.ARRAY),
}
ARRAYS = {
    TOKENS: ValueType.STRING,
    TYPES: ValueType.INT32,
    SCORES: ValueType.FLOAT32,
    MERGES: ValueType.STRING,
    SUPPRESSED: ValueType.INT32,
}


@dataclass(frozen=True, slots=True)
class TokenizerKind:
    """The tokenizer an architecture uses, and the ids llama.cpp cannot do without."""

    model: str
    pre: tuple[str, ...]
    needs_merges: bool
    needed_ids: dict[str, int | None]
    """Kind to the id llama.cpp assumes when the key is absent; None where there is no good one."""


KINDS = {
    "qwen3": TokenizerKind("gpt2", ("qwen2", "deepseek-r1-qwen"), True, {"eos": None}),
    "bert": TokenizerKind("bert", (), False, {"bos": 101, "seperator": 102, "unknown": 100}),
}


def check_vocabulary(gguf: GGUFFile, architecture: str) -> int:
    """Check the tokenizer of a model and return the number of its tokens.

    Raises:
        ModelError: a key is missing or wrong, arrays disagree, or a token is invalid.
    """
    kind = KINDS[architecture]
    _check_keys(gguf)
    model, pre = gguf.metadata[PREFIX + "model"], gguf.metadata.get(PREFIX + "pre")
    if model != kind.model:
        refuse(gguf, f"its tokenizer is {model!r}, expected {kind.model!r}")
    if kind.pre and pre not in kind.pre:
        refuse(gguf, f"its pre-tokeniser is {pre!r}, expected one of: {', '.join(kind.pre)}")
    count = _check_arrays(gguf, kind)
    _check_ids(gguf, kind, count)
    _check_tokens(gguf)
    return count


def _check_keys(gguf: GGUFFile) -> None:
    rules = OTHER_KEYS | {PREFIX + flag: Rule(ValueType.BOOL) for flag in FLAGS}
    rules |= {f"{PREFIX}{name}_token_id": Rule(ValueType.UINT32) for name in IDS}
    for key, rule in rules.items():
        check_rule(gguf, key, rule)
    for key in gguf.metadata:
        if key.startswith("tokenizer.chat_template."):
            check_rule(gguf, key, Rule(ValueType.STRING))


def _check_arrays(gguf: GGUFFile, kind: TokenizerKind) -> int:
    counts = {}
    for key, wanted in ARRAYS.items():
        value = gguf.metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, ArrayValue) or value.type is not wanted:
            refuse(gguf, f"{key} is not an array of {wanted.name}")
        counts[key] = value.count
    needed = [TOKENS, TYPES, MERGES] if kind.needs_merges else [TOKENS, TYPES]
    for key in needed:
        if key not in counts:
            refuse(gguf, f"the key {key} is missing")
    count = counts[TOKENS]
    for key in (TYPES, SCORES):
        if counts.get(key, count) != count:
            refuse(gguf, f"{key} has {counts[key]} entries for {count} tokens")
    return count


def _check_ids(gguf: GGUFFile, kind: TokenizerKind, count: int) -> None:
    for name in IDS:
        key = f"{PREFIX}{name}_token_id"
        token = gguf.metadata.get(key, kind.needed_ids.get(name))
        if token is None and name in kind.needed_ids:
            refuse(gguf, f"the key {key} is missing")
        if isinstance(token, int) and token >= count:
            refuse(gguf, f"{key} is {token}, but there are {count} tokens")
    for name in ("bos", "eos"):
        added = gguf.metadata.get(f"{PREFIX}add_{name}_token")
        if added and f"{PREFIX}{name}_token_id" not in gguf.metadata:
            refuse(gguf, f"{name} is to be added to every text, but {name}_token_id is missing")
    if SUPPRESSED in gguf.metadata:
        for token in gguf.array(SUPPRESSED):
            if not 0 <= int(token) < count:
                refuse(gguf, f"{SUPPRESSED} holds {token}, but there are {count} tokens")


def _check_tokens(gguf: GGUFFile) -> None:
    tokens = gguf.array_bytes(TOKENS)
    if len(set(tokens)) != len(tokens):
        refuse(gguf, f"{TOKENS} holds the same text twice")
    if b"" in tokens or max(map(len, tokens), default=0) > MAX_TOKEN_BYTES:
        refuse(gguf, f"{TOKENS} holds an empty text or one over {MAX_TOKEN_BYTES} bytes")
    try:
        # NUL is no part of a multi-byte character, so one decoding validates every text.
        b"\0".join(tokens).decode("utf-8")
    except UnicodeDecodeError as error:
        refuse(gguf, f"{TOKENS} holds a text that is not UTF-8 ({error.reason})")
    unknown = set(gguf.array(TYPES)).difference(TOKEN_TYPES)
    if unknown:
        refuse(gguf, f"{TYPES} holds {min(unknown)}, expected 1 to 5")
