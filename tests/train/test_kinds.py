"""Every kind of adapter, trained for a few steps: through the engine it does what it does in PEFT.

LoRA, rsLoRA, aLoRA and soft prompts are exact as they are; DoRA and IA3 are exact as a copy of the
base, and within a limit as the LoRA that packages carry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import activation_runs
from expert.engine.context import Attached, Context, Slice
from expert.engine.generation import Job
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.errors import VerificationError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.package import ADAPTER, convert
from expert.train.adapter.preference import encoded
from expert.train.adapter.recipe import Adapter, read_recipe
from expert.train.adapter.train import make_trainee
from expert.train.adapter.trainee import Trainee, token_losses
from expert.train.batches import Batch, assemble
from expert_converters.kinds import AdapterJob, convert_adapter
from support.adapter_peers import load_base
from support.tiny_training import tiny_recipe

KINDS = {
    "lora": Adapter(rank=32, alpha=32.0),
    "rslora": Adapter(rank=32, alpha=8.0, rslora=True),
    "alora": Adapter(rank=32, alpha=32.0, activation="answer"),
    "soft-prompt": Adapter(kind="soft-prompt", rank=5),
    "dora": Adapter(kind="dora", rank=8, alpha=8.0),
    "ia3": Adapter(kind="ia3", rank=32),
}
RATES = {"soft-prompt": 0.3, "ia3": 0.2}
STEPS = 4
EXACT = ContextOptions(size=512, threads=1, kv_type="f32", outputs=128, flash_attention="off")
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """An adapter that was trained."""

    name: str
    folder: Path
    losses: list[float]
    tokens: list[int]
    """A conversation to compare on, with the opening of an answer in it."""


@pytest.fixture(scope="module")
def base(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny model as a base."""
    return open_base(tiny_path, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module", params=KINDS)
def made(request: Any, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return an adapter of each kind, trained for a few steps as `expert train` trains it."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = replace(read_recipe(tiny_recipe(folder / "songs")), adapter=KINDS[request.param])
    trainee = make_trainee(recipe, base, "cpu")
    batch, tokens = conversations(base)
    losses = learn(trainee, batch, RATES.get(request.param, 0.02))
    trainee.save(folder / "adapter")
    return Made(request.param, folder / "adapter", losses, tokens)


def conversations(base: Base) -> tuple[Batch, list[int]]:
    """Return three conversations as a batch, and one of them as tokens."""
    said = [("What is the capital", "Paris"), ("she sells", "sea shells"), ("print", "main()")]
    rows = []
    for prompt, answer in said:
        opening = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        ids = [base.tokenizer.encode(text).ids for text in (opening, f"{answer}<|im_end|>")]
        rows.append((*encoded(*ids), "task"))
    rows.sort(key=lambda row: -len(row[0]))
    return assemble(rows, ["task"]), rows[0][0].tolist()


def learn(trainee: Trainee, batch: Batch, rate: float) -> list[float]:
    """Take a few steps and return the losses."""
    learnt = list(trainee.weights().values())
    optimiser = torch.optim.AdamW(learnt, rate)
    losses = []
    for _ in range(STEPS):
        loss = token_losses(trainee, batch).mean()
        losses.append(float(loss.detach()))
        for weight, gradient in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
            weight.grad = gradient
        optimiser.step()
    return losses


def peft_logits(checkpoint: Path, folder: Path | None, tokens: list[int]) -> Doubles:
    """Return the logits of PEFT on transformers in f32, those of the tokens alone."""
    model: Any = load_base(checkpoint)
    if folder is not None:
        model = PeftModel.from_pretrained(model, str(folder)).eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    array: Doubles = logits[-len(tokens) :].double().numpy()
    return array


def engine_logits(model: Model, file: AdapterFile | None, tokens: list[int]) -> Doubles:
    """Return the logits of the engine with an adapter, activated where it says."""
    pool, found = AdapterPool(model), []
    experts = [] if file is None else [(file, 1.0)]
    sequence = list(Job(tokens, experts=tuple(experts)).sequence)
    runs = activation_runs(sequence, experts)
    starts = [*(run.start for run in runs), len(sequence)]
    with Context(model, EXACT) as context:
        for run, end in zip(runs, starts[1:], strict=True):
            context.attach(pool.attached(run.adapters))
            part = sequence[run.start : end]
            wanted = sum(token >= 0 for token in part)
            (rows,) = context.step([Slice(0, run.start, part, wanted)])
            found += [read_logits(context, row) for row in rows]
        context.attach(Attached())
    pool.close()
    return np.stack(found).astype(np.float64)


def test_a_few_steps_lower_the_loss(made: Made) -> None:
    """Every kind learns."""
    assert made.losses[-1] < made.losses[0] - 0.02


def test_the_engine_gives_pefts_logits(
    made: Made, base: Base, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Exactly, up to float noise, and not those of the base."""
    expected = peft_logits(tiny_checkpoint, made.folder, made.tokens)
    target = tmp_path / "adapter.gguf"
    report = convert_adapter(AdapterJob(made.folder, base.file, target, "f32"))
    assert report.exact
    if report.form == "model":
        with Model(target) as merged:
            found = engine_logits(merged, None, made.tokens)
    else:
        with Model(base.file) as model:
            found = engine_logits(model, read_adapter(target, model.header), made.tokens)
    unchanged = peft_logits(tiny_checkpoint, None, made.tokens)
    assert np.abs(found - expected).max() < 5e-4
    assert np.abs(expected - unchanged)[-1].max() > 0.05
    if made.name == "alora":
        assert np.abs(found - unchanged)[0].max() < 5e-4  # before the answer it is the base


def test_what_a_package_carries_is_close_or_refused(
    made: Made, base: Base, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Q8_0, and for DoRA and IA3 a LoRA of limited rank: near PEFT's, or an error that says so."""
    try:
        report = convert(made.folder, KINDS[made.name], base, tmp_path / ADAPTER)
    except VerificationError as error:
        assert made.name in ("dora", "ia3") and "cannot be converted" in error.what
        return
    with Model(base.file) as model:
        found = engine_logits(model, read_adapter(report.path, model.header), made.tokens)
    expected = peft_logits(tiny_checkpoint, made.folder, made.tokens)
    moved = np.abs(expected - peft_logits(tiny_checkpoint, None, made.tokens)).max()
    assert np.abs(found - expected).max() < 0.25 * moved
    if made.name == "alora":
        assert read_adapter(report.path, model.header).invocation == base.invocation
