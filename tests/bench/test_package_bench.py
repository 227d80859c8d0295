"""Measuring packages: every way starts from the same adapter and ends with it ready."""

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from expert.bench import package as bench_package_module
from expert.bench.package import PackageBench, Way, _Bench, _evict, _timed, bench_package
from expert.cli.bench import package_table
from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_file import read_adapter as really_read
from expert.errors import ExpertError
from expert_converters.gguf_file import inspect

WAYS = ["installed expert", ".expert package", "tar.gz, first format", "PEFT folder"]


def test_every_way_makes_the_same_adapter_ready(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacked and installed it is the same file; converted back, the same targets and rank."""
    ready: list[AdapterFile] = []

    def noted(path: Path, *more: object) -> AdapterFile:
        ready.append(really_read(path, *more))  # type: ignore[arg-type]  # handed on as it came
        header = inspect(path)
        contents.append({name: header.tensor_bytes(name) for name in header.tensors})
        return ready[-1]

    contents: list[dict[str, bytes]] = []
    bench = _Bench(tmp_path, tiny_path, 32)
    monkeypatch.setattr(bench_package_module, "read_adapter", noted)
    for way in (bench.installed, bench.package, bench.archive, bench.folder):
        way()
    original = inspect(bench.adapter)
    assert contents[0] == {name: original.tensor_bytes(name) for name in original.tensors}
    assert contents[0] == contents[1]
    assert contents[2] == contents[3], "both are converted from the same PEFT files"
    assert contents[2].keys() == contents[0].keys()
    assert [file.path.name for file in ready[1:]] == ["adapter.gguf"] * 3
    assert set(bench.files) == set(WAYS)
    assert all(path.is_file() for files in bench.files.values() for path in files)


def test_one_measurement(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and sizes of each way, progress one by one, and nothing left on the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[tuple[int, int]] = []
    found = bench_package(tiny_path, 32, 1, lambda done, total: told.append((done, total)))
    assert list(found.ways) == WAYS and found.rank == 32
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for way in found.ways.values():
        assert way.bytes > 0 and way.cold_s > 0 and way.hot_s > 0
    assert found.ways[".expert package"].bytes > 0.5 * found.adapter_bytes
    assert found.ways["installed expert"].bytes == found.adapter_bytes
    assert found.ways["PEFT folder"].bytes > found.adapter_bytes, "floats take more than Q8_0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o600])
def test_forgetting_a_file_changes_nothing_in_it(mode: int, tmp_path: Path) -> None:
    """Contents and rights stay, read-only files included; its time says it must be looked at."""
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    os.utime(path, (1, 1))
    path.chmod(mode)
    _evict(path)
    assert path.read_bytes() == b"content" * 1000
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_mtime > 1


@pytest.mark.parametrize("evict", [True, False])
def test_only_the_work_is_timed(
    evict: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are forgotten before the clock runs, and only where that is asked for."""
    order: list[str] = []

    def slow(path: Path) -> None:
        order.append(path.name)
        time.sleep(0.2)

    monkeypatch.setattr(bench_package_module, "_evict", slow)
    files = [tmp_path / "a", tmp_path / "b"]
    seconds = _timed(lambda: order.append("work"), files, evict=evict)
    assert order == (["a", "b", "work"] if evict else ["work"])
    assert 0 < seconds < 0.15


def test_a_model_that_is_none_is_said(tmp_path: Path) -> None:
    """Before anything is made of it."""
    with pytest.raises(ExpertError) as caught:
        bench_package(tmp_path / "missing.gguf", 32, 1)
    assert "missing.gguf" in caught.value.what


def test_the_table_of_ways() -> None:
    """One row a way, in milliseconds and megabytes, below each other."""
    way = Way(1_500_000, 0.0123, 0.0045)
    ways = {"installed expert": way, "PEFT folder": replace(way, cold_s=1.5)}
    text = package_table(PackageBench(2_000_000, 32, ways))
    assert text.splitlines()[0] == "adapter of 2.0 MB, rank 32, ready to attach"
    rows = [line.split() for line in text.splitlines()[1:]]
    assert rows == [
        ["size", "cold", "hot"],
        ["installed", "expert", "1.5", "MB", "12.3", "ms", "4.5", "ms"],
        ["PEFT", "folder", "1.5", "MB", "1500.0", "ms", "4.5", "ms"],
    ]
    assert len({len(line) for line in text.splitlines()[1:]}) == 1
