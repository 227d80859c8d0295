"""Adapters at rest, made into what llama.cpp attaches: once a content, kept in the cache folder."""

import hashlib
from pathlib import Path

import msgspec

from expert.engine.header import file_identity, recall, remember
from expert.errors import NotFoundError, ResourceError, VerificationError
from expert.paths import user_paths
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect

_PACKED = "packed-adapter"  # as in `packed_file`, whose import costs numpy
_KEPT_BYTES = 1 << 30  # of expanded adapters on disk; the oldest go first


class _Expanded(msgspec.Struct, frozen=True):
    """What became of a packed file."""

    path: str
    identity: str
    """Of the expanded file, when it was made: another one is not trusted."""


def attachable(path: Path) -> Path:
    """Return *path*, or the expanded form of the packed adapter that is there.

    What is no packed adapter is returned unseen; its own check says what is wrong with it.

    Raises:
        NotFoundError: it cannot be read.
        VerificationError: it is a packed adapter, and damaged or hostile.
        ResourceError: the cache folder cannot be written.
    """
    try:
        packed = inspect(path).metadata.get("general.type") == _PACKED
    except ConversionError:
        return path
    return _expanded(path) if packed else path


def _expanded(path: Path) -> Path:
    try:
        key = file_identity(path, "expanded")
        known = recall(key, _Expanded)
        if known is not None and _is_sound(known):
            return Path(known.path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"{path} cannot be read.", why, "Check the path.") from error
    target = _folder() / digest[:32] / f"{path.stem}.gguf"
    _expand(path, target)
    remember(key, _Expanded(str(target), file_identity(target)))
    _make_room(target)
    return target


def _is_sound(known: _Expanded) -> bool:
    try:
        return file_identity(Path(known.path)) == known.identity
    except OSError:
        return False


def _expand(path: Path, target: Path) -> None:
    from expert_converters.compress.expand import expand  # with numpy

    try:
        expand(path, target)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    except OSError as error:
        raise ResourceError(
            f"The expert in {path} cannot be unpacked to {target.parent}.",
            error.strerror or str(error),
            "Free some disk space, or make the folder writable.",
        ) from error


def _folder() -> Path:
    return user_paths().cache / "expanded"


def _make_room(newest: Path) -> None:
    files = sorted(_folder().glob("*/*.gguf"), key=lambda file: -file.stat().st_mtime)
    total = newest.stat().st_size
    for file in files:
        if file == newest:
            continue
        total += file.stat().st_size
        if total > _KEPT_BYTES:
            file.unlink(missing_ok=True)
