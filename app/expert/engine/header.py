"""A model file's header: read and checked before C opens the file, then remembered.

Checking walks the whole vocabulary (tens of milliseconds for 150,000 tokens), so the verdict and
the small values are kept in the cache folder, under the file's identity.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from expert.errors import NotFoundError, VerificationError
from expert.paths import user_paths
from expert_converters.check import check_model
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect

# Raise when the checks become stricter, so that older verdicts are not trusted.
_CHECKS = 2

T = TypeVar("T")


def read_header(path: Path) -> GGUFFile:
    """Return the validated header of a model file.

    Raises:
        NotFoundError: there is no such file, or it cannot be read.
        VerificationError: it is no model that llama.cpp can load without risk.
    """
    try:
        if not path.is_file() and path.exists():
            raise IsADirectoryError(f"{path} is not a file")
        with path.open("rb"):
            key = file_identity(path)
    except OSError as error:
        raise NotFoundError(
            f"The model file {path} cannot be opened.",
            error.strerror or str(error),
            "Check the path, or see `expert model list`.",
        ) from error
    known = recall(key, GGUFFile)
    if known is None:
        known = _check(path)
        remember(key, known)
    return known


def _check(path: Path) -> GGUFFile:
    try:
        header = inspect(path)
        check_model(header)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    return header


def file_identity(path: Path, *context: str) -> str:
    """Return a key that changes whenever the file, or what it was checked against, does.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    parts = (_CHECKS, str(path.absolute()), numbers, context)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def recall(key: str, kind: type[T]) -> T | None:
    """Return the verdict kept under *key*; None if there is none that can be read."""
    try:
        raw = (user_paths().headers / key).read_bytes()
        return msgspec.msgpack.decode(raw, type=kind, dec_hook=_to_path)
    except (OSError, msgspec.MsgspecError):
        return None


def remember(key: str, verdict: object) -> None:
    """Keep a verdict; a cache that cannot be written costs time, not correctness."""
    folder = user_paths().headers
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f"{key}.{os.getpid()}"
        draft.write_bytes(msgspec.msgpack.encode(verdict, enc_hook=_from_path))
        draft.replace(folder / key)
    except OSError:
        return


def _from_path(value: Any) -> str:
    return str(value)


def _to_path(kind: type, value: Any) -> Any:
    return kind(value)
