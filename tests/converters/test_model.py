"""Hugging Face to GGUF: the same file as llama.cpp's converter, and the same logits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters.check import check_model
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.model import ModelJob, convert_model
from expert_converters.safetensors_file import read_safetensors
from support.checkpoints import CHAT_TEMPLATE, Qwen3Shape, qwen3_checkpoint, write_safetensors
from support.converter_peers import (
    assert_same_gguf,
    llama_logits,
    low_level,
    model_job,
    run_llama_cpp_converter,
)
from support.real_vocabularies import minilm_checkpoint, qwen2_vocabulary_checkpoint

TOKENS = [5, 17, 300, 42, 9, 401, 11, 250]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
UNTIED = Qwen3Shape(tie_word_embeddings=False)
CASES = {
    "tied-f32": (Qwen3Shape(), "f32"),
    "tied-f16": (Qwen3Shape(), "f16"),
    "tied-bf16": (Qwen3Shape(dtype="bfloat16"), "bf16"),
    "tied-q8_0": (Qwen3Shape(dtype="float16"), "q8_0"),
    "untied-sharded-bf16-to-f32": (replace(UNTIED, shards=3, dtype="bfloat16"), "f32"),
    "untied-f16-to-bf16": (replace(UNTIED, dtype="float16"), "bf16"),
    "untied-bf16-to-q8_0": (replace(UNTIED, dtype="bfloat16"), "q8_0"),
    "yarn": (replace(UNTIED, rope_scaling=YARN), "f16"),
    "yarn-old-key": (
        Qwen3Shape(rope_scaling={"type": "yarn"} | {k: v for k, v in YARN.items() if k[0] != "r"}),
        "f16",
    ),
    "linear": (Qwen3Shape(rope_scaling={"rope_type": "linear", "factor": 2.0}), "f16"),
    "rows-not-of-whole-blocks": (Qwen3Shape(hidden_size=72), "q8_0"),
}


@pytest.mark.slow
def test_qwen3_files_equal_llama_cpp(llama_cpp_source: Path, tmp_path: Path) -> None:
    """Every kind of Qwen3 gives the file of llama.cpp's converter, byte by byte."""
    for name, (shape, _) in CASES.items():
        qwen3_checkpoint(tmp_path / name, shape)
    jobs = [
        model_job(tmp_path / name, tmp_path / f"theirs-{name}.gguf", kind)
        for name, (_, kind) in CASES.items()
    ]
    run_llama_cpp_converter(llama_cpp_source, jobs)
    for name, (_, kind) in CASES.items():
        ours = convert_model(ModelJob(tmp_path / name, tmp_path / f"ours-{name}.gguf", kind))
        assert_same_gguf(ours, tmp_path / f"theirs-{name}.gguf")


@pytest.mark.slow
def test_real_vocabularies_equal_llama_cpp(llama_cpp_source: Path, tmp_path: Path) -> None:
    """Qwen2's 151,936 tokens and BERT's 30,522 come out as from llama.cpp's converter."""
    models = llama_cpp_source / "models"
    bert = models / "ggml-vocab-bert-bge.gguf"
    sources = {
        "qwen": qwen2_vocabulary_checkpoint(tmp_path / "qwen", models / "ggml-vocab-qwen2.gguf"),
        "minilm": minilm_checkpoint(tmp_path / "minilm", bert),
        "old": minilm_checkpoint(tmp_path / "old", bert, prefix="bert.", old_names=True),
    }
    jobs = [
        model_job(source, tmp_path / f"theirs-{name}.gguf", "f16", pre=None)
        for name, source in sources.items()
    ]
    run_llama_cpp_converter(llama_cpp_source, jobs)
    for name, source in sources.items():
        ours = convert_model(ModelJob(source, tmp_path / f"ours-{name}.gguf", "f16"))
        assert_same_gguf(ours, tmp_path / f"theirs-{name}.gguf")


@pytest.mark.slow
def test_checkpoints_saved_by_transformers_equal_llama_cpp(
    llama_cpp_source: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The configuration and tokenizer files transformers itself writes are understood."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = tmp_path / "saved-qwen3"
    AutoModelForCausalLM.from_pretrained(tiny_checkpoint).save_pretrained(source)
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(source)
    run_llama_cpp_converter(llama_cpp_source, [model_job(source, tmp_path / "theirs.gguf", "f32")])
    ours = convert_model(ModelJob(source, tmp_path / "ours.gguf", "f32"))
    assert_same_gguf(ours, tmp_path / "theirs.gguf")


@pytest.mark.slow
def test_embedding_models_equal_llama_cpp(llama_cpp_source: Path, tmp_path: Path) -> None:
    """The layout of Qwen3-Embedding: no prefix, an end token added, pooled by the last token."""
    source = qwen3_checkpoint(tmp_path / "qwen3-embedding")
    weights = {
        name.removeprefix("model."): tensor.load().astype(np.float32)
        for name, tensor in read_safetensors(source / "model.safetensors").items()
    }
    write_safetensors(source / "model.safetensors", weights, "bfloat16")
    end = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    template = {
        "type": "TemplateProcessing",
        "single": [first, end],
        "pair": [first, end, second, end],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [400], "tokens": ["<|endoftext|>"]}
        },
    }
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    steps = [tokenizer["post_processor"], template]
    tokenizer["post_processor"] = {"type": "Sequence", "processors": steps}
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    module = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (source / "modules.json").write_text(json.dumps([module]))
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')

    run_llama_cpp_converter(llama_cpp_source, [model_job(source, tmp_path / "theirs.gguf", "f16")])
    ours = convert_model(ModelJob(source, tmp_path / "ours.gguf", "f16"))
    assert inspect(ours).metadata["qwen3.pooling_type"] == 3
    assert_same_gguf(ours, tmp_path / "theirs.gguf")


@pytest.mark.parametrize(
    "shape",
    [Qwen3Shape(), UNTIED, Qwen3Shape(rope_scaling=YARN), Qwen3Shape(dtype="bfloat16", shards=2)],
    ids=["tied", "untied", "yarn", "sharded-bf16"],
)
def test_logits_equal_transformers(shape: Qwen3Shape, tmp_path: Path) -> None:
    """llama.cpp computes from our file what transformers computes from the checkpoint."""
    import torch
    from transformers import AutoModelForCausalLM

    source = qwen3_checkpoint(tmp_path / "tiny-qwen3", shape)
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.no_grad():
        expected = model(torch.tensor([TOKENS])).logits[0].numpy()
    target = convert_model(ModelJob(source, tmp_path / "model.gguf", "f32"))
    np.testing.assert_allclose(llama_logits(target, TOKENS), expected, atol=5e-5)


def test_tokens_equal_transformers(tiny_checkpoint: Path, tiny_gguf: Path) -> None:
    """llama.cpp splits text into the ids the checkpoint's tokenizer gives."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))
    with low_level() as lib:
        parameters = lib.llama_model_default_params()
        parameters.vocab_only = True
        model = lib.llama_model_load_from_file(str(tiny_gguf).encode(), parameters)
        vocab = lib.llama_model_get_vocab(model)
        for text in (
            "It's 36 o'clock, isn't it?\n\n  Yes!",
            "<|im_start|>user\nçéñ 你好 🚀<|im_end|>\n",
            "<think>\nx = 12345\t</think>",
            "   leading\r\nand  trailing   ",
        ):
            raw = text.encode()
            ids = (lib.llama_token * 256)()
            count = lib.llama_tokenize(vocab, raw, len(raw), ids, 256, False, True)
            assert list(ids[:count]) == tokenizer.encode(text).ids
        lib.llama_model_free(model)


def test_metadata_of_a_tiny_model(tiny_gguf: Path) -> None:
    """Names, sampling defaults, tokenizer flags and the template are where readers look."""
    found = inspect(tiny_gguf).metadata
    assert found["general.architecture"] == "qwen3"
    assert found["general.sampling.top_k"] == 20
    assert found["general.sampling.temp"] == pytest.approx(0.6)
    assert found["tokenizer.ggml.pre"] == "qwen2"
    assert found["tokenizer.ggml.eos_token_id"] == 402
    assert found["tokenizer.ggml.padding_token_id"] == 400
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert found["tokenizer.chat_template"] == CHAT_TEMPLATE
    types = inspect(tiny_gguf).array("tokenizer.ggml.token_type")
    assert types[399:406] == [1, 3, 3, 3, 4, 4, 5]


def test_the_jinja_file_is_preferred(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As in transformers, chat_template.jinja comes before .json and the tokenizer's own."""
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    (source / "chat_template.json").write_text('{"chat_template": "from json"}')
    target = convert_model(ModelJob(source, tmp_path / "a.gguf"))
    assert inspect(target).metadata["tokenizer.chat_template"] == "from json"
    (source / "chat_template.jinja").write_text("from jinja")
    target = convert_model(ModelJob(source, tmp_path / "b.gguf"))
    assert inspect(target).metadata["tokenizer.chat_template"] == "from jinja"


def test_progress_and_name(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The callback counts tensors, and a given name is kept."""
    seen: list[tuple[int, int]] = []
    job = ModelJob(tiny_checkpoint, tmp_path / "model.gguf", "q8_0", name="Pocket")
    convert_model(job, lambda done, total: seen.append((done, total)))
    found = inspect(job.target)
    assert seen == [(done, 24) for done in range(1, 25)]
    assert found.metadata["general.name"] == "Pocket"
    assert found.tensors["blk.0.attn_q.weight"].type is GGMLType.Q8_0
    assert found.tensors["blk.0.attn_norm.weight"].type is GGMLType.F32
    check_model(found)


def test_memory_holds_few_rows_at_a_time(tmp_path: Path) -> None:
    """Converting needs less memory than the largest tensor has."""
    import tracemalloc

    shape = Qwen3Shape(num_hidden_layers=1, intermediate_size=200_000, dtype="bfloat16")
    source = qwen3_checkpoint(tmp_path / "wide", shape)
    tracemalloc.start()
    try:
        convert_model(ModelJob(source, tmp_path / "model.gguf", "q8_0"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * 200_000 * 64 * 4
