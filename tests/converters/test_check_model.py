"""Model checks: valid models pass, and each kind of fault is named by its key or tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind

from expert_converters.check import check_model
from expert_converters.errors import ModelError
from expert_converters.gguf_file import inspect
from expert_converters.model import ModelJob, convert_model
from expert_converters.quantise import QuantiseJob, quantise
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.hostile_models import Contents
from support.real_vocabularies import minilm_checkpoint

Change = Callable[[Contents], None]
TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"


def drop(key: str) -> Change:
    """Leave a key out."""
    return lambda contents: contents.values.pop(key) and None


def put(key: str, value: Any, kind: Kind, element: Kind | None = None) -> Change:
    """Set a key to a value of a type."""
    return lambda contents: contents.values.update({key: (value, kind, element)})


def element(key: str, position: int, value: Any) -> Change:
    """Change one element of an array."""

    def change(contents: Contents) -> None:
        contents.values[key][0][position] = value

    return change


def shorten(key: str) -> Change:
    """Drop the last element of an array."""

    def change(contents: Contents) -> None:
        del contents.values[key][0][-1]

    return change


def tensor(name: str, shape: tuple[int, ...] | None, kind: Type = Type.F32) -> Change:
    """Put zeros of a shape (numpy order) and type in place of a tensor, or leave it out."""

    def change(contents: Contents) -> None:
        if shape is None:
            del contents.tensors[name]
            return
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = np.zeros(int(np.prod(shape)) // block * size, np.uint8)
        contents.tensors[name] = (data, kind, shape)

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "no architecture": (drop("general.architecture"), "general.architecture is missing"),
    "other architecture": (put("general.architecture", "llama", Kind.STRING), "llama"),
    "architecture as a number": (put("general.architecture", 3, Kind.UINT32), "UINT32"),
    "an adapter": (put("general.type", "adapter", Kind.STRING), "adapter"),
    "name as a number": (put("general.name", 3, Kind.UINT32), "general.name"),
    "alignment below the processor's": (put("general.alignment", 16, Kind.UINT32), "alignment"),
    "precision policy": (put("general.tensor_extra.name", ["a"], Kind.ARRAY), "tensor_extra"),
    "split file": (put("split.count", 2, Kind.UINT16), "split.count"),
    "no layers": (drop("qwen3.block_count"), "block_count is missing"),
    "zero layers": (put("qwen3.block_count", 0, Kind.UINT32), "expected 1 to 512"),
    "too many layers": (put("qwen3.block_count", 513, Kind.UINT32), "expected 1 to 512"),
    "more layers": (put("qwen3.block_count", 3, Kind.UINT32), "blk.2"),
    "fewer layers": (put("qwen3.block_count", 1, Kind.UINT32), "blk.1"),
    "layers as signed": (put("qwen3.block_count", 2, Kind.INT32), "INT32, expected UINT32"),
    "layers as text": (put("qwen3.block_count", "2", Kind.STRING), "STRING"),
    "heads per layer": (
        put("qwen3.attention.head_count", [4, 4], Kind.ARRAY, Kind.UINT32),
        "ARRAY",
    ),
    "no heads": (put("qwen3.attention.head_count", 0, Kind.UINT32), "head_count is 0"),
    "no key heads": (put("qwen3.attention.head_count_kv", 0, Kind.UINT32), "head_count_kv is 0"),
    "odd key heads": (put("qwen3.attention.head_count_kv", 3, Kind.UINT32), "do not divide"),
    "other value length": (put("qwen3.attention.value_length", 64, Kind.UINT32), "value_length"),
    "other key length": (drop("qwen3.attention.key_length"), "value_length"),
    "other rope dimensions": (put("qwen3.rope.dimension_count", 16, Kind.UINT32), "dimension"),
    "odd head length": (put("qwen3.attention.key_length", 31, Kind.UINT32), "key length 31"),
    "no epsilon": (drop("qwen3.attention.layer_norm_rms_epsilon"), "epsilon is missing"),
    "negative epsilon": (
        put("qwen3.attention.layer_norm_rms_epsilon", -1.0, Kind.FLOAT32),
        "epsilon is -1",
    ),
    "epsilon not a number": (
        put("qwen3.attention.layer_norm_rms_epsilon", float("nan"), Kind.FLOAT32),
        "nan",
    ),
    "infinite base": (put("qwen3.rope.freq_base", float("inf"), Kind.FLOAT32), "freq_base"),
    "unknown rope": (put("qwen3.rope.scaling.type", "longrope", Kind.STRING), "longrope"),
    "experts": (put("qwen3.expert_count", 4, Kind.UINT32), "expert_count"),
    "next-token layers": (put("qwen3.nextn_predict_layers", 1, Kind.UINT32), "nextn"),
    "reranker": (put("qwen3.pooling_type", 4, Kind.UINT32), "pooling_type"),
    "foreign key": (put("llama.block_count", 4, Kind.UINT32), "llama.block_count"),
    "no tokenizer": (drop("tokenizer.ggml.model"), "tokenizer.ggml.model"),
    "other tokenizer": (put("tokenizer.ggml.model", "llama", Kind.STRING), "'llama'"),
    "other pre-tokeniser": (put("tokenizer.ggml.pre", "gpt-2", Kind.STRING), "'gpt-2'"),
    "no pre-tokeniser": (drop("tokenizer.ggml.pre"), "None"),
    "no tokens": (drop(TOKENS), "tokens is missing"),
    "no types": (drop(TYPES), "token_type is missing"),
    "no merges": (drop("tokenizer.ggml.merges"), "merges is missing"),
    "tokens as numbers": (put(TOKENS, [1, 2], Kind.ARRAY, Kind.INT32), "not an array of STRING"),
    "types as text": (put(TYPES, ["a"], Kind.ARRAY, Kind.STRING), "not an array of INT32"),
    "merges as a text": (put("tokenizer.ggml.merges", "a b", Kind.STRING), "not an array"),
    "a token less": (shorten(TOKENS), "448 entries for 447 tokens"),
    "a type less": (shorten(TYPES), "447 entries for 448 tokens"),
    "a score less": (
        put("tokenizer.ggml.scores", [0.5] * 447, Kind.ARRAY, Kind.FLOAT32),
        "447 entries for 448 tokens",
    ),
    "same token twice": (element(TOKENS, 7, "a"), "same text twice"),
    "empty token": (element(TOKENS, 7, ""), "empty"),
    "endless token": (element(TOKENS, 7, "x" * 70_000), "65536 bytes"),
    "token not UTF-8": (element(TOKENS, 7, b"\xff"), "not UTF-8"),
    "byte token": (element(TYPES, 7, 6), "holds 6"),
    "token of no type": (element(TYPES, 7, -1), "holds -1"),
    "end outside": (put("tokenizer.ggml.eos_token_id", 448, Kind.UINT32), "448"),
    "end as signed": (put("tokenizer.ggml.eos_token_id", 4, Kind.INT32), "INT32"),
    "no end": (drop("tokenizer.ggml.eos_token_id"), "eos_token_id is missing"),
    "start added but not named": (
        put("tokenizer.ggml.add_bos_token", True, Kind.BOOL),
        "bos_token_id is missing",
    ),
    "flag as number": (put("tokenizer.ggml.add_bos_token", 1, Kind.UINT8), "UINT8"),
    "suppressed outside": (
        put("tokenizer.ggml.suppress_tokens", [3, 448], Kind.ARRAY, Kind.INT32),
        "448",
    ),
    "template as number": (put("tokenizer.chat_template", 1, Kind.UINT32), "chat_template"),
    "named template as number": (put("tokenizer.chat_template.a", 1, Kind.UINT32), "template.a"),
    "missing tensor": (tensor("blk.1.ffn_up.weight", None), "blk.1.ffn_up.weight"),
    "missing embedding": (tensor("token_embd.weight", None), "token_embd.weight"),
    "surplus tensor": (tensor("blk.0.attn_q.bias", (128,)), "attn_q.bias"),
    "fused tensor": (tensor("blk.0.attn_qkv.weight", (256, 64)), "attn_qkv"),
    "transposed tensor": (tensor("blk.0.attn_q.weight", (64, 128)), "attn_q.weight has the shape"),
    "third dimension": (tensor("blk.0.attn_q.weight", (2, 128, 64)), "attn_q.weight has the shape"),
    "other vocabulary": (tensor("token_embd.weight", (449, 64)), "expected .64, 448."),
    "output of another size": (tensor("output.weight", (447, 64)), "output.weight"),
    "half norm": (tensor("output_norm.weight", (64,), Type.F16), "output_norm.weight is of type"),
    "whole numbers": (tensor("blk.0.attn_q.weight", (128, 64), Type.I32), "I32"),
    "doubles": (tensor("blk.0.attn_q.weight", (128, 64), Type.F64), "F64"),
    "four-bit floats": (tensor("blk.0.attn_q.weight", (128, 64), Type.NVFP4), "NVFP4"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, tiny_gguf: Path, tmp_path: Path) -> None:
    """Each fault gives an error naming the key or tensor, what was expected and what was found."""
    change, reason = FAULTS[fault]
    contents = Contents(tiny_gguf)
    change(contents)
    contents.write(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=reason) as caught:
        check_model(inspect(tmp_path / "model.gguf"))
    assert caught.value.what and caught.value.fix


ALLOWED: dict[str, Change] = {
    "nothing": lambda contents: None,
    "an output matrix": tensor("output.weight", (448, 64)),
    "trailing dimensions of one": tensor("blk.0.attn_norm.weight", (1, 1, 64)),
    "half matrices": tensor("blk.0.attn_q.weight", (128, 64), Type.F16),
    "no key heads named": put("qwen3.attention.head_count_kv", 2, Kind.UINT32),
    "descriptions": put("general.description", "anything", Kind.STRING),
    "keys of our own": put("expert.base", "anything", Kind.STRING),
    "importance matrix": put("quantize.imatrix.file", "anything", Kind.STRING),
    "tokenizer keys of others": put("tokenizer.ggml.x", [1], Kind.ARRAY, Kind.INT32),
    "pooling": put("qwen3.pooling_type", 3, Kind.UINT32),
    "named templates": put("tokenizer.chat_templates", ["a"], Kind.ARRAY, Kind.STRING),
    "scores": put("tokenizer.ggml.scores", [0.5] * 448, Kind.ARRAY, Kind.FLOAT32),
    "wider alignment": put("general.alignment", 64, Kind.UINT32),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_harmless_variations_pass(case: str, tiny_gguf: Path, tmp_path: Path) -> None:
    """What other converters may write is accepted."""
    contents = Contents(tiny_gguf)
    ALLOWED[case](contents)
    contents.write(tmp_path / "model.gguf")
    check_model(inspect(tmp_path / "model.gguf"))


def test_quantised_models_pass(tmp_path: Path) -> None:
    """Every type the quantiser writes is allowed."""
    shape = Qwen3Shape(hidden_size=256, intermediate_size=256, head_dim=64)
    source = qwen3_checkpoint(tmp_path / "base", shape)
    model = convert_model(ModelJob(source, tmp_path / "model.gguf", "f32"))
    for kind in ("q4_k_m", "q2_k", "q3_k_l", "q5_0", "iq4_nl", "iq4_xs"):
        check_model(inspect(quantise(QuantiseJob(model, tmp_path / f"{kind}.gguf", kind))))


@pytest.fixture(scope="module")
def minilm(llama_cpp_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT encoder as GGUF."""
    folder = tmp_path_factory.mktemp("minilm")
    vocab = llama_cpp_source / "models" / "ggml-vocab-bert-bge.gguf"
    source = minilm_checkpoint(folder / "source", vocab)
    return convert_model(ModelJob(source, folder / "minilm.gguf", "f16"))


BERT_FAULTS: dict[str, tuple[Change, str]] = {
    "decoder": (drop("bert.attention.causal"), "attention.causal is missing"),
    "causal": (put("bert.attention.causal", True, Kind.BOOL), "attention.causal is True"),
    "heads": (put("bert.attention.head_count", 5, Kind.UINT32), "do not divide"),
    "no segments": (drop("tokenizer.ggml.token_type_count"), "token_type_count is missing"),
    "more segments": (put("tokenizer.ggml.token_type_count", 3, Kind.UINT32), "token_types"),
    "longer context": (put("bert.context_length", 129, Kind.UINT32), "position_embd"),
    "half segments": (tensor("token_types.weight", (2, 64), Type.F16), "expected F32"),
    "half positions": (tensor("position_embd.weight", (128, 64), Type.F16), "expected F32"),
    "missing bias": (tensor("blk.0.attn_q.bias", None), "attn_q.bias"),
    "head": (tensor("cls.weight", (64, 64)), "cls.weight"),
    "separator outside": (
        put("tokenizer.ggml.seperator_token_id", 99_999, Kind.UINT32),
        "99999",
    ),
    "other tokenizer": (put("tokenizer.ggml.model", "gpt2", Kind.STRING), "'gpt2'"),
}


@pytest.mark.parametrize("fault", BERT_FAULTS)
def test_encoder_faults_are_named(fault: str, minilm: Path, tmp_path: Path) -> None:
    """The same for BERT."""
    change, reason = BERT_FAULTS[fault]
    contents = Contents(minilm)
    change(contents)
    contents.write(tmp_path / "model.gguf")
    check_model(inspect(minilm))
    with pytest.raises(ModelError, match=reason):
        check_model(inspect(tmp_path / "model.gguf"))


def test_the_assumed_ids_of_a_small_encoder(minilm: Path, tmp_path: Path) -> None:
    """Without keys llama.cpp assumes ids 101 and 102, and aborts where they do not exist."""
    contents = Contents(minilm)
    for key in (TOKENS, TYPES):
        value, kind, item = contents.values[key]
        contents.values[key] = (value[:102], kind, item)
    contents.tensors["token_embd.weight"] = (
        np.zeros(102 * 64 * 4, np.uint8),
        Type.F32,
        (102, 64),
    )
    for name in ("seperator", "bos", "eos", "mask", "cls"):
        contents.values.pop(f"tokenizer.ggml.{name}_token_id", None)
    contents.write(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="seperator_token_id is 102"):
        check_model(inspect(tmp_path / "model.gguf"))
