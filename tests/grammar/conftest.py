"""The vocabularies constraints are tested on: the tiny model's, and Qwen2's 151,936 tokens."""

import os
from pathlib import Path
from typing import Any

import pytest

from expert.grammar.tokens import TokenTable
from grammar.vocabularies import load_vocabulary, table_of


@pytest.fixture(scope="session")
def vocab(tiny_path: Path) -> Any:
    """Return the tiny model's vocabulary in llama.cpp: 448 tokens, among them every byte."""
    return load_vocabulary(tiny_path)


@pytest.fixture(scope="session")
def table(vocab: Any) -> TokenTable:
    """Return the table of the tiny vocabulary."""
    return table_of(vocab)


@pytest.fixture(scope="session")
def qwen_vocab(llama_cpp_source: Path) -> Any:
    """Return the Qwen2 vocabulary that comes with llama.cpp's sources."""
    return load_vocabulary(llama_cpp_source / "models" / "ggml-vocab-qwen2.gguf")


@pytest.fixture(scope="session")
def qwen(qwen_vocab: Any) -> TokenTable:
    """Return the table of the Qwen2 vocabulary."""
    return table_of(qwen_vocab)


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of public data sets."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("EXPERT_DATA", beside))
    if not folder.is_dir():
        pytest.skip("needs the public data sets: set EXPERT_DATA to their folder")
    return folder
