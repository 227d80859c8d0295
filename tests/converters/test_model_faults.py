"""Checkpoints that cannot be converted: every fault is named, and no file is left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters.errors import CheckpointError
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import (
    Qwen3Shape,
    qwen3_checkpoint,
    qwen3_tensor_shapes,
    write_safetensors,
)
from support.real_vocabularies import minilm_checkpoint

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}


def edit_config(**changes: Any) -> Callable[[Path], None]:
    """Return a fault: settings of config.json changed, or removed where None."""

    def fault(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config |= changes
        config = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))

    return fault


def edit_tokenizer(path: str, value: Any) -> Callable[[Path], None]:
    """Return a fault: the entry at the dotted *path* of tokenizer.json replaced."""

    def fault(folder: Path) -> None:
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        *parents, last = path.split(".")
        entry = tokenizer
        for parent in parents:
            entry = entry[int(parent) if isinstance(entry, list) else parent]
        entry[int(last) if isinstance(entry, list) else last] = value
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    return fault


def replace_weights(**changes: Any) -> Callable[[Path], None]:
    """Return a fault: tensors (by a short name) given another shape, or dropped where None."""

    def fault(folder: Path) -> None:
        names = {
            "norm": "model.norm.weight",
            "query": "model.layers.1.self_attn.q_proj.weight",
            "surplus": "model.layers.1.self_attn.q_proj.bias",
            "layer": "model.layers.2.mlp.up_proj.weight",
            "head": "lm_head.weight",
        }
        shapes: dict[str, Any] = dict(qwen3_tensor_shapes(Qwen3Shape()))
        shapes |= {names[short]: shape for short, shape in changes.items()}
        values = {name: np.ones(shape, np.float32) for name, shape in shapes.items() if shape}
        write_safetensors(folder / "model.safetensors", values, "float32")

    return fault


def truncate(name: str, keep: int) -> Callable[[Path], None]:
    """Return a fault: only the first *keep* bytes of a file left."""

    def fault(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return fault


def remove(name: str) -> Callable[[Path], None]:
    """Return a fault: a file missing."""
    return lambda folder: (folder / name).unlink()


def add_pooling(pooling: dict[str, Any]) -> Callable[[Path], None]:
    """Return a fault: a sentence-transformers pooling module with these settings."""

    def fault(folder: Path) -> None:
        modules = [{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))

    return fault


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "unknown architecture": (edit_config(architectures=["MambaForCausalLM"]), "Mamba"),
    "no architecture": (edit_config(architectures=None), "none"),
    "no sizes": (edit_config(hidden_size=None), "hidden_size"),
    "size as text": (edit_config(hidden_size="64"), "hidden_size"),
    "negative size": (edit_config(num_hidden_layers=-1), "num_hidden_layers"),
    "wrong size": (edit_config(hidden_size=128), "shape"),
    "wrong layers": (edit_config(num_hidden_layers=3), "missing"),
    "fewer layers": (edit_config(num_hidden_layers=1), "not a tensor"),
    "untied without output": (edit_config(tie_word_embeddings=False), "lm_head"),
    "unknown rope": (edit_config(rope_scaling={"rope_type": "su", "factor": 2.0}), "rope type"),
    "bad rope factor": (edit_config(rope_scaling={"type": "linear", "factor": "x"}), "factor"),
    "yarn without length": (edit_config(rope_scaling={"type": "yarn", "factor": 2.0}), "original"),
    "yarn with own factor": (edit_config(rope_scaling=YARN | {"attention_factor": 2.0}), "wrong"),
    "yarn with own beta": (edit_config(rope_scaling=YARN | {"beta_fast": 64}), "wrong"),
    "bad rope base": (edit_config(rope_theta=0), "rope_theta"),
    "no epsilon": (edit_config(rms_norm_eps=0), "rms_norm_eps"),
    "other activation": (edit_config(hidden_act="relu"), "relu"),
    "unknown pooling": (add_pooling({"pooling_mode_max_tokens": True}), "pools"),
    "sliding window": (edit_config(use_sliding_window=True), "sliding"),
    "quantised": (edit_config(quantization_config={"quant_method": "gptq"}), "quantised"),
    "vocabulary too small": (edit_config(vocab_size=300), "shape"),
    "missing tensor": (replace_weights(norm=None), "model.norm.weight"),
    "surplus tensor": (replace_weights(surplus=(128,)), "q_proj.bias"),
    "surplus layer": (replace_weights(layer=(96, 64)), "layers.2"),
    "wrong shape": (replace_weights(query=(64, 128)), "q_proj"),
    "wrong dimensions": (replace_weights(query=(128, 64, 1)), "q_proj"),
    "truncated weights": (truncate("model.safetensors", 5000), "bytes"),
    "truncated table": (truncate("model.safetensors", 100), "table"),
    "empty weights": (truncate("model.safetensors", 0), "table"),
    "no weights": (remove("model.safetensors"), "no weights"),
    "no configuration": (remove("config.json"), "config.json"),
    "broken configuration": (truncate("config.json", 30), "config.json"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer.json"),
    "broken tokenizer": (truncate("tokenizer.json", 300), "tokenizer.json"),
    "other tokenizer": (edit_tokenizer("model.type", "Unigram"), "Unigram"),
    "other pattern": (
        edit_tokenizer("pre_tokenizer.pretokenizers.0.pattern", {"Regex": r"\w+"}),
        "pre-tokeniser",
    ),
    "other behaviour": (
        edit_tokenizer("pre_tokenizer.pretokenizers.0.behavior", "Removed"),
        "pre-tokeniser",
    ),
    "prefix space": (
        edit_tokenizer("pre_tokenizer.pretokenizers.1.add_prefix_space", True),
        "pre-tokeniser",
    ),
    "other normaliser": (edit_tokenizer("normalizer", {"type": "Lowercase"}), "Lowercase"),
    "ignored merges": (edit_tokenizer("model.ignore_merges", True), "ignore_merges"),
    "no merges": (edit_tokenizer("model.merges", []), "merges"),
    "merges of another form": (edit_tokenizer("model.merges", [1, 2]), "unknown form"),
    "token id out of range": (edit_tokenizer("model.vocab.zzz", 448), "448"),
    "token id as text": (edit_tokenizer("model.vocab.zzz", "x"), "no natural number"),
    "added tokens of another form": (edit_tokenizer("added_tokens", [1]), "unknown form"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults(fault: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Every fault is named in a CheckpointError, and no file is left."""
    plant, reason = FAULTS[fault]
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    plant(source)
    with pytest.raises(CheckpointError, match=reason) as caught:
        convert_model(ModelJob(source, tmp_path / "out" / "model.gguf"))
    assert caught.value.what and caught.value.why and caught.value.fix
    assert not list((tmp_path / "out").glob("*"))


def test_a_failure_keeps_the_old_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Values that do not fit f16 stop the conversion and leave the target as it was."""
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    replace_weights()(source)
    raw = bytearray((source / "model.safetensors").read_bytes())
    data_start = 8 + int.from_bytes(raw[:8], "little")
    raw[data_start : data_start + 4] = np.float32(1e6).tobytes()
    (source / "model.safetensors").write_bytes(raw)
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    with pytest.raises(CheckpointError, match="f16"):
        convert_model(ModelJob(source, target, "f16"))
    assert target.read_bytes() == b"old"
    assert convert_model(ModelJob(source, target, "bf16")).stat().st_size > 3


def test_nan_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A damaged weight is named."""
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    raw = bytearray((source / "model.safetensors").read_bytes())
    raw[-4:] = np.float32(np.nan).tobytes()
    (source / "model.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match="NaN"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))


def test_unknown_output_type(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The error lists the types that can be written."""
    with pytest.raises(CheckpointError, match="q8_0"):
        convert_model(ModelJob(tiny_checkpoint, tmp_path / "model.gguf", "q4_k_m"))


def test_shards_must_agree_with_their_index(tmp_path: Path) -> None:
    """A missing shard and a tensor in the wrong shard are both noticed."""
    source = qwen3_checkpoint(tmp_path / "sharded", Qwen3Shape(shards=3))
    index = source / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    wrong = dict.fromkeys(weight_map, "model-00001-of-00003.safetensors")
    index.write_text(json.dumps({"weight_map": wrong}))
    with pytest.raises(CheckpointError, match="disagree"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    with pytest.raises(CheckpointError, match="weight_map"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))
    index.write_text(json.dumps({"weight_map": weight_map}))
    (source / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="00002"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (edit_config(position_embedding_type="relative_key"), "absolute"),
        (edit_config(hidden_act="relu"), "relu"),
        (edit_config(type_vocab_size=None), "type_vocab_size"),
        (edit_tokenizer("model.type", "BPE"), "WordPiece"),
        (edit_tokenizer("pre_tokenizer.type", "Whitespace"), "WordPiece"),
        (add_pooling({"pooling_mode": "weighted"}), "pools"),
    ],
)
def test_encoder_faults(
    fault: Callable[[Path], None], reason: str, llama_cpp_source: Path, tmp_path: Path
) -> None:
    """The same for BERT."""
    vocab = llama_cpp_source / "models" / "ggml-vocab-bert-bge.gguf"
    source = minilm_checkpoint(tmp_path / "minilm", vocab)
    fault(source)
    with pytest.raises(CheckpointError, match=reason):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))


def test_tensors_stored_twice(tmp_path: Path) -> None:
    """Without an index, two files may not hold the same tensor."""
    source = qwen3_checkpoint(tmp_path / "twice")
    shutil.copy(source / "model.safetensors", source / "model-2.safetensors")
    with pytest.raises(CheckpointError, match="stored twice"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))


def test_a_configuration_that_is_no_object(tmp_path: Path) -> None:
    """A list in place of the configuration is named."""
    source = qwen3_checkpoint(tmp_path / "list")
    (source / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not an object"):
        convert_model(ModelJob(source, tmp_path / "model.gguf"))
