"""The tokenizer round-trips text and renders chats as the template does."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from expert.train.corpus import encode_conversation, encode_document
from expert.train.examples import Example, Turn
from expert.train.tokenizer import EMPTY_THOUGHT, save_tokenizer, train_tokenizer, turn_prompt

TEXTS = [
    "SELECT name FROM users WHERE age > 30",
    "find . -name '*.py'",
    "It's 12:30.\n\n  indented",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Return a small tokenizer."""
    return train_tokenizer(iter(TEXTS * 20), 400)


@pytest.mark.parametrize("text", [*TEXTS, "naïve café", "日本語 🚀\t\r\n\r\n x", " leading", ""])
def test_text_survives(tokenizer: Tokenizer, text: str) -> None:
    """Any text comes back byte for byte, whatever the tokenizer was trained on."""
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    """As in Qwen2 a number is its digits, which is how a small model can copy it."""
    assert len(tokenizer.encode("2024").ids) == 4


def test_special_tokens_are_single(tokenizer: Tokenizer) -> None:
    """Each marker is one token, and think markers are kept when special tokens are dropped."""
    ids = tokenizer.encode("<|im_start|><think></think><|im_end|><|endoftext|>").ids
    assert len(ids) == 5
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think></think>"


def test_training_renders_what_the_template_renders(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The tokens of a trained conversation are those transformers makes of the same messages."""
    save_tokenizer(tokenizer, tmp_path, 2048)
    peer = AutoTokenizer.from_pretrained(str(tmp_path))
    example = Example("sql", "g", (Turn("List ages", "SELECT age"),), system="Be short.")
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "List ages"},
    ]
    asked = peer.apply_chat_template(
        messages, add_generation_prompt=True, enable_thinking=False, tokenize=False
    )
    assert asked == turn_prompt("List ages", "Be short.") + EMPTY_THOUGHT
    tokens, mask = encode_conversation(tokenizer, example)
    answered = peer(asked + "SELECT age<|im_end|>\n")["input_ids"]
    assert tokens == answered
    learnt = [token for token, wanted in zip(tokens, mask, strict=True) if wanted]
    assert tokenizer.decode(learnt, skip_special_tokens=False).endswith("SELECT age<|im_end|>")


def test_history_is_shown_without_thoughts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Past answers lose their think block; thinking on leaves the answer open."""
    save_tokenizer(tokenizer, tmp_path, 2048)
    peer = AutoTokenizer.from_pretrained(str(tmp_path))
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\n\n</think>\n\nb"},
        {"role": "user", "content": "c"},
    ]
    text = peer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"
    )


def test_only_answers_are_learnt(tokenizer: Tokenizer) -> None:
    """Every turn's answer with its end marker carries a loss, no prompt does."""
    turns = (Turn("first question", "one"), Turn("second question", "two"))
    tokens, mask = encode_conversation(tokenizer, Example("sql", "g", turns))
    learnt = tokenizer.decode(
        [token for token, wanted in zip(tokens, mask, strict=True) if wanted],
        skip_special_tokens=False,
    )
    assert learnt.replace(EMPTY_THOUGHT, "") == "one<|im_end|>two<|im_end|>"


def test_documents_are_cut_and_ended(tokenizer: Tokenizer) -> None:
    """Pieces join to the document and its end marker."""
    text = "age " * 100
    pieces = list(encode_document(tokenizer, text, 50))
    assert max(map(len, pieces)) == 50
    joined = tokenizer.decode([t for piece in pieces for t in piece], skip_special_tokens=False)
    assert (text + "<|endoftext|>").startswith(joined[:-20])
