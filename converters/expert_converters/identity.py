"""Which base model a GGUF is, whatever its quantisation and its metadata's wording.

Norm tensors stay F32 in every quantisation, so their bytes tell weights apart that share a shape;
the hashes together name what an adapter was trained for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

from .gguf_file import ArrayValue, GGUFFile
from .gguf_types import GGMLType

PREFIX = "expert.base."
_TOKENIZER_KEYS = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
)


@dataclass(frozen=True, slots=True)
class BaseIdentity:
    """Architecture, and SHA-256 of tensor shapes, tokenizer, and F32 norm tensors, in hex."""

    architecture: str
    shapes: str
    tokenizer: str
    norms: str

    @property
    def short(self) -> str:
        """A name of it for people: eight hex digits over all parts."""
        parts = (self.architecture, self.shapes, self.tokenizer, self.norms)
        return _digest(part.encode() for part in parts)[:8]


def identity_keys(identity: BaseIdentity) -> dict[str, str]:
    """Return the metadata an adapter carries to name its base."""
    return {f"{PREFIX}{field.name}": getattr(identity, field.name) for field in fields(identity)}


def declared_identity(adapter: GGUFFile) -> BaseIdentity | None:
    """Return the base that an adapter names; None if it names none."""
    names = [field.name for field in fields(BaseIdentity)]
    parts = {name: adapter.metadata.get(PREFIX + name) for name in names}
    if None in parts.values():
        return None
    return BaseIdentity(**{name: str(value) for name, value in parts.items()})


def base_identity(model: GGUFFile) -> BaseIdentity:
    """Return the identity of a model file that `check_model` accepts."""
    names = sorted(model.tensors)
    shapes = (f"{name} {model.tensors[name].shape}\n".encode() for name in names)
    return BaseIdentity(
        str(model.metadata["general.architecture"]),
        _digest(shapes),
        _digest(_tokenizer(model)),
        _digest(_norms(model, names)),
    )


def _tokenizer(model: GGUFFile) -> Iterable[bytes]:
    for key in _TOKENIZER_KEYS:
        value = model.metadata.get(key, "")
        yield f"{key}\n".encode()
        if isinstance(value, ArrayValue):
            yield model.array_data(key)
        else:
            yield str(value).encode()


def _norms(model: GGUFFile, names: list[str]) -> Iterable[bytes]:
    for name in names:
        if name.endswith("_norm.weight") and model.tensors[name].type is GGMLType.F32:
            yield name.encode() + b"\n"
            yield bytes(model.tensor_bytes(name))


def _digest(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
