"""The base models on this machine: the embedded one, and GGUF files in the models folder."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from expert import resources
from expert.errors import NotFoundError
from expert.models.catalogue import find_listed
from expert.paths import expanded, user_paths


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model file and the name people type for it."""

    name: str
    path: Path
    embedded: bool = False

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size


def local_models() -> list[BaseModel]:
    """Return every model that can be named, the embedded one first."""
    found = []
    pocket = resources.pocket()
    if pocket.is_file():
        found.append(BaseModel("pocket", pocket, embedded=True))
    folder = user_paths().models
    if folder.is_dir():
        found += [BaseModel(path.stem, path) for path in sorted(folder.glob("*.gguf"))]
    return found


def find_model(name: str) -> BaseModel:
    """Return the model called *name*, or the file at that path.

    Raises:
        NotFoundError: neither exists.
    """
    known = {model.name: model for model in reversed(local_models())}
    if name in known:
        return known[name]
    path = expanded(name)
    if path.is_file():
        return BaseModel(path.stem, path.absolute())
    if find_listed(name) is not None:
        raise NotFoundError(
            f"The model {name} is not on this machine yet.",
            "It is one of the models that Expert can fetch.",
            f"expert model pull {name}",
        )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise NotFoundError(
        f"There is no model {name!r}.",
        f"It is neither a file nor one of: {', '.join(known) or 'none'}.",
        f"{hint}Give a path to a GGUF file, or put it into {user_paths().models}.",
    )
