"""Muon and Adam as one optimiser: the steps of torch's own, on float32 masters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from expert.train.optimiser import Optimiser
from expert.train.qwen3 import Qwen3
from expert.train.recipe import Recipe, read_recipe

Gradients = list[tuple[Tensor, ...]]


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    """Return the tiny recipe."""
    return read_recipe(tiny_recipe)


def model_of(recipe: Recipe) -> Qwen3:
    """Return the same random model each time."""
    torch.manual_seed(5)
    return Qwen3(recipe.model.shape)


def gradients_of(model: nn.Module, seed: int, count: int = 2) -> Gradients:
    """Return made-up gradients of some batches."""
    made = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.randn(weight.shape, generator=made) for weight in model.parameters())
        for _ in range(count)
    ]


@pytest.fixture
def workers() -> ThreadPoolExecutor:
    """Return one thread."""
    return ThreadPoolExecutor(1)


def test_steps_are_those_of_torch(recipe: Recipe, workers: ThreadPoolExecutor) -> None:
    """Muon on matrices, Adam on embeddings and norms, each at its own rate times the scale."""
    settings, model = recipe.training, model_of(recipe)
    ours = Optimiser(model, settings)
    peer = model_of(recipe)
    named = dict(peer.named_parameters())
    matrices = [w for n, w in named.items() if w.ndim == 2 and "embed" not in n]
    theirs: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices, lr=settings.muon_rate / 2, weight_decay=settings.weight_decay,
            ns_steps=settings.newton_schulz_steps,
        ),
        torch.optim.Adam(
            [w for n, w in named.items() if "embed" in n], settings.embedding_rate / 2, (0.9, 0.95)
        ),
        torch.optim.Adam(
            [w for w in named.values() if w.ndim == 1], settings.norm_rate / 2, (0.9, 0.95)
        ),
    ]  # fmt: skip
    assert len(matrices) == 2 * 7
    for seed in range(3):
        parts = gradients_of(model, seed)
        for weight, one, two in zip(named.values(), *parts, strict=True):
            weight.grad = (one + two) / 2
        for optimiser in theirs:
            optimiser.step()
        ours.step(parts, 0.5, workers)
    for name, weight in ours.weights().items():
        torch.testing.assert_close(weight, named[name].detach(), atol=1e-6, rtol=1e-5)


def test_masters_are_finer_than_the_model(recipe: Recipe, workers: ThreadPoolExecutor) -> None:
    """Steps too small for bfloat16 add up in the masters; the model follows, rounded."""
    model = model_of(recipe)
    optimiser = Optimiser(model, recipe.training)
    model.to(torch.bfloat16)
    optimiser.working = list(model.parameters())
    before = {name: weight.clone() for name, weight in optimiser.weights().items()}
    for _ in range(4):
        optimiser.step(gradients_of(model, 1), 1e-4, workers)
    for name, master in optimiser.weights().items():
        assert master.dtype == torch.float32 and not torch.equal(master, before[name])
        working = dict(model.named_parameters())[name]
        assert working.dtype == torch.bfloat16 and torch.equal(working, master.bfloat16())


def test_it_goes_on_where_it_was(
    recipe: Recipe, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """With its averages: a restored one takes the very same steps."""
    model = model_of(recipe)
    one = Optimiser(model, recipe.training)
    one.step(gradients_of(model, 1), 1.0, workers)
    torch.save(one.state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other_model = model_of(recipe)
    other = Optimiser(other_model, recipe.training)
    other.restore(state)
    for optimiser in (one, other):
        optimiser.step(gradients_of(model, 2), 1.0, workers)
    for name, weight in one.weights().items():
        assert torch.equal(weight, other.weights()[name])
        assert torch.equal(weight, dict(other_model.named_parameters())[name])


def test_weights_can_be_taken_alone(recipe: Recipe) -> None:
    """As from a finished base; one that is missing is an error."""
    model, source = model_of(recipe), Qwen3(recipe.model.shape)
    optimiser = Optimiser(model, recipe.training)
    weights = dict(source.named_parameters())
    optimiser.load({name: weight.detach() for name, weight in weights.items()})
    for name, weight in model.named_parameters():
        assert torch.equal(weight, weights[name])
    weights.popitem()
    with pytest.raises(KeyError):
        optimiser.load({name: weight.detach() for name, weight in weights.items()})
