"""Choosing the next token from the logits: llama.cpp's own samplers in a fixed order."""

import ctypes
import importlib
import threading
from typing import Any

from expert.engine.candidates import Candidates
from expert.engine.context import Context
from expert.types import Sampling

_LARGE = 32_768  # tokens from which on numpy's import (0.1 s) pays


class Sampler:
    """A chain of repetition penalty, top-k, top-p, min-p, temperature and the draw itself.

    Sources: nucleus sampling (Holtzman et al. 2019, arXiv:1904.09751), min-p (Nguyen et al.
    2024, arXiv:2407.01082), repetition penalty (Keskar et al. 2019, arXiv:1909.05858).
    """

    def __init__(self, lib: Any, vocabulary_size: int, sampling: Sampling) -> None:
        self.lib = lib
        self.greedy = sampling.temperature <= 0
        """Whether it takes the likeliest token."""
        self._remembers = sampling.repeat_penalty != 1.0 and bool(sampling.repeat_last)
        self._direct = self.greedy and not self._remembers and vocabulary_size >= _LARGE
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._handle = chain
        for part in _parts(lib, vocabulary_size, sampling):
            lib.llama_sampler_chain_add(chain, part)

    def accept(self, token: int) -> None:
        """Count *token* among the recent ones, as the prompt's tokens are."""
        if self._remembers:
            self.lib.llama_sampler_accept(self._handle, token)

    def sample(self, context: Context, row: int) -> int:
        """Draw a token from the logits of *row*, and count it among the recent ones."""
        if self._direct:
            # The chain would copy 12 bytes for every token of the vocabulary before it looks.
            return int(context.logits(row).argmax())
        return int(self.lib.llama_sampler_sample(self._handle, context.handle, row))

    def draw(self, candidates: Candidates) -> int:
        """Draw one of *candidates*, which the chain filters on the way; nothing is counted."""
        self.lib.llama_sampler_apply(self._handle, ctypes.byref(candidates.array))
        return candidates.selected

    def close(self) -> None:
        """Free the chain and its parts."""
        if self._handle:
            self.lib.llama_sampler_free(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.close()


def warm_up(vocabulary_size: int) -> None:
    """Import what choosing from a large vocabulary takes, while llama.cpp opens a context."""
    if vocabulary_size >= _LARGE:
        threading.Thread(target=importlib.import_module, args=("numpy",)).start()


def _parts(lib: Any, vocabulary_size: int, sampling: Sampling) -> list[Any]:
    parts = []
    if sampling.repeat_penalty != 1.0 and sampling.repeat_last:
        parts.append(
            lib.llama_sampler_init_penalties(
                vocabulary_size, sampling.repeat_last, sampling.repeat_penalty, 0.0, 0.0
            )
        )
    if sampling.temperature <= 0:
        return [*parts, lib.llama_sampler_init_greedy()]
    if sampling.top_k > 0:
        parts.append(lib.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1.0:
        parts.append(lib.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0.0:
        parts.append(lib.llama_sampler_init_min_p(sampling.min_p, 1))
    parts.append(lib.llama_sampler_init_temp(sampling.temperature))
    parts.append(lib.llama_sampler_init_dist(sampling.seed & 0xFFFFFFFF))
    return parts
