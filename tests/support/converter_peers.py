"""The peers the converters are compared with: llama.cpp's own converter, and llama.cpp itself."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expert_converters.gguf_file import inspect

# Runs several conversions in one process, because importing torch takes seconds.
_DRIVER = """
import json, runpy, sys
root, jobs = sys.argv[1], json.loads(sys.argv[2])
sys.path[:0] = [root, root + "/gguf-py"]
from conversion.base import TextModel
own = TextModel.get_vocab_base_pre
for job in jobs:
    TextModel.get_vocab_base_pre = (lambda self, _: job["pre"]) if job["pre"] else own
    sys.argv = [job["script"], *job["arguments"]]
    runpy.run_path(root + "/" + job["script"], run_name="__main__")
"""


def model_job(source: Path, target: Path, kind: str, pre: str | None = "qwen2") -> dict[str, Any]:
    """Describe a run of `convert_hf_to_gguf.py`; *pre* names a pre-tokeniser it cannot know."""
    arguments = [str(source), "--outfile", str(target), "--outtype", kind]
    return {"script": "convert_hf_to_gguf.py", "arguments": arguments, "pre": pre}


def lora_job(source: Path, base: Path, target: Path, kind: str) -> dict[str, Any]:
    """Describe a run of `convert_lora_to_gguf.py`."""
    arguments = ["--base", str(base), "--outfile", str(target), "--outtype", kind, str(source)]
    return {"script": "convert_lora_to_gguf.py", "arguments": arguments, "pre": None}


def run_llama_cpp_converter(root: Path, jobs: Sequence[dict[str, Any]]) -> None:
    """Run llama.cpp's converter from its sources in *root* on every job."""
    command = [sys.executable, "-c", _DRIVER, str(root), json.dumps(list(jobs))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def assert_same_gguf(ours: Path, theirs: Path) -> None:
    """Compare two GGUF files part by part, then byte by byte."""
    left, right = inspect(ours), inspect(theirs)
    assert list(left.metadata) == list(right.metadata)
    for key, value in left.metadata.items():
        if isinstance(value, str | int | float):
            assert value == right.metadata[key], key
        else:
            assert left.array(key) == right.array(key), key
    assert left.types == right.types
    assert list(left.tensors.values()) == list(right.tensors.values())
    for name in left.tensors:
        assert left.tensor_bytes(name) == right.tensor_bytes(name), name
    assert ours.read_bytes() == theirs.read_bytes()


def llama_logits(
    model: Path, tokens: Sequence[int], adapter: Path | None = None, scale: float = 1.0
) -> NDArray[np.float32]:
    """Return llama.cpp's logits (tokens, vocabulary) with an f32 cache and one thread."""
    with low_level() as lib:
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = False
        handle = lib.llama_model_load_from_file(str(model).encode(), parameters)
        assert handle, f"llama.cpp does not load {model}"
        context = lib.llama_init_from_model(handle, _context_parameters(lib, len(tokens)))
        try:
            assert context
            if adapter is not None:
                _attach(lib, handle, context, adapter, scale)
            return _decode(lib, handle, context, tokens)
        finally:
            lib.llama_free(context)
            lib.llama_model_free(handle)


@contextmanager
def low_level() -> Iterator[Any]:
    """Give llama.cpp's C functions, silent meanwhile; the caller's log handler is restored."""
    lib: Any = import_module("llama_cpp.llama_cpp")
    previous, user = lib.llama_log_callback(), ctypes.c_void_p()
    lib.llama_log_get(ctypes.byref(previous), ctypes.byref(user))
    silent = lib.llama_log_callback(lambda _level, _text, _user: None)
    lib.llama_log_set(silent, None)
    lib.llama_backend_init()
    try:
        yield lib
    finally:
        lib.llama_log_set(previous, user)


def _attach(lib: Any, model: Any, context: Any, adapter: Path, scale: float) -> None:
    attached = lib.llama_adapter_lora_init(model, str(adapter).encode())
    assert attached, f"llama.cpp does not load {adapter}"
    adapters = (lib.llama_adapter_lora_p_ctypes * 1)(attached)
    scales = (ctypes.c_float * 1)(scale)
    assert lib.llama_set_adapters_lora(context, adapters, 1, scales) == 0


def _context_parameters(lib: Any, tokens: int) -> Any:
    parameters = lib.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = max(tokens, 32)
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.type_k = parameters.type_v = 0  # GGML_TYPE_F32
    parameters.flash_attn_type = 0  # disabled
    return parameters


def _decode(lib: Any, model: Any, context: Any, tokens: Sequence[int]) -> NDArray[np.float32]:
    vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for position, token in enumerate(tokens):
        batch.token[position] = token
        batch.pos[position] = position
        batch.n_seq_id[position] = 1
        batch.seq_id[position][0] = 0
        batch.logits[position] = 1
    assert lib.llama_decode(context, batch) == 0
    logits = lib.llama_get_logits(context)
    shape = (len(tokens), vocab_size)
    result = np.ctypeslib.as_array(logits, shape).copy()
    lib.llama_batch_free(batch)
    return result
