"""Preference optimisation: the loss is TRL's, and pairs are read in every form that is in use."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard
from safetensors.torch import load_file

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.lean import LeanTrainee
from expert.train.adapter.pairs import Pair, pair_of, read_pairs
from expert.train.adapter.peft_trainee import PeftTrainee
from expert.train.adapter.preference import (
    PairSampler,
    agreement,
    encode_pair,
    encoded,
    load_pairs,
    margins,
    pair_batch,
    preference,
)
from expert.train.adapter.recipe import Adapter, read_recipe
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.trainee import token_losses
from support.experts import write_expert
from support.songs import write_songs
from support.trainees import disturbed

ROWS = [
    {"prompt": "What is the capital of France?", "chosen": " Paris.", "rejected": " France is."},
    {"prompt": "Say it.", "chosen": " The quick brown fox jumps.", "rejected": " She sells."},
    {"prompt": "The quick brown fox", "chosen": " jumps over", "rejected": " sea shells by it"},
]
ADAPTER = Adapter(rank=8, alpha=16.0)


@pytest.fixture(scope="module")
def base(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny model as a base."""
    return open_base(tiny_path, tmp_path_factory.mktemp("base"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_the_loss_is_that_of_trl(
    base: Base, tiny_checkpoint: Path, tmp_path: Path, beta: float
) -> None:
    """The same adapter and the same pairs: TRL's trainer and this one compute the same loss."""
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    from peft import LoraConfig, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lean = LeanTrainee(base, ADAPTER, "cpu", torch.float32)
    disturbed(lean).save(tmp_path / "adapter")
    trainer = trl.DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32),
        args=trl.DPOConfig(
            output_dir=str(tmp_path / "trl"), per_device_train_batch_size=len(ROWS), beta=beta,
            use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False,
        ),
        train_dataset=datasets.Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(tiny_checkpoint),
        peft_config=LoraConfig.from_pretrained(str(tmp_path / "adapter")),
    )  # fmt: skip
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    set_peft_model_state_dict(trainer.model, weights)
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        theirs = float(trainer.compute_loss(trainer.model, dict(batch)))
        ours = preference(lean, pair_batch(pairs_of(batch)), beta).values
    assert float(ours.mean()) == pytest.approx(theirs, abs=1e-4)
    assert abs(theirs - math.log(2)) > 1e-3


def pairs_of(batch: Any) -> list[Any]:
    """Return the pairs in a batch of TRL: the chosen answers first, then the rejected ones."""
    rows = []
    for tokens, seen, answer in zip(
        batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True
    ):
        kept, learnt = tokens[seen.bool()].tolist(), int(answer.sum())
        rows.append(encoded(kept[:-learnt], kept[-learnt:]))
    half = len(rows) // 2
    return list(zip(rows[:half], rows[half:], strict=True))


@pytest.mark.parametrize("kind", [LeanTrainee, PeftTrainee])
def test_a_resting_adapter_is_the_base(kind: Any, base: Base) -> None:
    """Inside the block the losses are those of an untouched adapter; after it they are not."""
    pairs = [encode_pair(base, pair_of(row)) for row in ROWS]
    batch = pair_batch(pairs).sequences
    trainee = kind(base, ADAPTER, "cpu")
    with torch.no_grad():
        untouched = token_losses(trainee, batch)
        disturbed(trainee)
        with trainee.resting():
            resting = token_losses(trainee, batch)
        acting = token_losses(trainee, batch)
    assert torch.equal(resting, untouched) and (acting - untouched).abs().max() > 0.01


def test_a_soft_prompt_rests_too(base: Base) -> None:
    """Its rows are not before the sequence while it rests."""
    batch = pair_batch([encode_pair(base, pair_of(row)) for row in ROWS]).sequences
    soft = PeftTrainee(base, Adapter(kind="soft-prompt", rank=4), "cpu")
    bare = PeftTrainee(base, ADAPTER, "cpu")
    with torch.no_grad(), soft.resting():
        resting = token_losses(soft, batch)
    with torch.no_grad():
        assert torch.allclose(resting, token_losses(bare, batch), atol=1e-3)
        assert not torch.allclose(token_losses(soft, batch), resting, atol=1e-3)


def test_an_untrained_adapter_prefers_nothing(base: Base) -> None:
    """Every margin is zero and every loss is log 2; a change of sign turns the margins round."""
    pairs = [encode_pair(base, pair_of(row)) for row in ROWS]
    lean = LeanTrainee(base, ADAPTER, "cpu", torch.float32)
    with torch.no_grad():
        values = preference(lean, pair_batch(pairs), 0.5).values
        assert torch.allclose(values, torch.full((3,), math.log(2)))
        assert agreement(values)["validation_agreement"] == 0.0
        disturbed(lean)
        forward = margins(lean, pair_batch(pairs))
        backward = margins(lean, pair_batch([(worse, better) for better, worse in pairs]))
    assert torch.allclose(forward, -backward, atol=1e-4) and forward.abs().min() > 1e-3


def test_margins_do_not_depend_on_the_batch(base: Base) -> None:
    """A pair's margin is the same alone and among others of other lengths."""
    pairs = [encode_pair(base, pair_of(row)) for row in ROWS]
    lean = LeanTrainee(base, ADAPTER, "cpu", torch.float32)
    disturbed(lean)
    with torch.no_grad():
        together = margins(lean, pair_batch(pairs))
        alone = torch.cat([margins(lean, pair_batch([pair])) for pair in pairs])
    assert torch.allclose(together, alone, atol=1e-4)


FORMS = [
    {"prompt": "q", "chosen": "a", "rejected": "b"},
    {"prompt": [{"role": "user", "content": "q"}], "chosen": "a", "rejected": "b"},
    {
        "prompt": " q ",
        "chosen": [{"role": "assistant", "content": "a"}],
        "rejected": [{"role": "assistant", "content": "b"}],
    },
    {
        "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
        "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
    },
]


@pytest.mark.parametrize("row", FORMS)
def test_every_form_is_the_same_pair(row: dict[str, Any]) -> None:
    """Text, messages, and conversations that differ in their end."""
    assert pair_of(row) == Pair((("user", "q"),), "a", "b")


def test_a_system_prompt_stands_first() -> None:
    """As the chat template writes it."""
    pair = pair_of({"system": "s", "prompt": "q", "chosen": "a", "rejected": "b"})
    assert pair.opening == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    )
    assert pair.question == "q"


FAULTS = [
    ("[]", "not an object"),
    ("{", "Expecting|JSON"),
    ('{"prompt": "q", "chosen": "a"}', "rejected"),
    ('{"prompt": "q", "chosen": "a", "rejected": "a"}', "the same"),
    ('{"prompt": "", "chosen": "a", "rejected": "b"}', "empty"),
    ('{"prompt": "q", "chosen": 1, "rejected": "b"}', "neither text"),
    ('{"prompt": [], "chosen": "a", "rejected": "b"}', "no question"),
    ('{"prompt": [{"role": "user"}], "chosen": "a", "rejected": "b"}', "no content"),
    ('{"prompt": [{"role": "x", "content": "q"}], "chosen": "a", "rejected": "b"}', "role"),
    ('{"prompt": "q", "chosen": [], "rejected": "b"}', "one answer each"),
    (
        '{"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],'
        ' "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]}',
        "begin alike",
    ),
]


@pytest.mark.parametrize(("line", "said"), FAULTS)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str, said: str) -> None:
    """The error names file, line and reason."""
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(FORMS[0]) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(VerificationError, match="Line 3") as caught:
        list(read_pairs(path))
    assert any(word in caught.value.why for word in said.split("|"))


def test_compressed_pairs_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    """`.zst` is unpacked; a file that is not one, or is no text, is an error of its own."""
    path = tmp_path / "pairs.jsonl.zst"
    packed = zstandard.ZstdCompressor().compress(json.dumps(FORMS[0]).encode())
    path.write_bytes(packed)
    assert len(list(read_pairs(path))) == 1
    for broken in (b"nothing of the kind", zstandard.ZstdCompressor().compress(b"\xff\xfe\n")):
        path.write_bytes(broken)
        with pytest.raises(VerificationError):
            list(read_pairs(path))
    with pytest.raises(NotFoundError, match="cannot be read"):
        list(read_pairs(tmp_path / "none.jsonl"))


def write_pairs(path: Path, count: int = 40) -> Path:
    """Write pairs about songs: the right track is preferred."""
    rows = [
        {"prompt": f"song {n}", "chosen": f"play song {n}", "rejected": f"stop it {n + 1}"}
        for n in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_recipe(folder: Path) -> Path:
    """Write the recipe of an expert that learns from pairs alone."""
    path = write_expert(folder)
    text = path.read_text(encoding="utf-8")
    text = text.replace("[tasks.snips]\nshare = 1.0\n", "")
    more = '\n[preferences]\nfiles = ["preferences/songs.jsonl"]\nbeta = 0.5\n'
    path.write_text(text + more, encoding="utf-8")
    return path


def test_pairs_are_split_and_drawn_again_as_they_were(base: Base, tmp_path: Path) -> None:
    """Validation pairs are no training pairs; a sampler goes on from its saved state."""
    write_pairs(write_songs(tmp_path / "data") / "preferences/songs.jsonl")
    recipe = read_recipe(write_recipe(tmp_path / "songs"))
    loaded = load_pairs(
        recipe, base, TaskData(tmp_path / "data"), tmp_path, lambda done, total: None
    )
    assert loaded.rows == {"preferences": 40} and len(loaded.digest) == 64
    texts = [
        {base.tokenizer.decode(part.halves(i)[0][0].tolist()) for i in range(len(part.joined))}
        for part in (loaded.training, loaded.validation)
    ]
    assert texts[1] and not texts[0] & texts[1]
    sampler = PairSampler(loaded.training, 1, 200)
    sampler.next_batch(0)
    state = sampler.state()
    expected = [sampler.next_batch(0) for _ in range(5)]
    sampler.restore(state)
    for batch in expected:
        again = sampler.next_batch(0)
        assert torch.equal(again.owners, batch.owners) and again.size == batch.size
        assert torch.equal(again.sequences.tokens, batch.sequences.tokens)


def test_held_out_questions_are_left_out(base: Base, tmp_path: Path) -> None:
    """A pair that asks what the evaluation will ask is not learnt from."""
    data = write_songs(tmp_path / "data")
    path = write_pairs(data / "preferences/songs.jsonl")
    from expert.train.corpus import held_out

    asked = next(e for e in TaskData(data).examples("snips") if held_out(e)).turns[0].prompt
    row = {"prompt": asked, "chosen": "play song", "rejected": "stop"}
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(row) + "\n", encoding="utf-8")
    recipe = read_recipe(write_recipe(tmp_path / "songs"))
    loaded = load_pairs(recipe, base, TaskData(data), tmp_path, lambda done, total: None)
    assert loaded.rows == {"preferences": 40}


def test_too_few_pairs_and_none_at_all_are_refused(base: Base, tmp_path: Path) -> None:
    """An empty file, and a recipe without pairs."""
    data = write_songs(tmp_path / "data")
    write_pairs(data / "preferences/songs.jsonl", count=0)
    recipe = read_recipe(write_recipe(tmp_path / "songs"))
    with pytest.raises(VerificationError, match="not enough"):
        load_pairs(recipe, base, TaskData(data), tmp_path, lambda done, total: None)
    without = read_recipe(write_expert(tmp_path / "plain"))
    with pytest.raises(UsageError, match="no pairs"):
        load_pairs(without, base, TaskData(data), tmp_path, lambda done, total: None)
