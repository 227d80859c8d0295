"""Damaged files: a typed error, or nothing that can kill llama.cpp's process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from expert_converters.check import check_adapter, check_model
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect
from expert_converters.lora import LoraJob, convert_lora
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter, qwen3_checkpoint
from support.hostile import mutants
from support.hostile_models import hostile_models
from support.real_vocabularies import minilm_checkpoint

# Loads each model, or attaches each adapter, and uses it; a NULL from llama.cpp is no failure.
_WORKER = """
import ctypes, importlib, sys
lib = importlib.import_module("llama_cpp.llama_cpp")
silent = lib.llama_log_callback(lambda *_: None)
lib.llama_log_set(silent, None)
lib.llama_backend_init()
base, files = sys.argv[1], sys.argv[2:]

def load(path):
    parameters = lib.llama_model_default_params()
    parameters.n_gpu_layers = 0
    return lib.llama_model_load_from_file(path.encode(), parameters)

def use(model, adapter=None):
    parameters = lib.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 64
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.embeddings = lib.llama_model_has_encoder(model) or "bert" in base
    context = lib.llama_init_from_model(model, parameters)
    if not context:
        return
    if adapter:
        adapters = (lib.llama_adapter_lora_p_ctypes * 1)(adapter)
        lib.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
    vocab = lib.llama_model_get_vocab(model)
    text = "Hello <|im_start|> it's 12 w\\u00f6rds\\n".encode()
    tokens = (lib.llama_token * 64)()
    count = lib.llama_tokenize(vocab, text, len(text), tokens, 64, True, True)
    piece = ctypes.create_string_buffer(1 << 16)
    for token in tokens[:max(count, 0)]:
        lib.llama_token_to_piece(vocab, token, piece, len(piece), 0, True)
    if count > 0:
        lib.llama_decode(context, lib.llama_batch_get_one(tokens, count))
    lib.llama_free(context)

model = load(base) if base.endswith(".gguf") else None
for path in files:
    print(path, flush=True)
    if model:
        adapter = lib.llama_adapter_lora_init(model, path.encode())
        if adapter:
            use(model, adapter)
            lib.llama_adapter_lora_free(adapter)
    else:
        loaded = load(path)
        if loaded:
            use(loaded)
            lib.llama_model_free(loaded)
print("done")
"""


def survivors(data: bytes, folder: Path, check: Callable[[Path], None], count: int) -> list[Path]:
    """Write the mutants of *data* that pass *check*; anything but a typed error fails."""
    passed = []
    for description, damaged in mutants(data, count):
        path = folder / f"{description.split(':')[0]}.gguf"
        path.write_bytes(damaged)
        started = time.perf_counter()
        try:
            check(path)
        except ConversionError as error:
            assert error.what and error.why and error.fix, description
            path.unlink()
        except Exception as error:
            raise AssertionError(f"{description}: {error!r}") from error
        else:
            passed.append(path)
        assert time.perf_counter() - started < 10, description
    return passed


def use_in_llama_cpp(files: list[Path], base: str = "") -> None:
    """Use every file in one process, which must not die."""
    command = [sys.executable, "-c", _WORKER, base, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "done", (lines[-1:], done.stderr[-2000:])


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 of one layer, so that loading hundreds takes seconds."""
    folder = tmp_path_factory.mktemp("small")
    shape = Qwen3Shape(hidden_size=32, intermediate_size=32, num_hidden_layers=1)
    source = qwen3_checkpoint(folder / "small-qwen3", shape)
    return convert_model(ModelJob(source, folder / "small.gguf", "f16"))


def check_model_file(path: Path) -> None:
    """Run both checks a model goes through."""
    check_model(inspect(path))


@pytest.mark.slow
def test_damaged_models(small_model: Path, tmp_path: Path) -> None:
    """Of 1,500 damaged models each is refused, or loads in llama.cpp without ending the process."""
    data = small_model.read_bytes()
    passed = survivors(data, tmp_path, check_model_file, 1500)
    assert 20 < len(passed) < 700, "most damage must be noticed, some is harmless"
    use_in_llama_cpp(passed)


@pytest.mark.slow
def test_contradictory_models(small_model: Path, tmp_path: Path) -> None:
    """Well-formed files with hostile contents are refused, or do not end the process."""
    passed = []
    for path in hostile_models(small_model, tmp_path, 330):
        try:
            check_model_file(path)
        except ConversionError:
            path.unlink()
        else:
            passed.append(path)
    assert 20 < len(passed) < 160
    use_in_llama_cpp(passed)


@pytest.mark.slow
def test_damaged_encoders(llama_cpp_source: Path, tmp_path: Path) -> None:
    """The same for BERT, whose checks differ."""
    vocab = llama_cpp_source / "models" / "ggml-vocab-bert-bge.gguf"
    source = minilm_checkpoint(tmp_path / "source", vocab)
    model = convert_model(ModelJob(source, tmp_path / "bert.gguf", "q8_0"))
    folder = tmp_path / "mutants"
    folder.mkdir()
    use_in_llama_cpp(survivors(model.read_bytes(), folder, check_model_file, 200), "bert")


@pytest.mark.slow
def test_damaged_adapters(small_model: Path, tmp_path: Path) -> None:
    """Of 600 damaged adapters each is refused, or can be attached without ending the process."""
    shape = Qwen3Shape(hidden_size=32, intermediate_size=32, num_hidden_layers=1)
    options = AdapterShape(alora_invocation_tokens=(401, 3))
    source = peft_adapter(tmp_path / "peft", shape, options)
    adapter = convert_lora(LoraJob(source, small_model, tmp_path / "lora.gguf"))
    base = inspect(small_model)

    def check(path: Path) -> None:
        check_adapter(inspect(path), base)

    folder = tmp_path / "mutants"
    folder.mkdir()
    passed = survivors(adapter.read_bytes(), folder, check, 600)
    assert 5 < len(passed) < 300
    use_in_llama_cpp(passed, str(small_model))


def test_the_checks_matter(small_model: Path, tmp_path: Path) -> None:
    """A file the checks refuse does end the process, so the tests above can fail."""
    data = small_model.read_bytes()
    tokens = inspect(small_model).array_bytes("tokenizer.ggml.tokens")
    # The second token becomes a copy of the first: llama.cpp asserts that tokens are distinct.
    old, new = (b"\x01\0\0\0\0\0\0\0" + token for token in (tokens[1], tokens[0]))
    damaged = tmp_path / "duplicate.gguf"
    damaged.write_bytes(data.replace(old, new, 1))
    with pytest.raises(ConversionError, match="same text twice"):
        check_model_file(damaged)
    with pytest.raises(AssertionError):
        use_in_llama_cpp([damaged])
