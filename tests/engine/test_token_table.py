"""The bytes of tokens read from a file, beside llama.cpp's own, and the tables made of them."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from expert.engine.header import read_header
from expert.engine.model import Model
from expert.engine.token_table import LateTable, build_table, read_pieces
from expert.engine.vocabulary import Vocabulary
from expert.errors import NotFoundError
from expert.grammar.compile import compile_gbnf
from expert.paths import user_paths


def names(model: Model) -> list[bytes]:
    """Return what llama.cpp says of every token."""
    return [model.vocabulary.name(token) for token in range(model.vocabulary.size)]


def test_every_token_has_the_bytes_llama_cpp_gives_it(tiny: Model, tiny_path: Path) -> None:
    """The file alone tells, without the model; a second time it comes from the cache folder."""
    header = read_header(tiny_path)
    assert read_pieces(header) == names(tiny)
    kept = list(user_paths().headers.glob("tokens-*"))
    assert len(kept) == 1
    assert read_pieces(header) == names(tiny)
    kept[0].write_bytes(b"nonsense")
    assert read_pieces(header) == names(tiny)


def test_the_embedded_base_has_the_bytes_llama_cpp_gives_it(pocket: Path) -> None:
    """The same for the base that ships."""
    with Model(pocket) as model:
        assert read_pieces(model.header) == names(model)


@pytest.mark.slow
def test_a_large_vocabulary_has_the_bytes_llama_cpp_gives_it(llama_cpp_source: Path) -> None:
    """The same for Qwen2's 151,936 tokens, whose file has no model to load."""
    from expert.engine.library import load
    from expert_converters.gguf_file import inspect

    path = llama_cpp_source / "models" / "ggml-vocab-qwen2.gguf"
    lib = load()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    vocabulary = Vocabulary(lib, model)
    expected = [vocabulary.name(token) for token in range(vocabulary.size)]
    assert read_pieces(inspect(path)) == expected
    lib.llama_model_free(model)


def test_the_table_is_built_before_the_model_is_there(tiny: Model) -> None:
    """Nothing is asked of the tokenizer until then; afterwards grammars compile and end."""
    loaded: list[Model] = []
    table = build_table(tiny.header, lambda: loaded[0].vocabulary if loaded else None)
    loaded.append(tiny)
    assert table.ends[0] == tiny.vocabulary.eos
    assert all(tiny.vocabulary.ends(token) for token in table.ends)
    assert table.encode("Hello") == tiny.vocabulary.encode("Hello")
    constraint = compile_gbnf('root ::= "yes" | "no"').start(table)
    for token in tiny.vocabulary.encode("yes"):
        assert constraint.allows(token)
        constraint.accept(token)
    assert constraint.can_end()


def test_a_late_table_comes_with_its_model(tiny: Model, tiny_path: Path) -> None:
    """It is built in the background; whoever asks waits for the model and gets it, or its error."""
    loading = threading.Event()

    def load() -> Vocabulary:
        loading.wait()
        return tiny.vocabulary

    late = LateTable(tiny_path, load)
    late.wait()  # it is built before the model is there
    loading.set()
    assert late.get() is late.get()
    assert late.get().encode("Hello") == tiny.vocabulary.encode("Hello")
    with pytest.raises(NotFoundError):
        LateTable(tiny_path / "none.gguf", load).get()


def test_another_tokenizer_is_read_from_the_loaded_model(tiny: Model) -> None:
    """Where the file alone does not tell the bytes, llama.cpp is asked."""
    metadata = {**tiny.header.metadata, "tokenizer.ggml.model": "llama"}
    header = replace(tiny.header, metadata=metadata)
    assert read_pieces(header, tiny.vocabulary) == names(tiny)
