"""DoRA on bases with rows that are all zero, by whose length it would divide."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from expert.errors import UsageError
from expert.package.container import inspect
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.package import adapted_layers
from expert.train.adapter.peft_trainee import PeftTrainee, empty_layers, load_model
from expert.train.adapter.publish import publish
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.train import Listener, Options, train_expert
from expert.train.adapter.trainee import TARGETS, token_losses
from expert.train.batches import Batch, assemble
from expert_converters.gguf_file import inspect as inspect_gguf
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.tiny_training import tiny_options, tiny_recipe

GATE, UP = "model.layers.0.mlp.gate_proj", "model.layers.1.mlp.up_proj"
DORA = Adapter(kind="dora", rank=8, alpha=8.0)


def base_without(folder: Path, layers: Iterable[str], rows: slice = slice(3, 6)) -> Path:
    """Return a tiny base in which some rows of some layers are all zero."""
    qwen3_checkpoint(folder, Qwen3Shape())
    file = folder / "model.safetensors"
    weights = load_file(file)
    for name in layers:
        weights[f"{name}.weight"][rows] = 0
    save_file(weights, file, {"format": "pt"})
    return convert_model(ModelJob(folder, folder / "base.gguf", "f32"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base with three empty rows in two of its layers."""
    return base_without(tmp_path_factory.mktemp("planted"), (GATE, UP))


def batch_of(base: Base) -> Batch:
    """Return one conversation, all of whose tokens are learnt."""
    tokens = base.tokenizer.encode("She sells sea shells by the sea shore.").ids
    return assemble([(torch.tensor(tokens).numpy(), torch.ones(len(tokens)).numpy(), "t")], ["t"])


def test_layers_with_empty_rows_are_found(planted: Path, tiny_path: Path, tmp_path: Path) -> None:
    """Those two, and none in a base without such rows."""
    base = open_base(planted, tmp_path)
    assert empty_layers(load_model(base, "cpu"), base) == (GATE, UP)
    whole = open_base(tiny_path, tmp_path)
    assert empty_layers(load_model(whole, "cpu"), whole) == ()
    assert PeftTrainee(whole, DORA, "cpu").left_out == ()


def test_a_column_of_zeros_is_no_obstacle(tmp_path: Path) -> None:
    """DoRA divides by rows alone."""
    folder = tmp_path / "base"
    qwen3_checkpoint(folder, Qwen3Shape())
    weights = load_file(folder / "model.safetensors")
    weights[f"{GATE}.weight"][:, 4] = 0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    base = open_base(convert_model(ModelJob(folder, folder / "base.gguf", "f32")), tmp_path)
    assert PeftTrainee(base, DORA, "cpu").left_out == ()


def test_they_are_left_out_and_the_others_learn(planted: Path, tmp_path: Path) -> None:
    """Every loss is a number and the last is lower; with those layers in, PEFT gives none."""
    base = open_base(planted, tmp_path)
    trainee, batch = PeftTrainee(base, DORA, "cpu"), batch_of(base)
    assert trainee.left_out == (GATE, UP)
    learnt = trainee.weights()
    assert learnt and not any(name in weight for name in (GATE, UP) for weight in learnt)
    assert any("layers.1.mlp.gate_proj" in weight for weight in learnt)
    optimiser = torch.optim.AdamW(list(learnt.values()), 0.02)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = token_losses(trainee, batch).mean()
        loss.backward()  # type: ignore[no-untyped-call]  # torch publishes no type for it
        losses.append(float(loss.detach()))
        optimiser.step()
    assert losses[-1] < losses[0] - 0.02
    lora = PeftTrainee(base, replace(DORA, kind="lora"), "cpu")
    assert lora.left_out == () and len(lora.weights()) == 2 * 14


def test_peft_alone_gives_no_numbers(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this guards against, in the PEFT that is installed."""
    from expert.train.adapter import peft_trainee

    monkeypatch.setattr(peft_trainee, "empty_layers", lambda model, base: ())
    base = open_base(planted, tmp_path)
    trainee = PeftTrainee(base, DORA, "cpu")
    assert not torch.isfinite(token_losses(trainee, batch_of(base))).all()


def test_a_base_with_nothing_to_adapt_is_refused(tmp_path: Path) -> None:
    """Every layer has such rows: they are named, and what to do."""
    layers = [
        f"model.layers.{layer}.{'self_attn' if kind[0] in 'qkvo' else 'mlp'}.{kind}"
        for layer in range(2)
        for kind in TARGETS
    ]
    base = open_base(base_without(tmp_path / "empty", layers, slice(0, 1)), tmp_path)
    with pytest.raises(UsageError) as caught:
        PeftTrainee(base, DORA, "cpu")
    said = str(caught.value)
    assert GATE in said and "all zero" in said and 'kind = "lora"' in said


def options_of(folder: Path, base: Path, rank: int) -> Options:
    """Return a short training of a DoRA."""
    recipe = tiny_recipe(folder / "songs", f'kind = "dora"\nrank = {rank}')
    return tiny_options(folder, base, recipe=recipe, tokens=1500)


def test_a_run_says_what_it_leaves_out(planted: Path, tmp_path: Path) -> None:
    """To whoever listens, in the record, and in the manifest's targets."""
    said: list[str] = []
    options = options_of(tmp_path, planted, 64)
    done = train_expert(options, Listener(noticing=said.append))
    assert done is not None
    (text,) = said
    assert "2 linear layers" in text and GATE in text and "all zero" in text
    record = json.loads((options.out / "run.json").read_text(encoding="utf-8"))
    assert record["left_out"] == [GATE, UP] and record["validation_loss"] < 99
    (used,) = inspect(publish(done, [], None, None)).manifest.bases
    assert used.adapter.targets == TARGETS  # each kind is adapted in the other layer


def test_targets_are_those_of_the_file(tmp_path: Path) -> None:
    """A kind that is left out everywhere is not said to be adapted."""
    layers = [f"model.layers.{n}.mlp.gate_proj" for n in range(2)]
    options = options_of(tmp_path, base_without(tmp_path / "base", layers), 64)
    done = train_expert(options)
    assert done is not None
    found = adapted_layers(inspect_gguf(done.report.path))
    assert found == [kind for kind in TARGETS if kind != "gate_proj"]
    assert done.content["bases"][0]["adapter"]["targets"] == found
