"""A Hugging Face checkpoint folder: its JSON files and its tensors, which may be sharded."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from yaml import YAMLError  # type: ignore[import-untyped]  # it publishes no hints

from .check_metadata import HUGE, MAX_LAYERS
from .errors import CheckpointError
from .safetensors_file import StoredTensor, read_safetensors

LARGEST_NUMBER = (1 << 32) - 1
LARGEST = {"num_hidden_layers": MAX_LAYERS}
"""What a number of `config.json` may be at most: GGUF's, unless it is counted up to."""
INDEX_FILE = "model.safetensors.index.json"


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint; `tensors` are in the order llama.cpp's converter writes them."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]

    @property
    def architecture(self) -> str:
        """Hugging Face's class name, such as `Qwen3ForCausalLM`."""
        names = self.config.get("architectures")
        return str(names[0]) if isinstance(names, list) and names else "(none)"

    def number(self, key: str) -> int:
        """Return the natural number *key* of `config.json`.

        Raises:
            CheckpointError: it is missing or something else.
        """
        value = self.config.get(key)
        if type(value) is not int or not 1 <= value <= LARGEST.get(key, LARGEST_NUMBER):
            self.broken(f"{key} in config.json is {value!r:.40}, not a positive number it can be")
        return value

    def real(self, key: str) -> float:
        """Return the positive number *key* of `config.json`.

        Raises:
            CheckpointError: it is missing or something else.
        """
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < HUGE:
            self.broken(f"{key} in config.json is {value!r:.40}, not a positive number")
        return value

    def broken(self, why: str) -> NoReturn:
        """Raise a CheckpointError about this folder."""
        raise CheckpointError(
            f"{self.folder} cannot be converted", why, "Fetch the whole checkpoint again."
        )


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the configuration and the tensor tables of the checkpoint in *folder*.

    Raises:
        CheckpointError: a file is missing or damaged, or the shards and their index disagree.
    """
    return Checkpoint(folder, read_json(folder / "config.json"), _read_tensors(folder))


def read_json(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a JSON object; a missing file gives *default* where there is one.

    Raises:
        CheckpointError: it is missing, unreadable or not a JSON object.
    """
    if default is not None and not path.is_file():
        return default
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read", error.strerror or str(error), "Fetch the whole checkpoint."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged", str(error), "Fetch the file again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is damaged", "it is not an object", "Fetch the file again.")
    return value


@contextmanager
def damaged_files_named(folder: Path) -> Iterator[None]:
    """Turn the surprises of a file of the wrong form into an error that says so.

    Raises:
        CheckpointError: in place of what reading or writing what the files say led to.
    """
    try:
        yield
    except (
        *(AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError),
        *(struct.error, YAMLError, RecursionError),
    ) as error:
        raise CheckpointError(
            f"{folder} cannot be converted",
            f"its tokenizer, configuration or model card is of an unknown form ({error!r})",
            "Fetch the whole folder again.",
        ) from error


def _read_tensors(folder: Path) -> dict[str, StoredTensor]:
    index_file = folder / INDEX_FILE
    if index_file.is_file():
        weight_map = read_json(index_file).get("weight_map")
        if not isinstance(weight_map, dict) or not _are_file_names(weight_map.values()):
            raise CheckpointError(f"{index_file} is damaged", "no weight_map", "Fetch it again.")
        parts = sorted(set(weight_map.values()))
    else:
        weight_map = None
        parts = sorted(path.name for path in folder.glob("model*.safetensors"))
    if not parts:
        raise CheckpointError(
            f"{folder} holds no weights", "there is no model*.safetensors", "Fetch the checkpoint."
        )
    tensors: dict[str, StoredTensor] = {}
    for part in parts:
        for name, tensor in sorted(read_safetensors(folder / part).items()):
            if name in tensors:
                raise CheckpointError(
                    f"{folder} is inconsistent", f"{name} is stored twice", "Fetch it again."
                )
            tensors[name] = tensor
    if weight_map is not None:
        _check_index(folder, weight_map, tensors)
    return tensors


def _are_file_names(values: Any) -> bool:
    return all(isinstance(name, str) and name == Path(name).name for name in values)


def _check_index(
    folder: Path, weight_map: dict[str, str], tensors: dict[str, StoredTensor]
) -> None:
    stored = {name: tensor.path.name for name, tensor in tensors.items()}
    if stored != weight_map:
        differing = sorted(
            name
            for name in stored.keys() | weight_map.keys()
            if stored.get(name) != weight_map.get(name)
        )
        raise CheckpointError(
            f"{folder} is inconsistent",
            f"the index and the shards disagree about {', '.join(differing[:3])}",
            "Fetch the missing shards.",
        )
