"""From the at-rest form to an adapter that llama.cpp attaches: Q8_0, in whole blocks of ranks.

That type is as quick as any, is fused with others byte by byte, and adds about a ten-thousandth to
what the packed form has lost already.
"""

from __future__ import annotations

from pathlib import Path

from ..gguf_types import GGMLType
from ..gguf_writer import Value
from .dense import LORA, metadata_of, quick_layout, write_lora
from .packed_file import KEY, read_packed
from .packing import unpack


def expand(source: Path, target: Path) -> float:
    """Write the packed adapter *source* as a GGUF LoRA and return the share of it that was lost.

    Raises:
        GGUFError: *source* is not a readable GGUF file.
        AdapterError: it is not a sound packed adapter.
    """
    packed = read_packed(source)
    parts = [(one, quick_layout(one, GGMLType.Q8_0)) for one in unpack(packed)]
    origin: dict[str, Value] = {f"{KEY}method": packed.method, f"{KEY}loss": packed.loss}
    write_lora(target, parts, metadata_of(packed, LORA) | origin)
    return packed.loss
