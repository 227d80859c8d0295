"""Turns the vocabularies in llama.cpp's sources back into the tokenizer files they came from.

They are the real Qwen2 and BERT vocabularies, so llama.cpp's converter recognises them by its
hash, without a download.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expert_converters.gguf_file import GGUFFile, inspect
from support.checkpoints import QWEN2_PATTERN, Qwen3Shape, qwen3_checkpoint, write_safetensors

NORMAL, CONTROL, PADDING = 1, 3, 4


def qwen2_vocabulary_checkpoint(folder: Path, vocab: Path) -> Path:
    """Write a tiny Qwen3 with the Qwen2 vocabulary of llama.cpp's `ggml-vocab-qwen2.gguf`."""
    source = inspect(vocab)
    tokens = source.array("tokenizer.ggml.tokens")
    types = source.array("tokenizer.ggml.token_type")
    shape = Qwen3Shape(hidden_size=32, num_hidden_layers=1, vocab_size=len(tokens))
    qwen3_checkpoint(folder, shape)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    by_type: dict[int, dict[str, int]] = {NORMAL: {}, CONTROL: {}, PADDING: {}}
    for token, (text, kind) in enumerate(zip(tokens, types, strict=True)):
        by_type[int(kind)][str(text)] = token
    tokenizer["model"]["vocab"] = by_type[NORMAL]
    tokenizer["model"]["merges"] = source.array("tokenizer.ggml.merges")
    tokenizer["added_tokens"] = _added_tokens(by_type[CONTROL])
    assert tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] == QWEN2_PATTERN
    text = json.dumps(tokenizer, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    return folder


def minilm_checkpoint(
    folder: Path, vocab: Path, *, prefix: str = "", old_names: bool = False
) -> Path:
    """Write a tiny MiniLM with the BERT vocabulary of llama.cpp's `ggml-vocab-bert-bge.gguf`.

    Args:
        folder: where to.
        vocab: the GGUF vocabulary.
        prefix: put before every tensor name, as `BertForMaskedLM` has it.
        old_names: call the norms' parameters gamma and beta, as early checkpoints do.
    """
    source = inspect(vocab)
    folder.mkdir(parents=True)
    tokens = _wordpiece_tokens(source)
    _write_json(folder / "config.json", _bert_config(len(tokens)))
    _write_json(folder / "tokenizer.json", _wordpiece_json(tokens))
    special = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    settings: dict[str, Any] = {f"{kind}_token": text for kind, text in special.items()}
    settings |= {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    _write_json(folder / "tokenizer_config.json", settings)
    models = "sentence_transformers.models."
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": models + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": models + "Pooling"},
    ]
    _write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    _write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    weights = _bert_weights(len(tokens))
    if old_names:
        weights = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in weights.items()
        }
    weights = {prefix + name: value for name, value in weights.items()}
    write_safetensors(folder / "model.safetensors", weights, "float32")
    return folder


def _added_tokens(special: dict[str, int]) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": token, "content": text, "special": True} | flags for text, token in special.items()
    ]


def _wordpiece_tokens(source: GGUFFile) -> dict[str, int]:
    texts = [str(text) for text in source.array("tokenizer.ggml.tokens")]
    types = source.array("tokenizer.ggml.token_type")
    tokens = {}
    for token, (text, kind) in enumerate(zip(texts, types, strict=True)):
        if kind == NORMAL:
            text = text[1:] if text.startswith("\u2581") else "##" + text
        tokens[text] = token
    return tokens


def _wordpiece_json(tokens: dict[str, int]) -> dict[str, Any]:
    special = {text: tokens[text] for text in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    cls, sep = ({"SpecialToken": {"id": text, "type_id": 0}} for text in ("[CLS]", "[SEP]"))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(special),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, first, sep],
            "pair": [cls, first, sep, second, sep],
            "special_tokens": {
                text: {"id": text, "ids": [tokens[text]], "tokens": [text]}
                for text in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": tokens,
        },
    }


def _bert_config(vocab_size: int) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 128,
        "model_type": "bert",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": vocab_size,
    }


def _bert_weights(vocab_size: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(3)
    hidden, ffn = 64, 96
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocab_size, hidden),
        "embeddings.position_embeddings.weight": (128, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    modules: dict[str, tuple[int, ...]] = {"embeddings.LayerNorm": (hidden,)}
    for layer in range(2):
        block = f"encoder.layer.{layer}."
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            modules[f"{block}attention.{name}"] = (hidden, hidden)
        modules[block + "attention.output.LayerNorm"] = (hidden,)
        modules[block + "intermediate.dense"] = (ffn, hidden)
        modules[block + "output.dense"] = (hidden, ffn)
        modules[block + "output.LayerNorm"] = (hidden,)
    for name, shape in modules.items():
        shapes |= {name + ".weight": shape, name + ".bias": shape[:1]}
    weights = {}
    for name, shape in shapes.items():
        values = random.standard_normal(shape, dtype=np.float32)
        is_norm = name.endswith("LayerNorm.weight")
        weights[name] = 1 + 0.1 * values if is_norm else 0.1 * values
    return weights


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
