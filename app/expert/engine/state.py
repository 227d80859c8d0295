"""A sequence's KV cache on disk: valid only for exactly what computed it.

Layout: the magic, the length of a JSON header (8 bytes, little-endian), the header, llama.cpp's own
blob. The blob's form is private to one build of llama.cpp, so the header names everything it
depends on, and a blob is handed to C only when all of it is the same.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import AdapterSet
from expert.engine.context import Context
from expert.engine.library import build_info
from expert.engine.slot import Slot
from expert.errors import NotFoundError, ResourceError, VerificationError
from expert_converters.identity import base_identity

_MAGIC = b"EXPERTKV"
_MAX_HEADER = 64 << 20


class _Conditions(msgspec.Struct, frozen=True):
    """What the blob depends on beside its tokens."""

    base: str
    build: str
    kv_type: str
    flash_attention: str
    rope: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the blob holds."""

    conditions: _Conditions
    tokens: list[int]
    runs: list[tuple[int, list[tuple[str, float]]]]
    """Start of each run, and the contents and scales of its adapters."""
    blob_bytes: int
    blob_sha256: str


def _conditions(context: Context) -> _Conditions:
    options = context.options
    identity = base_identity(context.model.header)
    return _Conditions(
        base=repr(identity),
        build=build_info(),
        kv_type=options.kv_type,
        flash_attention=options.flash_attention,
        rope=repr(options.rope),
    )


def save_state(context: Context, slot: Slot, path: Path) -> None:
    """Write a sequence's KV cache and ledger to *path*, whole or not at all.

    Raises:
        ResourceError: it cannot be written.
    """
    blob = context.copy_out(slot.index)
    header = _Header(
        _conditions(context),
        slot.ledger.tokens,
        [(run.start, list(run.adapters.key)) for run in slot.ledger.runs],
        len(blob),
        hashlib.sha256(blob).hexdigest(),
    )
    raw = msgspec.json.encode(header)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(_MAGIC + len(raw).to_bytes(8, "little") + raw)
            file.write(blob)
        draft.chmod(0o600)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ResourceError(
            f"The conversation's state could not be saved to {path}.",
            error.strerror or str(error),
            "Choose another place, or free some disk space.",
        ) from error


def saved_tokens(path: Path) -> int:
    """Return how many tokens a saved state holds, so that a context can be made for it.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is damaged.
    """
    return len(_read(path)[0].tokens)


def load_state(context: Context, slot: Slot, path: Path, adapters: Sequence[AdapterFile]) -> None:
    """Fill a sequence from *path*; *adapters* are those that its runs may name.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is damaged, or was made under other conditions; says which.
        ResourceError: the sequence is too small for it.
    """
    header, blob = _read(path)
    _compare(header.conditions, _conditions(context), path)
    sets = _runs(header, {file.digest: file for file in adapters}, path)
    if len(header.tokens) > context.size:
        raise ResourceError(
            f"The saved conversation has {len(header.tokens)} tokens.",
            f"This context holds {context.size}.",
            "Open a larger context.",
        )
    slot.rewind(0, context)
    context.copy_in(slot.index, blob)
    for start, end, adapters_there in sets:
        slot.ledger.append(header.tokens[start:end], adapters_there)


def _read(path: Path) -> tuple[_Header, bytes]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"The saved state {path} cannot be read.",
            error.strerror or str(error),
            "Check the path.",
        ) from error
    size = int.from_bytes(raw[8:16], "little")
    start = 16 + size
    if raw[:8] != _MAGIC or size > _MAX_HEADER or start > len(raw):
        raise _damaged(path, "it does not begin as a saved state does")
    try:
        header = msgspec.json.decode(raw[16:start], type=_Header)
    except msgspec.MsgspecError as error:
        raise _damaged(path, str(error)) from error
    blob = raw[start:]
    if len(blob) != header.blob_bytes or hashlib.sha256(blob).hexdigest() != header.blob_sha256:
        raise _damaged(path, "its content does not match its checksum")
    return header, blob


def _damaged(path: Path, why: str) -> VerificationError:
    return VerificationError(
        f"The saved state {path} is damaged.", why, "Delete it; the conversation itself is kept."
    )


def _compare(saved: _Conditions, present: _Conditions, path: Path) -> None:
    differing = [
        name
        for name in _Conditions.__struct_fields__
        if getattr(saved, name) != getattr(present, name)
    ]
    if differing:
        raise VerificationError(
            f"The saved state {path} was made under other conditions.",
            f"Different now: {', '.join(differing).replace('_', ' ')}.",
            "Use the same model and settings, or let the conversation be computed again.",
        )


def _runs(
    header: _Header, files: dict[str, AdapterFile], path: Path
) -> list[tuple[int, int, AdapterSet]]:
    starts = [start for start, _ in header.runs]
    if starts != sorted(set(starts)) or (starts or [0])[0] != 0:
        raise _damaged(path, "its runs are not in order")
    ends = [*starts[1:], len(header.tokens)]
    found = []
    for (start, parts), end in zip(header.runs, ends, strict=True):
        missing = [digest for digest, _ in parts if digest not in files]
        if missing:
            raise VerificationError(
                f"The saved state {path} needs an expert that is not here.",
                f"Its adapter has the SHA-256 {missing[0]}.",
                "Install that expert, or let the conversation be computed again.",
            )
        found.append((start, end, AdapterSet.of((files[d], scale) for d, scale in parts)))
    return found
