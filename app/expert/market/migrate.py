"""Bringing packages of the first format over, with their adapters turned into GGUF on request."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec

from expert.errors import UsageError, VerificationError
from expert.market.bases import identify
from expert.package.legacy import Migrated
from expert.package.legacy_archive import migrate as migrate_source
from expert.package.manifest import Adapter, Manifest
from expert.package.output import new_folder
from expert.package.pack import pack, write_source_manifest

ADAPTER = "adapter.gguf"


def migrate(
    old: Path, target: Path, publisher: str, base: Path, *, convert: bool, rank: int | None = None
) -> Migrated:
    """Turn a package of the first format into a source folder, or into a package.

    Args:
        old: the package, or its folder.
        target: a package if it ends in `.expert`, else a new folder.
        publisher: who will publish it.
        base: the model file it was trained on; the old manifest knew only a path.
        convert: store the adapter as GGUF, ready to attach, instead of in PEFT's form.
        rank: approximate DoRA and IA3 by this rank when converting; they have no exact adapter.

    Raises:
        NotFoundError: there is no such file.
        UsageError: the target exists, or the adapter cannot be converted as asked.
        VerificationError: it is not of the first format, or does not fit the base.
        ResourceError: the disk failed.
    """
    identity = identify(base)
    parent = target.absolute().parent
    with tempfile.TemporaryDirectory(dir=parent, prefix=".migrate.") as scratch:
        folder = Path(scratch) / "source"
        migrated = migrate_source(old, folder, publisher, identity)
        if convert:
            migrated = _convert(folder, migrated, base, rank)
        if target.suffix == ".expert":
            pack(folder, target)
        else:
            with new_folder(target) as draft:
                shutil.copytree(folder, draft, dirs_exist_ok=True)
    return migrated


def _convert(folder: Path, migrated: Migrated, base: Path, rank: int | None) -> Migrated:
    """Replace the PEFT adapter in a source folder by a GGUF one."""
    from expert_converters.errors import ConversionError
    from expert_converters.kinds import AdapterJob, convert_adapter

    try:
        job = AdapterJob(folder, base, folder / ADAPTER, "q8_0", rank=rank)
        report = convert_adapter(job, None)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    if report.form != "lora":
        raise UsageError(
            f"A {report.kind} adapter acts only when merged into its base.",
            "Merged, it would be a whole model and no expert.",
            "Approximate it with --rank, or leave it in PEFT's form without --convert.",
        )
    manifest = _with_gguf(migrated.manifest, folder)
    for name in _peft_files(migrated.manifest):
        (folder / name).unlink()
    write_source_manifest(manifest, folder)
    notes = list(migrated.notes)
    if not report.exact:
        notes.append(f"approximated: {report.residual:.1%} of the adapter is lost")
    return replace(migrated, manifest=manifest, notes=notes)


def _peft_files(manifest: Manifest) -> list[str]:
    adapter = manifest.bases[0].adapter
    return [name for name in (adapter.file, adapter.config) if name is not None]


def _with_gguf(manifest: Manifest, folder: Path) -> Manifest:
    targets = manifest.bases[0].adapter.targets
    adapter = msgspec.structs.replace(adapter_entry(folder / ADAPTER), targets=targets)
    base = msgspec.structs.replace(manifest.bases[0], adapter=adapter)
    return msgspec.structs.replace(manifest, bases=(base,))


def adapter_entry(path: Path) -> Adapter:
    """Return what a manifest says about the GGUF adapter at *path*."""
    from expert_converters.check_adapter import ALPHA, INVOCATION
    from expert_converters.gguf_file import inspect

    header = inspect(path)
    ranks = [tensor.shape[0] for name, tensor in header.tensors.items() if name.endswith("lora_b")]
    tokens: tuple[int, ...] = ()
    if INVOCATION in header.metadata:
        tokens = tuple(msgspec.convert(header.array(INVOCATION), list[int]))
    return Adapter(
        file=path.name,
        rank=max(ranks),
        alpha=float(str(header.metadata[ALPHA])),
        activation="answer" if tokens else "prompt",
        invocation_tokens=tokens,
    )
