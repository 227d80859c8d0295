"""The type tables against gguf-py's."""

from __future__ import annotations

import struct

import gguf

from expert_converters.gguf_types import STRUCT_CODE, GGMLType, ValueType


def test_tensor_types_equal_gguf_py() -> None:
    """Every tensor type gguf-py knows has its number, block and size here."""
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        ours = GGMLType(kind.value)
        if ours is GGMLType.Q8_1:
            # gguf-py had two floats a block where ggml-common.h has two halves.
            size = 36
        assert (ours.name, ours.block_size, ours.type_size) == (kind.name, block, size)


def test_value_types_equal_gguf_py() -> None:
    """Every metadata type has gguf-py's number and, where it is fixed, its size."""
    assert {kind.name: kind.value for kind in ValueType} == {
        kind.name: kind.value for kind in gguf.GGUFValueType
    }
    sizes = {kind: struct.calcsize(code) for kind, code in STRUCT_CODE.items()}
    assert sizes[ValueType.BOOL] == 1 and sizes[ValueType.UINT16] == 2
    assert sizes[ValueType.FLOAT32] == 4 and sizes[ValueType.FLOAT64] == 8
    assert ValueType.STRING not in sizes and ValueType.ARRAY not in sizes
