"""Going on from a finished base: its weights, tokenizer and log become the start of a new run.

The optimiser's averages are not in a GGUF; they are found again within a few dozen steps.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import torch
from gguf import GGUFReader
from tokenizers import Tokenizer, models
from torch import Tensor

from expert.train.tokenizer import byte_level, complete
from expert_converters.architectures import load_architecture

LOG = "log.jsonl"


def base_file(folder: Path) -> Path:
    """Return the one GGUF of a base's folder.

    Raises:
        FileNotFoundError: there is none, or more than one.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise FileNotFoundError(f"{folder} needs exactly one .gguf, found {len(files)}")
    return files[0]


def read_weights(model: Path) -> dict[str, Tensor]:
    """Return the weights of a Qwen3 GGUF by their names in a checkpoint, float32.

    Raises:
        ValueError: a tensor is not one of Qwen3's.
    """
    module_name = load_architecture("qwen3").module_name
    weights = {}
    for tensor in GGUFReader(model).tensors:
        stem = module_name(tensor.name.removesuffix(".weight"))
        if stem is None:
            raise ValueError(f"{model} is not a Qwen3 model: it has a tensor {tensor.name}")
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        weights[f"{stem}.weight"] = torch.from_numpy(values.copy()).float()
    return weights


def read_tokenizer(model: Path) -> Tokenizer:
    """Return the byte-level BPE tokenizer of a GGUF."""
    fields = GGUFReader(model).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    learnt = {
        token: number
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind != gguf.TokenType.USER_DEFINED
    }
    return complete(byte_level(models.BPE(vocab=learnt, merges=merges)))


def start_from(base: Path, run: Path) -> None:
    """Give a new run the tokenizer and the log of the base in the folder *base*."""
    if not (run / "tokenizer.json").exists():
        partial = run / "tokenizer.json.part"
        read_tokenizer(base_file(base)).save(str(partial))
        os.replace(partial, run / "tokenizer.json")
    shutil.copyfile(base / LOG, run / LOG)


def last_record(run: Path) -> dict[str, Any]:
    """Return the last line of a run's log."""
    record: dict[str, Any] = json.loads((run / LOG).read_text(encoding="utf-8").splitlines()[-1])
    return record
