"""BERT encoders used for sentence embeddings, such as MiniLM.

The pooler and the training heads are dropped; keys and names are those of llama.cpp's
`conversion/bert.py`.
"""

from __future__ import annotations

import gguf

from ..checkpoint import Checkpoint
from ..pooling import write_pooling
from ..vocabulary import write_wordpiece
from . import Architecture, ExpectedTensor

UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def _plain_name(name: str) -> str | None:
    name = name.removeprefix("bert.")
    if name in UNUSED or name.startswith(("cls.predictions", "cls.seq_relationship")):
        return None
    if name.endswith(".gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith(".beta") else name


def _tensors(checkpoint: Checkpoint) -> dict[str, ExpectedTensor]:
    hidden, ffn = checkpoint.number("hidden_size"), checkpoint.number("intermediate_size")
    embeddings = {
        "word_embeddings": ("token_embd", checkpoint.number("vocab_size")),
        "position_embeddings": ("position_embd", checkpoint.number("max_position_embeddings")),
        "token_type_embeddings": ("token_types", checkpoint.number("type_vocab_size")),
    }
    expected = {
        f"embeddings.{theirs}.weight": ExpectedTensor(f"{ours}.weight", (rows, hidden))
        for theirs, (ours, rows) in embeddings.items()
    }
    norms = {"embeddings.LayerNorm": "token_embd_norm"}
    matrices: dict[str, tuple[str, tuple[int, int]]] = {}
    for layer in range(checkpoint.number("num_hidden_layers")):
        theirs, ours = f"encoder.layer.{layer}.", f"blk.{layer}."
        matrices[theirs + "attention.self.query"] = (ours + "attn_q", (hidden, hidden))
        matrices[theirs + "attention.self.key"] = (ours + "attn_k", (hidden, hidden))
        matrices[theirs + "attention.self.value"] = (ours + "attn_v", (hidden, hidden))
        matrices[theirs + "attention.output.dense"] = (ours + "attn_output", (hidden, hidden))
        matrices[theirs + "intermediate.dense"] = (ours + "ffn_up", (ffn, hidden))
        matrices[theirs + "output.dense"] = (ours + "ffn_down", (hidden, ffn))
        norms[theirs + "attention.output.LayerNorm"] = ours + "attn_output_norm"
        norms[theirs + "output.LayerNorm"] = ours + "layer_output_norm"
    for module, (name, shape) in matrices.items():
        expected[module + ".weight"] = ExpectedTensor(name + ".weight", shape)
        expected[module + ".bias"] = ExpectedTensor(name + ".bias", shape[:1])
    for module, name in norms.items():
        expected[module + ".weight"] = ExpectedTensor(name + ".weight", (hidden,))
        expected[module + ".bias"] = ExpectedTensor(name + ".bias", (hidden,))
    return expected


def _write_parameters(checkpoint: Checkpoint, writer: gguf.GGUFWriter, file_type: int) -> None:
    if checkpoint.config.get("position_embedding_type", "absolute") != "absolute":
        checkpoint.broken("only absolute position embeddings are supported for BERT")
    if checkpoint.config.get("hidden_act", "gelu") != "gelu":
        checkpoint.broken(f"the activation {checkpoint.config['hidden_act']} is not supported")
    writer.add_block_count(checkpoint.number("num_hidden_layers"))
    writer.add_context_length(checkpoint.number("max_position_embeddings"))
    writer.add_embedding_length(checkpoint.number("hidden_size"))
    writer.add_feed_forward_length(checkpoint.number("intermediate_size"))
    writer.add_head_count(checkpoint.number("num_attention_heads"))
    writer.add_layer_norm_eps(checkpoint.real("layer_norm_eps"))
    writer.add_file_type(file_type)
    writer.add_causal_attention(False)
    write_pooling(checkpoint, writer)


def _module_name(name: str) -> str | None:
    """Adapters for encoders are not supported."""
    return None


ARCHITECTURE = Architecture(
    "bert", _plain_name, _tensors, _write_parameters, write_wordpiece, _module_name
)
