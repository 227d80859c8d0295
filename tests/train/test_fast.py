"""Unsloth: used for what it can do and nothing else.

It needs an NVIDIA GPU and could not be run here. The module below implements the part of its
interface that is called, with PEFT, and refuses what its own forward pass refuses.
"""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch

from expert.train.adapter import fast
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.peft_trainee import PeftTrainee
from expert.train.adapter.preference import encoded
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import TARGETS, token_losses
from expert.train.batches import assemble
from support.trainees import disturbed

LORA = Adapter(rank=8, alpha=16.0)


class FastLanguageModel:
    """Unsloth's loader as far as it is called."""

    loaded: list[dict[str, Any]] = []

    @staticmethod
    def from_pretrained(
        model_name: str, max_seq_length: int, dtype: torch.dtype, load_in_4bit: bool
    ) -> tuple[Any, Any]:
        """Return a model, frozen, and its tokenizer."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        FastLanguageModel.loaded.append({"length": max_seq_length, "dtype": dtype})
        assert not load_in_4bit
        model = AutoModelForCausalLM.from_pretrained(model_name, dtype=torch.float32)
        return model.requires_grad_(False), AutoTokenizer.from_pretrained(model_name)

    @staticmethod
    def get_peft_model(
        model: Any, r: int, target_modules: list[str], lora_alpha: float, lora_dropout: float,
        bias: str, use_gradient_checkpointing: str, random_state: int, use_rslora: bool,
    ) -> Any:  # fmt: skip
        """Return it with a LoRA; its forward pass compares `logits_to_keep` with a number."""
        from peft import LoraConfig, get_peft_model

        assert use_gradient_checkpointing == "unsloth" and random_state >= 0
        config = LoraConfig(
            task_type="CAUSAL_LM", r=r, target_modules=target_modules, lora_alpha=lora_alpha,
            lora_dropout=lora_dropout, bias=bias, use_rslora=use_rslora,
        )  # fmt: skip
        made = get_peft_model(model, config)
        forward = made.forward

        def checked(*arguments: Any, logits_to_keep: int = 0, **more: Any) -> Any:
            assert isinstance(logits_to_keep, int), "the truth of several values is ambiguous"
            return forward(*arguments, **more)

        made.forward = checked
        return made


@pytest.fixture
def unsloth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the module in place."""
    module = types.ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel  # type: ignore[attr-defined]  # a made-up module
    module.__spec__ = ModuleSpec("unsloth", None)
    monkeypatch.setitem(sys.modules, "unsloth", module)
    monkeypatch.setenv("UNSLOTH_RETURN_LOGITS", "0")


@pytest.fixture(scope="module")
def base(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny checkpoint folder as a base."""
    return open_base(tiny_checkpoint, tmp_path_factory.mktemp("base"))


def test_it_is_used_for_a_lora_on_a_checkpoint_on_cuda(base: Base, unsloth: None) -> None:
    """Not on the CPU, not on a GGUF, not for other kinds or an activated LoRA."""
    assert fast.usable(base, LORA, "cuda") and fast.usable(base, LORA, "cuda:1")
    assert not fast.usable(base, LORA, "cpu")
    assert not fast.usable(replace(base, folder=None), LORA, "cuda")
    assert not fast.usable(base, replace(LORA, kind="dora"), "cuda")
    assert not fast.usable(base, replace(LORA, activation="answer"), "cuda")


def test_without_it_nothing_asks_for_it(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed is not usable."""
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    monkeypatch.setattr(fast, "find_spec", lambda name: None)
    assert not fast.usable(base, LORA, "cuda")


def test_it_gives_the_losses_of_peft(
    base: Base, unsloth: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same weights, the same losses, the same file; the adapter can rest."""
    opening = base.tokenizer.encode("<|im_start|>assistant\n").ids
    answers = ("The quick brown fox jumps", "She sells")
    rows = [(*encoded(opening, base.tokenizer.encode(text).ids), "task") for text in answers]
    batch = assemble(sorted(rows, key=lambda row: -len(row[0])), ["task"])
    plain = PeftTrainee(base, LORA, "cpu")
    monkeypatch.setattr(fast, "usable", lambda *arguments: True)
    quick = PeftTrainee(base, LORA, "cpu")
    assert quick.whole and not plain.whole
    assert FastLanguageModel.loaded[-1] == {"length": 512, "dtype": torch.bfloat16}
    assert len(quick.weights()) == 2 * len(TARGETS) * base.shape.num_hidden_layers
    disturbed(plain)
    disturbed(quick)
    with torch.no_grad():
        assert torch.allclose(token_losses(plain, batch), token_losses(quick, batch), atol=1e-5)
        with plain.resting(), quick.resting():
            assert torch.allclose(token_losses(plain, batch), token_losses(quick, batch), atol=1e-5)
    quick.save(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").exists()
