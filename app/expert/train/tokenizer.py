"""The tokenizer of the pocket model: byte-level BPE with Qwen2's pre-tokeniser, and its chat
template.

llama.cpp knows this pre-tokeniser as `qwen2`, so both give the same tokens. The template follows
Qwen3: an empty think block opens the answer when thinking is off, and past answers are shown
without theirs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK, THOUGHT = "<think>", "</think>"
EMPTY_THOUGHT = f"{THINK}\n\n{THOUGHT}\n\n"
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def byte_level(model: models.BPE) -> Tokenizer:
    """Return a tokenizer that splits text as Qwen2 does and hands its bytes to *model*."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def complete(tokenizer: Tokenizer) -> Tokenizer:
    """Mark the special tokens, and append the two of thinking that text may contain."""
    tokenizer.add_special_tokens([END, START, STOP])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in (THINK, THOUGHT)])
    return tokenizer


def train_tokenizer(texts: Iterator[str], size: int) -> Tokenizer:
    """Learn a vocabulary of `size` entries, special and added tokens included."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2,
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=24,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return complete(tokenizer)


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """Return the number of a special token, which every tokenizer made here has."""
    number = tokenizer.token_to_id(token)
    assert number is not None
    return number


def turn_prompt(prompt: str, system: str = "") -> str:
    """Return a request as the template writes it, up to where the answer begins."""
    opened = f"{START}system\n{system}{STOP}\n" if system else ""
    return f"{opened}{START}user\n{prompt}{STOP}\n{START}assistant\n"


def save_tokenizer(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` as transformers reads them."""
    added = {}
    for name in (END, START, STOP, THINK, THOUGHT):
        added[str(token_id(tokenizer, name))] = {
            "content": name,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": name not in (THINK, THOUGHT),
        }
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "add_bos_token": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [START, STOP],
        "bos_token": None,
        "eos_token": STOP,
        "pad_token": END,
        "unk_token": None,
        "errors": "replace",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": False,
        "model_max_length": longest,
        "chat_template": CHAT_TEMPLATE,
    }
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "tokenizer.json.part"
    tokenizer.save(str(partial))
    os.replace(partial, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
