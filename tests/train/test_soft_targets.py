"""Learning from a teacher's probabilities: they are llama.cpp's own, and the loss is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from expert.errors import NotFoundError, VerificationError, WrongBaseError
from expert.train.adapter import soft_targets
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.lean import LeanTrainee
from expert.train.adapter.recipe import Adapter, Recipe, read_recipe
from expert.train.adapter.soft_targets import (
    TaughtSampler,
    TaughtSet,
    check_vocabulary,
    divergence,
    imitation,
    load_taught,
)
from expert.train.adapter.task_data import TaskData
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.peers import reference, reference_logits
from support.songs import write_songs
from support.tiny_training import tiny_recipe

TOP = 5
SETTINGS = f"\n[distillation]\ntop = {TOP}\nweight = 0.7\n"


@pytest.fixture(scope="module")
def teacher_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a larger random model with the same vocabulary."""
    shape = Qwen3Shape(hidden_size=96, num_hidden_layers=3, seed=5)
    return qwen3_checkpoint(tmp_path_factory.mktemp("teacher"), shape)


@pytest.fixture(scope="module")
def teacher(teacher_checkpoint: Path) -> Path:
    """Return it as a GGUF."""
    return convert_model(ModelJob(teacher_checkpoint, teacher_checkpoint / "teacher.gguf", "f32"))


@pytest.fixture(scope="module")
def base(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny model as a base."""
    return open_base(tiny_path, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a few songs and a recipe."""
    folder = tmp_path_factory.mktemp("songs")
    write_songs(folder / "data", 40)
    tiny_recipe(folder / "songs", more=SETTINGS)
    return folder


@pytest.fixture(scope="module")
def recipe(place: Path) -> Recipe:
    """Return the recipe."""
    return read_recipe(place / "songs" / "train.toml")


def load(recipe: Recipe, base: Base, place: Path, teacher: Path) -> TaughtSet:
    """Return the sequences with the teacher's probabilities."""
    data = TaskData(place / "data")
    return load_taught(recipe, base, data, place / "run", lambda d, t: None, teacher)


@pytest.fixture(scope="module")
def taught(recipe: Recipe, base: Base, place: Path, teacher: Path) -> TaughtSet:
    """Return them, computed once."""
    return load(recipe, base, place, teacher)


def some(rows: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random logits of a student and log-probabilities of a teacher."""
    torch.manual_seed(0)
    return torch.randn(rows, size) * 2, torch.log_softmax(torch.randn(rows, size) * 2, -1)


def test_with_the_whole_vocabulary_it_is_torchs_divergence() -> None:
    """Nothing is lumped together then."""
    student, teacher = some(7, 30)
    tokens = torch.arange(30).expand(7, 30)
    expected = F.kl_div(student.log_softmax(-1), teacher, log_target=True, reduction="none").sum(-1)
    assert torch.allclose(divergence(student, tokens, teacher), expected, atol=1e-5)


def test_the_rest_is_one_outcome() -> None:
    """With K of V tokens it is the divergence between distributions over K + 1 outcomes."""
    student, teacher = some(6, 40)
    logprobs, tokens = teacher.topk(4)
    lumped = []
    for distribution in (teacher, student.log_softmax(-1)):
        shown = distribution.exp().gather(1, tokens)
        lumped.append(torch.cat([shown, 1 - shown.sum(-1, keepdim=True)], -1).log())
    expected = (lumped[0].exp() * (lumped[0] - lumped[1])).sum(-1)
    assert torch.allclose(divergence(student, tokens, logprobs), expected, atol=1e-5)


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    """The divergence and its gradient are zero there; everywhere else it is above zero."""
    student, teacher = some(6, 40)
    logprobs, tokens = teacher.topk(4)
    same = teacher.clone().requires_grad_()
    value = divergence(same, tokens, logprobs)
    (gradient,) = torch.autograd.grad(value.sum(), same)
    assert value.abs().max() < 1e-5 and gradient.abs().max() < 1e-5
    assert divergence(student, tokens, logprobs).min() > 0.01


def test_a_certain_teacher_gives_finite_losses() -> None:
    """Probability one on one token leaves no rest to divide by."""
    student, _ = some(3, 20)
    student.requires_grad_()
    value = divergence(student, torch.zeros(3, 1, dtype=torch.long), torch.zeros(3, 1))
    (gradient,) = torch.autograd.grad(value.sum(), student)
    assert value.isfinite().all() and gradient.isfinite().all()
    assert torch.allclose(value, -student.log_softmax(-1)[:, 0], atol=1e-5)


def test_probabilities_are_those_of_transformers(
    taught: TaughtSet, teacher_checkpoint: Path
) -> None:
    """Of every learnt token: the same likeliest tokens, the same log-probabilities."""
    part = taught.training["snips"]
    for index in (0, 1, len(part.sequences) - 1):
        tokens, mask = part.sequences.get(index)
        logits = reference_logits(reference(teacher_checkpoint), tokens.tolist())
        logprobs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        expected = logprobs[np.flatnonzero(mask[1:])]
        ours = part.rows(index)
        found = part.likeliest.logprobs[ours]
        assert found.shape == (len(expected), TOP)
        assert np.abs(found - -np.sort(-expected, axis=-1)[:, :TOP]).max() < 5e-3
        chosen = part.likeliest.tokens[ours].astype(int)
        assert np.abs(np.take_along_axis(expected, chosen, -1) - found).max() < 5e-3


def test_a_batch_holds_the_rows_of_its_tokens(taught: TaughtSet, recipe: Recipe) -> None:
    """Position by position, whatever order the sequences are laid out in."""
    part = taught.training["snips"]
    known: dict[tuple[int, ...], np.ndarray] = {}
    for index in range(len(part.sequences)):
        tokens, mask = part.sequences.get(index)
        for offset, position in enumerate(np.flatnonzero(mask[1:])):
            row = part.likeliest.logprobs[part.starts[index] + offset]
            known[tuple(tokens[: position + 2].tolist())] = row
    batch = TaughtSampler(taught.training, recipe, 1).next_batch(0)
    groups = [g.length for g in batch.sequences.groups for _ in range(g.count)]
    starts = np.cumsum([0, *groups])
    for place, row in zip(batch.sequences.where.tolist(), batch.logprobs.numpy(), strict=True):
        start = starts[np.searchsorted(starts, place, side="right") - 1]
        seen = tuple(batch.sequences.tokens[start : place + 2].tolist())
        assert np.array_equal(known[seen], row)


def test_the_weight_mixes_both_losses(taught: TaughtSet, recipe: Recipe, base: Base) -> None:
    """0.7 of one and 0.3 of the other, token by token."""
    batch = TaughtSampler(taught.training, recipe, 1).next_batch(0)
    lean = LeanTrainee(base, Adapter(rank=4, alpha=4.0), "cpu", torch.float32)
    with torch.no_grad():
        mixed, pure, own = (imitation(lean, batch, weight).values for weight in (0.7, 1.0, 0.0))
    assert torch.allclose(mixed, 0.7 * pure + 0.3 * own, atol=1e-4)
    assert not torch.allclose(pure, own, atol=0.1)


def test_what_was_computed_is_kept(
    recipe: Recipe, base: Base, place: Path, teacher: Path, taught: TaughtSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A second run reads everything; after a loss only what is missing is computed again."""
    computed: list[int] = []
    original = soft_targets._ask

    def counting(*arguments: object) -> object:
        computed.append(len(arguments[2]))  # type: ignore[arg-type]  # the indexes
        return original(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(soft_targets, "_ask", counting)
    assert load(recipe, base, place, teacher).digest == taught.digest and not computed
    files = sorted((place / "run" / "teacher").glob("*/*.npz"))
    files[0].unlink()
    assert load(recipe, base, place, teacher).digest == taught.digest and len(computed) == 1
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:-40])
    with pytest.raises(VerificationError, match="damaged"):
        load(recipe, base, place, teacher)
    files[0].write_bytes(whole)
    other = replace(recipe, distillation=replace(recipe.distillation, weight=0.1))
    assert load(other, base, place, teacher).digest != taught.digest


def test_another_vocabulary_is_refused(
    base: Base, teacher: Path, pocket: Path, tmp_path: Path
) -> None:
    """It points to the other level; a damaged or missing teacher has an error of its own."""
    assert check_vocabulary(base, teacher)
    with pytest.raises(WrongBaseError, match="vocabulary") as caught:
        check_vocabulary(base, pocket)
    assert "--level sequence" in caught.value.fix
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(teacher.read_bytes()[:3000])
    with pytest.raises(VerificationError):
        check_vocabulary(base, broken)
    with pytest.raises((NotFoundError, VerificationError)):
        check_vocabulary(base, tmp_path / "none.gguf")
