"""The lean LoRA computes what PEFT does, for every variant, and its file is PEFT's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from expert.train.adapter.base import Base, open_base
from expert.train.adapter.lean import LeanTrainee, acting
from expert.train.adapter.peft_trainee import PeftTrainee
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import Trainee, token_losses
from expert.train.batches import Batch, grouped
from expert.train.corpus import encode_conversation
from expert.train.examples import single

VARIANTS = {
    "lora": Adapter(rank=8, alpha=16.0),
    "rslora": Adapter(rank=8, alpha=4.0, rslora=True),
    "alora": Adapter(rank=8, alpha=8.0, activation="answer"),
}


@pytest.fixture(scope="module")
def base(pocket: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the embedded base."""
    return open_base(pocket, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def batch(base: Base) -> Batch:
    """Return three conversations of different lengths as one flat batch."""
    examples = [
        single("json", "x", "JSON: play some jazz", '{"intent":"PlayMusic"}'),
        single("json", "x", "Regex: lines with a digit and a vowel please", "^(?=.*[0-9])"),
        single("json", "x", "hello", "Hi."),
    ]
    rows = sorted(
        (encode_conversation(base.tokenizer, e) for e in examples), key=lambda r: -len(r[0])
    )
    groups = grouped([len(tokens) for tokens, _ in rows])
    widths = [group.length for group in groups for _ in range(group.count)]
    tokens, where, targets, start = torch.zeros(sum(widths), dtype=torch.long), [], [], 0
    for (ids, mask), width in zip(rows, widths, strict=True):
        tokens[start : start + len(ids)] = torch.tensor(ids)
        learnt = [i for i in range(len(ids) - 1) if mask[i + 1]]
        where += [start + i for i in learnt]
        targets += [ids[i + 1] for i in learnt]
        start += width
    zeros = torch.zeros(len(where), dtype=torch.long)
    return Batch(tokens, groups, torch.tensor(where), torch.tensor(targets), zeros, start)


def disturbed(trainee: Trainee) -> Trainee:
    """Give every factor some value, so that the adapter does something."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in trainee.weights().values():
            weight.copy_(torch.randn_like(weight) * 0.05)
    return trainee


@pytest.mark.parametrize("name", VARIANTS)
def test_the_lean_adapter_is_pefts(name: str, base: Base, batch: Batch, tmp_path: Path) -> None:
    """A file saved by the lean model, loaded by PEFT on transformers, gives the same losses."""
    from peft import PeftModel

    adapter = VARIANTS[name]
    lean = LeanTrainee(base, adapter, "cpu", torch.float32)
    disturbed(lean)
    lean.save(tmp_path)
    peer = PeftTrainee(base, adapter, "cpu")
    peer.model = PeftModel.from_pretrained(peer.model.unload(), str(tmp_path))
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        ours = token_losses(lean, batch)
        theirs = in_f32(peer, batch)
        unchanged = token_losses(LeanTrainee(base, adapter, "cpu", torch.float32), batch)
    assert torch.allclose(ours, theirs, atol=2e-3, rtol=1e-3)
    assert (ours - unchanged).abs().max() > 0.05


def in_f32(peer: PeftTrainee, batch: Batch) -> torch.Tensor:
    """Return PEFT's losses without the bfloat16 of training."""
    logits = []
    start = 0
    for group in batch.groups:
        size = group.count * group.length
        inside = (batch.where >= start) & (batch.where < start + size)
        where = batch.where[inside] - start
        tokens = batch.tokens[start : start + size].view(group.count, group.length)
        output = peer.model(input_ids=tokens, use_cache=False).logits
        logits.append(output[where // group.length, where % group.length])
        start += size
    return torch.nn.functional.cross_entropy(torch.cat(logits), batch.targets, reduction="none")


@pytest.mark.parametrize("kind", ["dora", "ia3", "soft-prompt"])
def test_every_kind_learns_through_peft(kind: str, base: Base, batch: Batch) -> None:
    """A few steps on one batch lower its loss, and only the adapter changes."""
    rate = 0.3 if kind == "soft-prompt" else 0.02
    trainee = PeftTrainee(base, Adapter(kind=kind, rank=8, alpha=8.0), "cpu")  # type: ignore[arg-type]  # parametrized
    learnt = list(trainee.weights().values())
    optimiser = torch.optim.AdamW(learnt, rate)
    losses = []
    for _ in range(4):
        loss = token_losses(trainee, batch).mean()
        losses.append(float(loss.detach()))
        for weight, gradient in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
            weight.grad = gradient
        optimiser.step()
    assert losses[-1] < losses[0] - 0.02
    frozen = [w for w in trainee.model.parameters() if not w.requires_grad]
    assert frozen and all(weight.grad is None for weight in frozen)


def test_an_activated_lora_acts_from_the_last_invocation() -> None:
    """Of two openings of an answer the last counts, in each sequence by itself."""
    tokens = torch.tensor([7, 8, 1, 7, 8, 2, 7, 8, 3, 4, 5, 0, 9, 9, 9, 9, 9, 9])
    mask = acting(tokens, grouped([6, 6, 6]), (7, 8)).flatten().tolist()
    assert mask == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_bases_that_cannot_be_trained_are_refused(tmp_path: Path, pocket: Path) -> None:
    """Nothing, a damaged file and another architecture each have their own error."""
    from expert.errors import NotFoundError, VerificationError

    with pytest.raises(NotFoundError):
        open_base(tmp_path / "none.gguf", tmp_path)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(pocket.read_bytes()[:5000])
    with pytest.raises(VerificationError, match="cannot be used"):
        open_base(broken, tmp_path)
    os.truncate(broken, 0)
    with pytest.raises(VerificationError):
        open_base(broken, tmp_path)
