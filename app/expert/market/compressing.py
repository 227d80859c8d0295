"""A package with smaller adapters: the same expert under a new version."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from expert.errors import UsageError, VerificationError
from expert.package.container import Preview, inspect
from expert.package.keys import PrivateKey
from expert.package.manifest import Adapter, Manifest
from expert.package.pack import extract, pack, read_source, write_source_manifest
from expert.package.semver import Version
from expert_converters.compress.compress import CompressJob, CompressReport, compress
from expert_converters.errors import ConversionError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PackageJob:
    """Which package to make smaller, where to, and how."""

    source: Path
    target: Path
    method: str
    budget: int | None = None
    """Bytes of each adapter in it."""
    version: str | None = None
    """Of the result; None: the next patch version, for a version never gets other content."""
    key: PrivateKey | None = None
    """Signs the result; None: it is unsigned, whatever the source was."""


def compress_package(
    job: PackageJob, progress: Progress | None = None
) -> tuple[Preview, list[CompressReport]]:
    """Write *job.source* again with its LoRAs in another form, and tell what each one lost.

    Raises:
        NotFoundError: there is no such package.
        UsageError: it holds no LoRA in GGUF.
        VerificationError: it is not sound, or nothing of an adapter fits the budget.
        ResourceError: the result cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="expert-compress.") as name:
        folder = Path(name, "expert")
        extract(job.source, folder)
        manifest = read_source(folder)
        reports = {
            path: _compress(job, folder / path, progress) for path in _adapters(job, manifest)
        }
        write_source_manifest(_changed(manifest, reports, job), folder)
        pack(folder, job.target, job.key)
        return inspect(job.target), list(reports.values())


def compress_adapter(job: CompressJob, progress: Progress | None = None) -> CompressReport:
    """Make one adapter file smaller.

    Raises:
        VerificationError: it is no sound LoRA, or nothing of it fits the budget.
    """
    try:
        return compress(job, progress)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error


def _adapters(job: PackageJob, manifest: Manifest) -> list[str]:
    """Return the LoRA files of a package."""
    used = [base.adapter for base in manifest.bases]
    found = {one.file for one in used if one.kind == "lora" and one.format in ("gguf", "packed")}
    paths = sorted(path for path in found if path is not None)
    if not paths:
        raise UsageError(
            f"{job.source} holds no LoRA in GGUF.",
            "Only such adapters can be made smaller.",
            "Convert it first: `expert convert adapter`.",
        )
    return paths


def _compress(job: PackageJob, path: Path, progress: Progress | None) -> CompressReport:
    return compress_adapter(CompressJob(path, path, job.method, job.budget), progress)


def _changed(manifest: Manifest, reports: dict[str, CompressReport], job: PackageJob) -> Manifest:
    bases = tuple(
        msgspec.structs.replace(base, adapter=_entry(base.adapter, reports))
        for base in manifest.bases
    )
    number = job.version or _next(manifest.version)
    return msgspec.structs.replace(manifest, bases=bases, version=number)


def _entry(adapter: Adapter, reports: dict[str, CompressReport]) -> Adapter:
    report = reports.get(adapter.file or "")
    if report is None:
        return adapter
    return msgspec.structs.replace(
        adapter,
        format="packed" if report.packed else "gguf",
        rank=report.rank,
        alpha=float(report.rank),
    )


def _next(version: str) -> str:
    """Return the patch version after *version*; that of a pre-release is the release itself."""
    found = Version.parse(version)
    major, minor, patch = found.core
    return f"{major}.{minor}.{patch if found.prerelease else patch + 1}"
