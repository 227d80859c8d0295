"""Greedy decoding of many prompts at once, enough to measure a model with."""

from __future__ import annotations

import torch
from torch import Tensor

from expert.train.qwen3 import Cache, Qwen3


@torch.inference_mode()
def greedy(
    model: Qwen3, prompts: list[list[int]], stops: set[int], longest: int
) -> list[list[int]]:
    """Return the answer tokens of each prompt, without the stop token; at most `longest` of them,
    fewer where the context ends.

    Prompts are padded on the left; a mask hides the padding.
    """
    width = max(map(len, prompts), default=0)
    longest = min(longest, model.shape.max_position_embeddings - width)
    if not prompts or longest < 1:
        return [[] for _ in prompts]
    device = model.model.embed_tokens.weight.device
    tokens = torch.zeros(len(prompts), width, dtype=torch.long)
    real = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        real[row, width - len(prompt) :] = True
    tokens, real = tokens.to(device), real.to(device)
    positions = (real.cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    # A padding row must see something, or its softmax is undefined.
    mask = (real[:, None, None, :] & causal) | torch.eye(width, dtype=torch.bool, device=device)
    cache = Cache()
    hidden = model.decode(tokens, positions, mask, cache)
    return _continue(model, hidden, real, cache, stops, longest)


def _continue(
    model: Qwen3, hidden: Tensor, real: Tensor, cache: Cache, stops: set[int], longest: int
) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in range(len(real))]
    running = [True] * len(real)
    position = real.sum(1, keepdim=True)
    while True:
        chosen = model.logits(hidden).argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            running[row] = running[row] and token not in stops
            if running[row]:
                answers[row].append(token)
        if not any(running) or max(map(len, answers)) >= longest:
            return answers
        real = torch.cat((real, torch.ones_like(real[:, :1])), dim=1)
        hidden = model.decode(chosen[:, None], position, real[:, None, None, :], cache)
        position = position + 1
