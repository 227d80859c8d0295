"""Writes the first format's packages, for those who still run its program."""

import gzip
import tarfile
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from expert.errors import UsageError
from expert.package.legacy import CONFIG, GRAMMAR, WEIGHTS
from expert.package.legacy_archive import MANIFEST
from expert.package.manifest import Adapter, Base, Manifest
from expert.package.output import new_file
from expert.package.pack import extract


def write_legacy(package: Path, target: Path) -> None:
    """Write *package* as a gzipped tar with a manifest of schema 2.0, unsigned.

    Raises:
        NotFoundError: there is no such package.
        UsageError: its adapter is not in PEFT's form, the only one that format has.
        VerificationError: it is not sound.
        ResourceError: the target cannot be written.
    """
    with (
        new_file(target) as out,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".migrate.") as scratch,
    ):
        folder = Path(scratch) / "files"
        manifest = extract(package, folder).manifest
        names = _names(manifest, package)
        (folder / MANIFEST).write_bytes(_legacy_manifest(manifest))
        _write_archive(out, folder, names)


def _names(manifest: Manifest, package: Path) -> dict[str, str]:
    """Return what each file is called in that format."""
    adapter = manifest.bases[0].adapter
    if adapter.file is None or adapter.config is None:
        raise UsageError(
            f"{package} cannot be written in the first format.",
            "That format has PEFT adapters only.",
            "Pack the adapter in PEFT's form first.",
        )
    names = {MANIFEST: MANIFEST, adapter.file: WEIGHTS, adapter.config: CONFIG}
    if manifest.grammar is not None and manifest.grammar.file is not None:
        names[manifest.grammar.file] = GRAMMAR
    return names | {path: path.removesuffix(".txt") for path in manifest.documents}


def _write_archive(out: BinaryIO, folder: Path, names: dict[str, str]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, name in names.items():
            info = tarfile.TarInfo(name)
            info.size = (folder / path).stat().st_size
            with (folder / path).open("rb") as file:
                archive.addfile(info, file)


def _legacy_manifest(manifest: Manifest) -> bytes:
    routing, sampling = manifest.routing, manifest.sampling
    decoding = {
        key: getattr(sampling, key, None)
        for key in ("temperature", "top_p", "top_k")
        if getattr(sampling, key, None) is not None
    }
    old: dict[str, Any] = {
        "name": f"expert-{manifest.name}",
        "version": manifest.version,
        "schema_version": "2.0",
        "description": manifest.description or manifest.summary,
        "base_models": [_base(manifest.bases[0])],
        "capabilities": manifest.capabilities,
        "routing": {
            "keywords": routing.keywords if routing else (),
            "exclude_keywords": routing.excludes if routing else (),
        },
        "constraints": {
            "load_order": 0,
            "requires": _relations(manifest.requires),
            "incompatible_with": _relations(manifest.conflicts),
        },
        "training": {"dataset": {}, "config": {}, "decoding": decoding},
        "limitations": [limitation.description for limitation in manifest.limitations],
        "license": manifest.license,
    }
    return msgspec.json.format(msgspec.json.encode(old))


def _base(base: Base) -> dict[str, Any]:
    return {"name": base.name, "sha256": "", "adapters": [_adapter(base.adapter)]}


def _adapter(adapter: Adapter) -> dict[str, Any]:
    old: dict[str, Any] = {"type": adapter.kind, "target_modules": adapter.targets}
    if adapter.rank is not None:
        old |= {"r": adapter.rank, "alpha": adapter.alpha}
    return old


def _relations(named: dict[str, str]) -> list[str]:
    return [f"expert-{name.rpartition('/')[2]}@{text}" for name, text in named.items()]
