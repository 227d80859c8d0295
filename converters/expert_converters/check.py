"""Decides whether a GGUF model is safe to hand to llama.cpp, which aborts the process otherwise.

Everything llama.cpp reads is checked first: keys, tokenizer, and every tensor's shape and type
against the hyperparameters. `check_adapter` does the same for LoRA adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .check_adapter import check_adapter
from .check_metadata import check_metadata, number, refuse
from .check_vocabulary import PREFIX, check_vocabulary
from .gguf_file import GGUFFile
from .gguf_types import GGMLType

__all__ = ["check_adapter", "check_model"]

F32_ONLY = frozenset({GGMLType.F32})
_Q = GGMLType
MATRIX_TYPES = frozenset(
    {
        *(_Q.F32, _Q.F16, _Q.BF16),
        *(_Q.Q4_0, _Q.Q4_1, _Q.Q5_0, _Q.Q5_1, _Q.Q8_0),
        *(_Q.Q2_K, _Q.Q3_K, _Q.Q4_K, _Q.Q5_K, _Q.Q6_K),
        *(_Q.IQ4_NL, _Q.IQ4_XS, _Q.IQ3_S, _Q.IQ3_XXS, _Q.IQ2_XXS, _Q.IQ2_XS, _Q.IQ2_S),
        *(_Q.IQ1_S, _Q.IQ1_M, _Q.TQ1_0, _Q.TQ2_0),
    }
)
"""Types that llama.cpp multiplies and gathers rows of on every processor."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Shape (ggml order) and allowed types of one tensor."""

    shape: tuple[int, ...]
    required: bool = True
    f32: bool = False

    @property
    def types(self) -> frozenset[GGMLType]:
        return F32_ONLY if self.f32 or len(self.shape) == 1 else MATRIX_TYPES


def check_model(gguf: GGUFFile) -> None:
    """Check that llama.cpp can load the model *gguf* without aborting.

    Raises:
        ModelError: it names the key or tensor, what was expected, and what was found.
    """
    architecture = check_metadata(gguf)
    vocab_size = check_vocabulary(gguf, architecture)
    wanted = TENSORS[architecture](gguf, vocab_size)
    _check_tensors(gguf, wanted)


def _check_tensors(gguf: GGUFFile, wanted: dict[str, Wanted]) -> None:
    for name, tensor in gguf.tensors.items():
        rule = wanted.get(name)
        if rule is None:
            refuse(gguf, f"the tensor {name} is not one this architecture has")
        if _plain_shape(tensor.shape) != _plain_shape(rule.shape):
            refuse(gguf, f"{name} has the shape {tensor.shape}, expected {rule.shape}")
        if tensor.type not in rule.types:
            allowed = "F32" if rule.types is F32_ONLY else "a float or quantised type"
            refuse(gguf, f"{name} is of type {tensor.type.name}, expected {allowed}")
    missing = [name for name, rule in wanted.items() if rule.required and name not in gguf.tensors]
    if missing:
        refuse(gguf, f"{len(missing)} tensors are missing, among them {missing[0]}")


def _plain_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop the trailing ones that ggml adds to every shape."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _qwen3_tensors(gguf: GGUFFile, vocab_size: int) -> dict[str, Wanted]:
    hidden, ffn = number(gguf, "qwen3.embedding_length"), number(gguf, "qwen3.feed_forward_length")
    heads = number(gguf, "qwen3.attention.head_count")
    kv_heads = number(gguf, "qwen3.attention.head_count_kv", heads)
    head = number(gguf, "qwen3.attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if number(gguf, f"qwen3.{key}", head) != head:
            refuse(gguf, f"qwen3.{key} differs from the key length {head}")
    if heads % kv_heads:
        refuse(gguf, f"{heads} attention heads do not divide into {kv_heads} key-value heads")
    if head < 2 or head % 2:
        refuse(gguf, f"the head length is {head}, expected an even number")
    queries, keys = heads * head, kv_heads * head
    wanted = {
        "token_embd.weight": Wanted((hidden, vocab_size)),
        "output_norm.weight": Wanted((hidden,)),
        "output.weight": Wanted((hidden, vocab_size), required=False),
    }
    for layer in range(number(gguf, "qwen3.block_count")):
        block = {
            "attn_norm": (hidden,),
            "attn_q": (hidden, queries),
            "attn_k": (hidden, keys),
            "attn_v": (hidden, keys),
            "attn_output": (queries, hidden),
            "attn_q_norm": (head,),
            "attn_k_norm": (head,),
            "ffn_norm": (hidden,),
            "ffn_gate": (hidden, ffn),
            "ffn_up": (hidden, ffn),
            "ffn_down": (ffn, hidden),
        }
        wanted |= {f"blk.{layer}.{name}.weight": Wanted(shape) for name, shape in block.items()}
    return wanted


def _bert_tensors(gguf: GGUFFile, vocab_size: int) -> dict[str, Wanted]:
    hidden, ffn = number(gguf, "bert.embedding_length"), number(gguf, "bert.feed_forward_length")
    heads, context = number(gguf, "bert.attention.head_count"), number(gguf, "bert.context_length")
    segments = number(gguf, PREFIX + "token_type_count", 0)
    if hidden % heads:
        refuse(gguf, f"{hidden} dimensions do not divide into {heads} attention heads")
    if segments == 0:
        refuse(gguf, f"the key {PREFIX}token_type_count is missing")
    wanted = {
        "token_embd.weight": Wanted((hidden, vocab_size)),
        "position_embd.weight": Wanted((hidden, context), f32=True),
        "token_types.weight": Wanted((hidden, segments), f32=True),
    }
    matrices: dict[str, tuple[int, int]] = {}
    norms = ["token_embd_norm"]
    for layer in range(number(gguf, "bert.block_count")):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrices[block + name] = (hidden, hidden)
        matrices[block + "ffn_up"] = (hidden, ffn)
        matrices[block + "ffn_down"] = (ffn, hidden)
        norms += [block + "attn_output_norm", block + "layer_output_norm"]
    for name, shape in matrices.items():
        wanted[name + ".weight"] = Wanted(shape)
        wanted[name + ".bias"] = Wanted(shape[1:])
    for name in norms:
        wanted |= {name + ".weight": Wanted((hidden,)), name + ".bias": Wanted((hidden,))}
    return wanted


TENSORS: dict[str, Callable[[GGUFFile, int], dict[str, Wanted]]] = {
    "qwen3": _qwen3_tensors,
    "bert": _bert_tensors,
}
