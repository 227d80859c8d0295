"""The real peer for the engine: the same checkpoint in transformers."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer


@cache
def reference(folder: Path) -> Any:
    """Return the checkpoint as a transformers model in f32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@cache
def reference_tokenizer(folder: Path) -> Any:
    """Return the checkpoint's tokenizer in transformers."""
    return AutoTokenizer.from_pretrained(folder)


def reference_logits(model: Any, tokens: Sequence[int]) -> NDArray[np.float64]:
    """Return the logits of every position; shape (tokens, vocabulary)."""
    with torch.inference_mode():
        logits = model(torch.tensor([list(tokens)])).logits[0]
    array: NDArray[np.float64] = logits.double().numpy()
    return array


def reference_greedy(model: Any, tokens: Sequence[int], count: int) -> list[int]:
    """Return the next *count* tokens of greedy decoding, whatever they are."""
    generated = list(tokens)
    for _ in range(count):
        generated.append(int(reference_logits(model, generated)[-1].argmax()))
    return generated[len(tokens) :]


def kl_divergence(
    expected: NDArray[np.float64], actual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return KL(expected || actual) of each row of logits, in nats."""
    p = expected - np.logaddexp.reduce(expected, axis=-1, keepdims=True)
    q = actual - np.logaddexp.reduce(actual, axis=-1, keepdims=True)
    divergence: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=-1)
    return divergence
