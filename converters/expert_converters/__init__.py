"""Converters between Hugging Face checkpoints, PEFT adapters and GGUF; stands alone from `expert`.

`inspect` is the quick GGUF reader everyone uses; the rest is imported from the module that does it:
`check` (is it safe for llama.cpp), `model` (checkpoints), `lora` and `lora_export` (adapters),
`kinds` (adapters of every PEFT kind), `fuse` and `interference` (several adapters), `quantise`
(K-quants).
"""

from .errors import ConversionError
from .gguf_file import GGUFFile, inspect

__all__ = ["ConversionError", "GGUFFile", "inspect"]
