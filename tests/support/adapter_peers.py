"""The peers of adapter tests: gguf-py's reader, PEFT on transformers, and llama.cpp.

`dense_updates` decodes adapters with none of the code under test; `peft_logits` and
`adapted_logits` say what an adapter computes before and after its conversion.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from support.converter_peers import low_level

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
TOKENS = (5, 17, 300, 42, 9, 401, 11, 250)


def dense_updates(path: Path) -> dict[str, Doubles]:
    """Return alpha / rank B A of every matrix of a GGUF adapter, by its name."""
    reader = gguf.GGUFReader(path)
    field = reader.get_field("adapter.lora.alpha")
    assert field is not None
    factors = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        for tensor in reader.tensors
    }
    updates = {}
    for name, a in factors.items():
        target, _, factor = name.rpartition(".")
        if factor != "lora_a":
            continue
        b = factors[f"{target}.lora_b"]
        a = a.T if target == "token_embd.weight" else a
        updates[target] = field.contents() / b.shape[1] * (b @ a)
    return updates


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the Frobenius norm of the difference over that of *expected*."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def peft_logits(base: Path, adapter: Path | None, tokens: Sequence[int] = TOKENS) -> Floats:
    """Return the logits of PEFT on transformers, in f32; shape (tokens, vocabulary)."""
    from peft import PeftModel

    model = load_base(base)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    return model_logits(model, tokens)


def load_base(folder: Path) -> Any:
    """Return a checkpoint as a transformers model in f32."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def model_logits(model: Any, tokens: Sequence[int] = TOKENS) -> Floats:
    """Return a torch model's logits, those of the last positions where it adds some before."""
    import torch

    with torch.no_grad():
        logits = model.eval()(torch.tensor([list(tokens)])).logits[0]
    result: Floats = logits.numpy()
    return result


def adapted_logits(
    model: Path,
    adapters: Sequence[tuple[Path, float]] = (),
    *,
    soft_prompt: Floats | None = None,
    control_vector: Floats | None = None,
    tokens: Sequence[int] = TOKENS,
) -> Floats:
    """Return llama.cpp's logits (tokens, vocabulary), all in f32 and on one thread.

    Args:
        model: the base, a GGUF file.
        adapters: LoRA adapters with their scales, attached separately.
        soft_prompt: input embeddings (rows, width) that are decoded before the tokens.
        control_vector: one row of the width for each layer after the first.
        tokens: the prompt.
    """
    with low_level() as lib, _context(lib, model) as (handle, context):
        _attach(lib, handle, context, adapters)
        if control_vector is not None:
            rows, width = control_vector.shape
            data = np.ascontiguousarray(control_vector, np.float32)
            pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            assert lib.llama_set_adapter_cvec(context, pointer, data.size, width, 1, rows) == 0
        start = 0
        if soft_prompt is not None:
            start = len(soft_prompt)
            _decode_rows(lib, context, soft_prompt)
        return _decode_tokens(lib, handle, context, tokens, start)


@contextmanager
def _context(lib: Any, model: Path) -> Iterator[tuple[Any, Any]]:
    parameters = lib.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.use_extra_bufts = False
    handle = lib.llama_model_load_from_file(str(model).encode(), parameters)
    assert handle, f"llama.cpp does not load {model}"
    parameters = lib.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 64
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.type_k = parameters.type_v = 0  # GGML_TYPE_F32
    parameters.flash_attn_type = 0  # disabled
    context = lib.llama_init_from_model(handle, parameters)
    assert context
    try:
        yield handle, context
    finally:
        lib.llama_free(context)
        lib.llama_model_free(handle)


def _attach(lib: Any, model: Any, context: Any, adapters: Sequence[tuple[Path, float]]) -> None:
    attached = [lib.llama_adapter_lora_init(model, str(path).encode()) for path, _ in adapters]
    assert all(attached), "llama.cpp does not load an adapter"
    count = len(adapters)
    handles = (lib.llama_adapter_lora_p_ctypes * count)(*attached)
    scales = (ctypes.c_float * count)(*(scale for _, scale in adapters))
    assert lib.llama_set_adapters_lora(context, handles, count, scales) == 0


def _decode_rows(lib: Any, context: Any, rows: Floats) -> None:
    batch = lib.llama_batch_init(len(rows), rows.shape[1], 1)
    batch.n_tokens = len(rows)
    flat = np.ascontiguousarray(rows, np.float32)
    ctypes.memmove(batch.embd, flat.ctypes.data, flat.nbytes)
    _place(batch, 0)
    assert lib.llama_decode(context, batch) == 0
    lib.llama_batch_free(batch)


def _decode_tokens(lib: Any, model: Any, context: Any, tokens: Sequence[int], start: int) -> Floats:
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index] = token
    _place(batch, start)
    assert lib.llama_decode(context, batch) == 0
    vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    logits = lib.llama_get_logits(context)
    result: Floats = np.ctypeslib.as_array(logits, (len(tokens), vocab_size)).copy()
    lib.llama_batch_free(batch)
    return result


def _place(batch: Any, start: int) -> None:
    for index in range(batch.n_tokens):
        batch.pos[index] = start + index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        batch.logits[index] = 1
