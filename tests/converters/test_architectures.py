"""The architecture map and the names adapters use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expert_converters.adapter_base import read_base
from expert_converters.architectures import ARCHITECTURES, load_architecture
from expert_converters.errors import AdapterError, CheckpointError
from expert_converters.gguf_file import inspect
from expert_converters.identity import base_identity
from support.checkpoints import Qwen3Shape, qwen3_checkpoint, qwen3_tensor_shapes


@pytest.mark.parametrize("module", sorted(set(ARCHITECTURES.values())))
def test_every_module_describes_its_architecture(module: str) -> None:
    """Each entry of the map can be imported and is named as in GGUF keys."""
    assert load_architecture(module).name == module


def test_qwen3_modules_name_every_tensor() -> None:
    """GGUF names map to the modules of a real checkpoint, and unknown ones to nothing."""
    module_name = load_architecture("qwen3").module_name
    names = {"token_embd", "output_norm", "output"}
    layer = "attn_norm attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm"
    for part in f"{layer} ffn_norm ffn_gate ffn_up ffn_down".split():
        names |= {f"blk.{number}.{part}" for number in range(2)}
    modules = {f"{module_name(name)}.weight" for name in names}
    assert modules == set(qwen3_tensor_shapes(Qwen3Shape(tie_word_embeddings=False)))
    for name in ("blk.0", "blk.x.attn_q", "blk.0.attn_qkv", "cls", ""):
        assert module_name(name) is None


def test_bases_agree_however_they_are_given(
    tiny_checkpoint: Path, tiny_gguf: Path, untied_checkpoint: Path, untied_gguf: Path
) -> None:
    """A GGUF file and the folder it came from describe the same base; the file names it too."""
    for folder, file in ((tiny_checkpoint, tiny_gguf), (untied_checkpoint, untied_gguf)):
        assert read_base(file).identity == base_identity(inspect(file))
        assert read_base(folder) == replace(read_base(file), identity=None)
    assert read_base(tiny_gguf).tied and not read_base(untied_gguf).tied
    assert read_base(tiny_gguf).vocab_size == 448


def test_only_the_configuration_of_a_base_is_needed(tmp_path: Path) -> None:
    """A folder without weights serves as a base; one of an unknown architecture does not."""
    source = qwen3_checkpoint(tmp_path / "base")
    (source / "model.safetensors").unlink()
    assert read_base(source).shapes["blk.1.ffn_down.weight"] == (64, 96)
    config = (source / "config.json").read_text()
    (source / "config.json").write_text(config.replace("Qwen3ForCausalLM", "Other"))
    with pytest.raises(CheckpointError, match="Other"):
        read_base(source)


def test_encoders_take_no_adapter(llama_cpp_source: Path, tmp_path: Path) -> None:
    """A BERT base is refused with its reason."""
    from support.real_vocabularies import minilm_checkpoint

    vocab = llama_cpp_source / "models" / "ggml-vocab-bert-bge.gguf"
    with pytest.raises(AdapterError, match="bert"):
        read_base(minilm_checkpoint(tmp_path / "minilm", vocab))
