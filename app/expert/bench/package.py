"""Measuring how soon an expert is ready: from its package, installed, and in the older layouts.

Ready means that a GGUF adapter is there which has been checked against its base. The older layouts
(a tar.gz of the first format, a plain PEFT folder) hold safetensors, so theirs is converted first,
and nothing about them is verified, because they say nothing that could be.
"""

import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.engine.adapter_file import read_adapter
from expert.engine.header import read_header
from expert.market.bases import identify
from expert.market.install import install
from expert.market.market import Market
from expert.market.migrate import adapter_entry
from expert.market.plan import Options
from expert.market.use import ready_expert
from expert.package.keys import PrivateKey
from expert.package.legacy_write import write_legacy
from expert.package.manifest import SCHEMA, Adapter, Base, BaseIdentity, File, Manifest
from expert.package.pack import pack, write_source_manifest
from expert.package.validate import validate
from expert.store.store import Store
from expert_converters.gguf_file import GGUFFile
from expert_converters.lora import LoraJob, convert_lora
from expert_converters.lora_export import export_lora

ADAPTER = "adapter.gguf"
_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to have an expert; times in seconds."""

    bytes: int
    """What is read."""
    cold_s: float
    """Median time with nothing of it in memory."""
    hot_s: float
    """Median time when it has just been read."""


@dataclass(frozen=True, slots=True)
class PackageBench:
    """How soon the same adapter is ready from each way to have it."""

    adapter_bytes: int
    rank: int
    ways: dict[str, Way]


def bench_package(
    model: Path,
    rank: int = 32,
    repeat: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> PackageBench:
    """Measure an adapter over every matrix of *model*, with random weights.

    Raises:
        ExpertError: the model cannot be read, or the disk is too full.
    """
    with tempfile.TemporaryDirectory(prefix="expert-bench.") as name:
        bench = _Bench(Path(name), model, rank)
        work = {
            "installed expert": bench.installed,
            ".expert package": bench.package,
            "tar.gz, first format": bench.archive,
            "PEFT folder": bench.folder,
        }
        ways = {}
        for done, (label, ready) in enumerate(work.items(), 1):
            files = bench.files[label]
            cold = [_timed(ready, files, evict=True) for _ in range(repeat)]
            ready()
            hot = [_timed(ready, files, evict=False) for _ in range(repeat)]
            size = sum(path.stat().st_size for path in files)
            ways[label] = Way(size, statistics.median(cold), statistics.median(hot))
            if progress is not None:
                progress(done, len(work))
        return PackageBench(bench.adapter.stat().st_size, rank, ways)


class _Bench:
    """The same adapter in every form, and how each is made ready."""

    def __init__(self, root: Path, model: Path, rank: int) -> None:
        self._root, self._model = root, model
        self._base: GGUFFile = read_header(model)
        self._identity: BaseIdentity = identify(model)
        self.adapter = root / "source" / ADAPTER
        self.adapter.parent.mkdir()
        write_random_adapter(self._base, RandomAdapter(rank, 1), self.adapter)
        self._market = Market(Store(root / "data"), root / "cache")
        self.files = {
            ".expert package": [self._pack()],
            "installed expert": [self._install()],
            "PEFT folder": self._export(),
            "tar.gz, first format": [self._write_archive()],
        }

    # Making them ------------------------------------------------------------------------------

    def _pack(self) -> Path:
        self._write_manifest(self.adapter.parent, adapter_entry(self.adapter))
        pack(self.adapter.parent, self._root / "bench.expert", PrivateKey.generate())
        return self._root / "bench.expert"

    def _install(self) -> Path:
        install(self._market, [str(self._root / "bench.expert")], Options(), lambda _: True)
        ready = ready_expert(self._market, "bench", self._identity)
        assert ready.adapter is not None
        return ready.adapter

    def _export(self) -> list[Path]:
        folder = export_lora(self.adapter, self._model, self._root / "peft")
        return [folder / _WEIGHTS, folder / _CONFIG]

    def _write_archive(self) -> Path:
        entry = adapter_entry(self.adapter)
        old = Adapter(
            file=_WEIGHTS, config=_CONFIG, format="peft", rank=entry.rank, alpha=entry.alpha
        )
        self._write_manifest(self._root / "peft", old)
        pack(self._root / "peft", self._root / "peft.expert")
        write_legacy(self._root / "peft.expert", self._root / "bench.tar.gz")
        return self._root / "bench.tar.gz"

    def _write_manifest(self, folder: Path, adapter: Adapter) -> None:
        manifest = Manifest(
            schema=SCHEMA,
            publisher="bench",
            name="bench",
            version="1.0.0",
            summary="An adapter with random weights.",
            license="Apache-2.0",
            bases=(Base(name=self._model.stem, identity=self._identity, adapter=adapter),),
        )
        write_source_manifest(manifest, folder)

    # Making them ready ------------------------------------------------------------------------

    def installed(self) -> None:
        """Look an installed expert up, and see that its file has not changed."""
        ready = ready_expert(self._market, "bench", self._identity)
        assert ready.adapter is not None
        read_adapter(ready.adapter, self._base)

    def package(self) -> None:
        """Verify and unpack a package file."""
        with tempfile.TemporaryDirectory(dir=self._root) as name:

            def create(file: File) -> BinaryIO:
                return (Path(name) / file.path).open("xb")

            validate(self._root / "bench.expert", create)
            read_adapter(Path(name) / ADAPTER, self._base)

    def archive(self) -> None:
        """Unpack a tar.gz, and convert what it holds."""
        with tempfile.TemporaryDirectory(dir=self._root) as name:
            with tarfile.open(self._root / "bench.tar.gz") as archive:
                archive.extractall(name, filter="data")
            self._convert(Path(name))

    def folder(self) -> None:
        """Convert a PEFT folder."""
        self._convert(self._root / "peft")

    def _convert(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self._root) as name:
            made = convert_lora(LoraJob(folder, self._model, Path(name) / ADAPTER))
            read_adapter(made, self._base)


def _timed(ready: Callable[[], None], files: Iterable[Path], *, evict: bool) -> float:
    """Return the time of one run, after taking *files* out of memory if asked for."""
    if evict:
        for path in files:
            _evict(path)
    start = time.perf_counter()
    ready()
    return time.perf_counter() - start


def _evict(path: Path) -> None:
    """Ask the system to forget a file's contents, and Expert to forget its verdict on it."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    os.utime(path)
    path.chmod(mode)
