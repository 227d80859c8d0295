"""Fetching base models: pinned when first seen, resumed, checked, and then put into place.

The first pull asks the hub which commit and hash a file has, and writes that down beside the
models; every later one expects the same, until the user asks for the newest.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from expert.errors import NotFoundError, ResourceError, UsageError, VerificationError
from expert.models.catalogue import Wanted, find_listed, parse_wanted
from expert.models.download import Progress, check_space, is_right
from expert.models.hub import HubFile, Repository, fetch, read_repository
from expert.paths import make_private, user_paths
from expert_converters.check import check_model
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned about a model when it was first pulled."""

    name: str
    repository: str
    commit: str
    file: str
    size: int
    sha256: str
    license: str | None = None


def pull(text: str, *, newest: bool = False, progress: Progress | None = None) -> Record:
    """Fetch a base model by its name in the catalogue, or as `ORG/REPO:FILE`.

    Raises:
        UsageError: it cannot be understood, or the user has another model of that name.
        NotFoundError: there is no such model.
        NetworkNeededError: it is not here, and the hub cannot be reached.
        VerificationError: what the hub has is damaged, changed, or no model.
        ResourceError: the disk is too full.
    """
    wanted = parse_wanted(text)
    record = None if newest else read_record(wanted.name)
    target = user_paths().models / f"{wanted.name}.gguf"
    if target.exists() and read_record(wanted.name) is None:
        raise UsageError(
            f"There is a model {wanted.name} of your own.",
            f"It is {target}, and was not fetched by Expert.",
            "Rename it, or remove it with `expert model rm`.",
        )
    if record is not None and target.exists() and is_right(target, record.sha256):
        return record
    revision = record.commit if record is not None else wanted.revision
    repository = read_repository(wanted.repository, revision)
    file = _choose(repository, record.file if record is not None else wanted.choice)
    found = _record(wanted, repository, file)
    if record is not None and found.sha256 != record.sha256:
        raise VerificationError(
            f"The hub has another {wanted.name} than when it was first pulled.",
            f"For the commit {record.commit} it now names another content.",
            "Find out why; `expert model pull --newest` accepts it.",
        )
    make_private(target.parent)
    _write_record(found)
    if not target.exists() or not is_right(target, found.sha256):
        part = fetch(repository, file, downloads(), progress)
        _check(part, wanted.name)
        _place(part, target)
    return found


def pulled() -> dict[str, Record]:
    """Return what is known of every model that was ever pulled, by name."""
    found: Iterable[Path] = sorted(user_paths().models.glob("*.json"))
    records = (read_record(path.stem) for path in found)
    return {record.name: record for record in records if record is not None}


def read_record(name: str) -> Record | None:
    """Return what was written down about a model; None if nothing readable was."""
    try:
        text = _record_path(name).read_bytes()
        return msgspec.json.decode(text, type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def remove(name: str, *, own: bool = False) -> int:
    """Remove a model file and what is left of fetching it; return the bytes that are free again.

    What was learned about it stays, so that the next pull brings the same.

    Raises:
        NotFoundError: there is no such file in the models folder.
        UsageError: the user put it there, and *own* does not say that this is known.
        ResourceError: it cannot be removed.
    """
    path, record = user_paths().models / f"{name}.gguf", read_record(name)
    parts = [] if record is None else [downloads() / f"{record.sha256}.part"]
    files = [file for file in (path, *parts) if file.is_file()]
    if not files:
        raise NotFoundError(
            f"No model {name} was fetched.",
            "",
            "See `expert model list`; your own files are yours.",
        )
    if record is None and not own:
        raise UsageError(
            f"{path} was not fetched by Expert.",
            "It may be your only copy.",
            "Add -y to remove it.",
        )
    size = sum(file.stat().st_size for file in files)
    try:
        for file in files:
            file.unlink()
    except OSError as error:
        raise ResourceError(f"Cannot remove {path}.", f"{error.strerror}.", "") from error
    return size


def downloads() -> Path:
    """Return the folder of what is half fetched."""
    return user_paths().cache / "downloads"


def _choose(repository: Repository, choice: str) -> HubFile:
    """Return the file that a path or a quantisation names."""
    models = [path for path in repository.files if path.lower().endswith(".gguf")]
    ending = f"-{choice}.gguf".lower()
    found = [path for path in models if path == choice or path.lower().endswith(ending)]
    if len(found) != 1:
        raise NotFoundError(
            f"{repository.name} has no one file for {choice!a}.",
            f"Its models are {', '.join(sorted(models)[:20]) or 'none'}.",
            "Name one of these: expert model pull ORG/REPO:FILE.gguf",
        )
    return repository.files[found[0]]


def _record(wanted: Wanted, repository: Repository, file: HubFile) -> Record:
    if len(file.digest) != 64:
        raise VerificationError(
            f"The hub does not say what {file.path} contains.",
            "Large files have a SHA-256 there, and this one has none.",
            "Choose another file.",
        )
    listed = find_listed(wanted.name)
    license = repository.license or (listed.license if listed is not None else None)
    return Record(
        name=wanted.name,
        repository=repository.name,
        commit=repository.commit,
        file=file.path,
        size=file.size,
        sha256=file.digest,
        license=license,
    )


def _check(part: Path, name: str) -> None:
    """Refuse what llama.cpp could not load without risk, before it has a model's name."""
    try:
        check_model(inspect(part))
    except ConversionError as error:
        part.unlink(missing_ok=True)
        raise VerificationError(
            f"What the hub has as {name} is not a usable model.", error.why, error.fix
        ) from error


def _place(part: Path, target: Path) -> None:
    """Give a complete file its name, also on another disk."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if part.stat().st_dev == target.parent.stat().st_dev:
            part.replace(target)
            return
        check_space(target.parent, part.stat().st_size)
        shutil.copyfile(part, draft)
        draft.replace(target)
        part.unlink()
    except OSError as error:
        raise ResourceError(
            f"The model cannot be put into {target.parent}.",
            f"{error.strerror or error}.",
            "Free some disk space.",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _record_path(name: str) -> Path:
    return user_paths().models / f"{Path(name).name}.json"


def _write_record(record: Record) -> None:
    path = _record_path(record.name)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ResourceError(
            f"Cannot write {path}.", f"{error.strerror or error}.", "Free some disk space."
        ) from error
