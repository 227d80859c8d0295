"""Quantises a GGUF model with llama.cpp's own quantiser, which knows the K-quants' mixes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .check import check_model
from .errors import QuantiseError
from .files import replacing
from .gguf_file import inspect

FILE_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q5_0": 8,
    "q5_1": 9,
    "q2_k": 10,
    "q3_k_s": 11,
    "q3_k_m": 12,
    "q3_k_l": 13,
    "q4_k_s": 14,
    "q4_k_m": 15,
    "q5_k_s": 16,
    "q5_k_m": 17,
    "q6_k": 18,
    "iq4_nl": 25,
    "iq4_xs": 30,
    "bf16": 32,
}
"""Name to `llama_ftype`."""
LOG_ERROR = 4


@dataclass(frozen=True, slots=True)
class QuantiseJob:
    """What to quantise, where to, and how."""

    source: Path
    target: Path
    type: str = "q4_k_m"
    threads: int = 0
    """0 uses every core."""
    requantise: bool = False
    """Allow a source that is quantised already, at a loss."""


def quantise(job: QuantiseJob) -> Path:
    """Quantise the GGUF model *job.source* and return the path of the result.

    Raises:
        GGUFError, ModelError: the source is broken.
        QuantiseError: the type is unknown, or llama.cpp failed.
    """
    if job.type not in FILE_TYPES:
        raise QuantiseError(
            f"{job.source} cannot be quantised",
            f"{job.type} is an unknown type",
            f"Use one of: {', '.join(FILE_TYPES)}.",
        )
    check_model(inspect(job.source))
    with replacing(job.target) as part:
        _run(job, part)
        check_model(inspect(part))
    return job.target


def _run(job: QuantiseJob, part: Path) -> None:
    # By its full name: whoever loaded this module without its package is not undone.
    lib = import_module("llama_cpp.llama_cpp")
    lib.llama_backend_init()
    parameters = lib.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES[job.type]
    parameters.nthread = job.threads
    parameters.allow_requantize = job.requantise
    with _captured_log(lib) as log:
        status = lib.llama_model_quantize(
            str(job.source).encode(), str(part).encode(), ctypes.byref(parameters)
        )
    if status != 0:
        raise QuantiseError(
            f"{job.source} cannot be quantised",
            "".join(log[-3:]).strip() or f"llama.cpp stopped with status {status}",
            "Use an f32, f16 or bf16 source.",
        )


@contextmanager
def _captured_log(lib: Any) -> Iterator[list[str]]:
    """Collect llama.cpp's errors instead of letting it print, then restore the caller's log."""
    errors: list[str] = []

    def collect(level: int, text: bytes | None, _user: object) -> None:
        if level == LOG_ERROR and text:
            errors.append(text.decode("utf-8", "replace"))

    callback = lib.llama_log_callback(collect)
    previous, user = lib.llama_log_callback(), ctypes.c_void_p()
    lib.llama_log_get(ctypes.byref(previous), ctypes.byref(user))
    lib.llama_log_set(callback, None)
    try:
        yield errors
    finally:
        lib.llama_log_set(previous, user)
