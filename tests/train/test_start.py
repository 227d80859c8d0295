"""A finished base is trained further from its GGUF alone."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from expert.train.checkpoint import load_state
from expert.train.pretrain import Options, pretrain
from expert.train.start import base_file, read_tokenizer, read_weights, start_from
from expert_converters.model import ModelJob, convert_model

ODD = "Ünïcode 1234,\n\n\tSELECT a<|im_start|>user\nplay it<|im_end|><think>\n\n</think> done's"


@pytest.fixture(scope="module")
def base(tiny_recipe: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny finished base, with the run it comes from inside."""
    folder = tmp_path_factory.mktemp("base")
    run = folder / "run"
    pretrain(Options(tiny_recipe, tiny_data, run, tokens=4_000, device="cpu", rows=0))
    convert_model(ModelJob(run / "checkpoint", folder / "tiny.gguf", "f32", name="Tiny"))
    (folder / "log.jsonl").write_bytes((run / "log.jsonl").read_bytes())
    return folder


def test_the_tokenizer_comes_back_whole(base: Path) -> None:
    """Vocabulary, merges and special tokens of the GGUF make the very same tokenizer."""
    original = Tokenizer.from_file(str(base / "run/tokenizer.json"))
    restored = read_tokenizer(base_file(base))
    assert json.loads(restored.to_str()) == json.loads(original.to_str())
    assert restored.encode(ODD).ids == original.encode(ODD).ids


def test_the_weights_come_back_by_their_own_names(base: Path) -> None:
    """Every weight of the checkpoint is there, as precisely as the GGUF keeps it."""
    weights = read_weights(base_file(base))
    checkpoint = load_file(base / "run/checkpoint/model.safetensors")
    assert set(weights) == set(checkpoint)
    for name, weight in checkpoint.items():
        assert torch.equal(weights[name], weight.float()), name


def test_a_run_goes_on_where_the_base_left(
    base: Path, tiny_recipe: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """The loss begins where it ended, not at that of random weights, and the log counts on."""
    options = Options(
        tiny_recipe, tiny_data, tmp_path, tokens=1_000, device="cpu", rows=0, start=base
    )
    pretrain(options)
    before = [json.loads(line) for line in (base / "log.jsonl").read_text().splitlines()]
    after = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert after[: len(before)] == before
    first = after[len(before)]
    assert first["step"] == before[-1]["step"] + 1
    assert first["tokens"] > before[-1]["tokens"]
    assert first["loss"]["snips"] < 0.5 * (before[0]["loss"]["snips"] + before[-1]["loss"]["snips"])
    assert load_state(tmp_path)["counters"][0] == after[-1]["step"]


def test_a_folder_without_one_base_is_refused(base: Path, tmp_path: Path) -> None:
    """No GGUF, and two of them, are both said plainly; nothing is begun."""
    with pytest.raises(FileNotFoundError, match="found 0"):
        start_from(tmp_path, tmp_path)
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(base_file(base).read_bytes())
    with pytest.raises(FileNotFoundError, match="found 2"):
        base_file(tmp_path)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """A tensor that Qwen3 does not have is named."""
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("rope_freqs.weight", np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match="not a Qwen3 model"):
        read_weights(path)
