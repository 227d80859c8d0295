"""A whole run on tiny data: it learns, survives a kill, ends when asked, and exports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from expert.train.curve import draw, read_curves
from expert.train.pretrain import Options, pretrain
from expert.train.recipe import read_recipe

TOKENS = 12_000


def log_of(run: Path) -> dict[int, dict[str, Any]]:
    """Return the last record of every step."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["step"]: record for record in map(json.loads, lines)}


def steady(records: dict[int, dict[str, Any]]) -> dict[int, tuple[Any, ...]]:
    """Return what of the records must not depend on timing."""
    return {step: (r["tokens"], r["rate"], r["loss"]) for step, r in records.items()}


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run."""
    run = tmp_path_factory.mktemp("run")
    pretrain(Options(tiny_recipe, tiny_data, run, tokens=TOKENS, device="cpu", rows=5))
    return run


def test_a_run_learns(finished: Path) -> None:
    """Losses fall, and the last record is at the end of the budget."""
    records = log_of(finished)
    first, last = records[1], records[max(records)]
    assert last["loss"]["snips"] < 0.6 * first["loss"]["snips"]
    assert last["progress"] == 1.0


def test_the_checkpoint_loads_in_transformers(finished: Path) -> None:
    """The export is an ordinary Qwen3 folder whose model and tokenizer agree with the run."""
    folder = finished / "checkpoint"
    model, info = AutoModelForCausalLM.from_pretrained(str(folder), output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    assert len(tokenizer) == model.config.vocab_size
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "play the fox"}], add_generation_prompt=True, tokenize=True
    )["input_ids"]
    assert model(torch.tensor([ids])).logits.isfinite().all()
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in model.generation_config.eos_token_id


def test_the_run_is_evaluated_and_drawn(finished: Path) -> None:
    """A run ends with a report of every task and can be drawn."""
    report = json.loads((finished / "evaluation.json").read_text(encoding="utf-8"))
    assert report["snips"]["rows"] == 5 and report["perplexity"] > 1
    svg = draw(read_curves(finished / "log.jsonl"))
    assert svg.startswith("<svg") and "snips" in svg and svg.count("<polyline") > 3


def test_a_killed_run_continues_as_if_uninterrupted(
    finished: Path, tiny_recipe: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """After kill -9 and --resume, later losses and the weights equal the uninterrupted run's."""
    arguments = [str(tiny_recipe), "--data", str(tiny_data), "--out", str(tmp_path), "--rows", "0"]
    limits = ["--tokens", str(TOKENS), "--device", "cpu"]
    app = str(Path(__file__).parents[2] / "app")
    process = subprocess.Popen(
        [sys.executable, "-m", "expert.train.pretrain", *arguments, *limits],
        env={**os.environ, "PYTHONPATH": app},
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "state.pt").exists() or len(log_of(tmp_path)) < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "checkpoint").exists()
    pretrain(
        Options(tiny_recipe, tiny_data, tmp_path, tokens=TOKENS, resume=True, device="cpu", rows=0)
    )
    assert steady(log_of(tmp_path)) == steady(log_of(finished))
    ours = load_file(tmp_path / "checkpoint/model.safetensors")
    for name, weight in load_file(finished / "checkpoint/model.safetensors").items():
        assert torch.equal(ours[name], weight)


def test_a_finish_file_ends_the_run_early(
    tiny_recipe: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Asked to finish, a long run decays to zero and exports."""
    (tmp_path / "finish").touch()
    folder = pretrain(Options(tiny_recipe, tiny_data, tmp_path, tokens=10**9, device="cpu", rows=0))
    assert (folder / "model.safetensors").exists()
    assert len(log_of(tmp_path)) < 10


def test_an_unknown_setting_is_refused(tiny_recipe: Path, tmp_path: Path) -> None:
    """A misspelt setting is named, not ignored."""
    path = tmp_path / "bad.toml"
    text = tiny_recipe.read_text(encoding="utf-8").replace("muon_rate", "muon_ratio")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="muon_rat"):
        read_recipe(path)
