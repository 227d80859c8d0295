"""Writes a GGUF of the exact Qwen3-0.6B shape with random weights, for timing without a download.

Weights are scaled so that the layers outweigh the (tied) embedding in the residual stream: the
next-token distribution then has a few bits of entropy instead of repeating the last token.

    python make_qwen3_shape.py --vocab ggml-vocab-qwen2.gguf --type q4_k_m -o model.gguf
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from expert_converters.check import check_model
from expert_converters.files import replacing
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.quantise import FILE_TYPES, QuantiseJob, quantise

CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
END_OF_TEXT, IM_END = "<|endoftext|>", "<|im_end|>"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of Qwen3-0.6B."""

    layers: int = 28
    hidden: int = 1024
    ffn: int = 3072
    heads: int = 16
    kv_heads: int = 8
    head: int = 128
    context: int = 40_960
    vocab: int = 151_936

    def tensors(self) -> dict[str, tuple[tuple[int, ...], float]]:
        """Name to (shape, standard deviation); norms have a deviation of 0 around 1."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        found: dict[str, tuple[tuple[int, ...], float]] = {
            "token_embd.weight": ((self.vocab, self.hidden), 4.5 / math.sqrt(self.hidden)),
            "output_norm.weight": ((self.hidden,), 0.0),
        }
        inward = 1 / math.sqrt(self.hidden)
        block: dict[str, tuple[tuple[int, ...], float]] = {
            "attn_norm": ((self.hidden,), 0.0),
            "attn_q": ((queries, self.hidden), inward),
            "attn_k": ((keys, self.hidden), inward),
            "attn_v": ((keys, self.hidden), inward),
            "attn_output": ((self.hidden, queries), 0.7 / math.sqrt(queries)),
            "attn_q_norm": ((self.head,), 0.0),
            "attn_k_norm": ((self.head,), 0.0),
            "ffn_norm": ((self.hidden,), 0.0),
            "ffn_gate": ((self.ffn, self.hidden), inward),
            "ffn_up": ((self.ffn, self.hidden), inward),
            "ffn_down": ((self.hidden, self.ffn), 1.4 / math.sqrt(self.ffn)),
        }
        for layer in range(self.layers):
            found |= {f"blk.{layer}.{name}.weight": size for name, size in block.items()}
        return found


def write_f16(vocabulary: GGUFFile, target: Path, shape: Shape, seed: int) -> None:
    """Write the random model in f16, one tensor in memory at a time."""
    writer = gguf.GGUFWriter(None, "qwen3")
    tensors = shape.tensors()
    for name, (size, deviation) in tensors.items():
        kind = np.dtype("f2") if deviation else np.dtype("f4")
        writer.add_tensor_info(name, size, kind, math.prod(size) * kind.itemsize)
    _write_parameters(writer, shape)
    _write_vocabulary(writer, vocabulary)
    random = np.random.default_rng(seed)
    with replacing(target) as part:
        writer.write_header_to_file(part)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for size, deviation in tensors.values():
            writer.write_tensor_data(_values(random, size, deviation))
        writer.close()
        check_model(inspect(part))


def _values(
    random: np.random.Generator, size: tuple[int, ...], deviation: float
) -> NDArray[np.float16] | NDArray[np.float32]:
    if not deviation:
        return np.ones(size, np.float32)
    values = random.standard_normal(size, dtype=np.float32)
    values *= np.float32(deviation)
    return values.astype(np.float16)


def _write_parameters(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("Qwen3 0.6B shape, random")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_vocabulary(writer: gguf.GGUFWriter, vocabulary: GGUFFile) -> None:
    tokens = [str(token) for token in vocabulary.array("tokenizer.ggml.tokens")]
    types = vocabulary.array("tokenizer.ggml.token_type")
    unused = int(gguf.TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [
            unused if token.startswith("[PAD1") else int(kind)
            for token, kind in zip(tokens, types, strict=True)
        ]
    )
    writer.add_token_merges([str(merge) for merge in vocabulary.array("tokenizer.ggml.merges")])
    writer.add_eos_token_id(tokens.index(IM_END))
    writer.add_pad_token_id(tokens.index(END_OF_TEXT))
    writer.add_bos_token_id(tokens.index(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def main() -> None:
    """Write the model the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vocab", type=Path, required=True, help="ggml-vocab-qwen2.gguf")
    parser.add_argument("--type", choices=sorted(FILE_TYPES), default="q4_k_m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    vocabulary = inspect(options.vocab)
    if options.type == "f16":
        write_f16(vocabulary, options.output, Shape(), options.seed)
        return
    source = options.output.with_suffix(".f16.gguf")
    try:
        write_f16(vocabulary, source, Shape(), options.seed)
        quantise(QuantiseJob(source, options.output, options.type))
    finally:
        source.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
