"""How a sentence-transformers model pools its token embeddings, read from `modules.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf

from .checkpoint import Checkpoint, read_json

FLAGS = {
    "pooling_mode_mean_tokens": gguf.PoolingType.MEAN,
    "pooling_mode_cls_token": gguf.PoolingType.CLS,
    "pooling_mode_lasttoken": gguf.PoolingType.LAST,
}
NAMES = {
    "mean": gguf.PoolingType.MEAN,
    "cls": gguf.PoolingType.CLS,
    "lasttoken": gguf.PoolingType.LAST,
}


def write_pooling(checkpoint: Checkpoint, writer: gguf.GGUFWriter) -> None:
    """Add the pooling type, if the checkpoint has a pooling module.

    Raises:
        CheckpointError: it pools in another way than mean, first or last token.
    """
    folder = _pooling_folder(checkpoint.folder)
    if folder is None:
        return
    pooling = read_json(checkpoint.folder / folder / "config.json")
    for flag, kind in FLAGS.items():
        if pooling.get(flag):
            writer.add_pooling_type(kind)
            return
    if pooling.get("pooling_mode") not in NAMES:
        checkpoint.broken("it pools in another way than by mean, first or last token")
    writer.add_pooling_type(NAMES[pooling["pooling_mode"]])


def _pooling_folder(folder: Path) -> str | None:
    try:
        modules: Any = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for module in modules if isinstance(modules, list) else []:
        if str(module.get("type", "")).endswith("Pooling"):
            return Path(str(module.get("path", ""))).name
    return None
