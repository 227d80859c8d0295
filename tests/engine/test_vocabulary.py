"""Tokens, beside the tokenizer of the same checkpoint in transformers."""

from pathlib import Path

import pytest

from expert.engine.model import Model
from expert.errors import UsageError
from support.peers import reference_tokenizer

TEXTS = [
    "Hello, world!",
    "  leading and trailing  ",
    "naïve café — “quoted”",
    "日本語 🙂 👩‍👩‍👧",
    "tabs\tand\r\nlines\n\n\n  x",
    "1234567890 3.14 0x1F",
    "it's we'll I'M",
    "\x00\x01 control",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_equal_transformers(tiny: Model, tiny_checkpoint: Path, text: str) -> None:
    """The GGUF's tokenizer gives the checkpoint's tokens, and its text back."""
    tokens = tiny.vocabulary.encode(text)
    expected = reference_tokenizer(tiny_checkpoint).encode(text, add_special_tokens=False)
    assert tokens == expected
    assert tiny.vocabulary.decode(tokens) == text.encode()


def test_control_tokens_come_from_text_only_on_request(tiny: Model) -> None:
    """The name of a control token is text, unless it is asked for."""
    encode = tiny.vocabulary.encode
    assert len(encode("<|im_end|>", special=True)) == 1
    assert len(encode("<|im_end|>")) > 1
    (token,) = encode("<|im_end|>", special=True)
    assert tiny.vocabulary.ends(token)
    assert tiny.vocabulary.piece(token) == b""
    assert tiny.vocabulary.name(token) == b"<|im_end|>"


def test_control_names_are_those_of_the_file(tiny: Model) -> None:
    """The list that templates hide is complete."""
    types = tiny.metadata("tokenizer.ggml.token_type")
    names = tiny.vocabulary.control_names(types)
    assert {"<|endoftext|>", "<|im_start|>", "<|im_end|>"} <= set(names)
    assert len(names) == types.count(3)


def test_impossible_input_is_a_typed_error(tiny: Model) -> None:
    """Half a character, and tokens that do not exist."""
    with pytest.raises(UsageError, match="Unicode"):
        tiny.vocabulary.encode("\ud800")
    for token in (-1, tiny.vocabulary.size):
        with pytest.raises(UsageError, match="no token"):
            tiny.vocabulary.piece(token)
