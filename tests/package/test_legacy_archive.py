"""Packages of the first format, there and back, and what is hostile among them."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.package.legacy_archive import migrate
from expert.package.legacy_write import write_legacy
from expert.package.manifest import BaseIdentity
from expert.package.pack import pack
from support.packages import IDENTITY, base, draft, write_source

BASE = msgspec.convert(IDENTITY, BaseIdentity)
ADAPTER = {"type": "lora", "target_modules": ["q_proj"], "r": 8, "alpha": 16}
OLD = {
    "name": "expert-sql",
    "version": "0.3.0",
    "schema_version": "2.0",
    "description": "Generates SQL.",
    "base_models": [{"name": "Qwen3-0.6B", "adapters": [ADAPTER]}],
    "capabilities": ["database:sql"],
    "limitations": ["No recursion."],
    "license": "MIT",
}
FILES = {
    "manifest.json": json.dumps(OLD).encode(),
    "adapter_model.safetensors": b"weights" * 100,
    "adapter_config.json": b"{}",
    "LICENSE": b"MIT",
    "tokenizer.json": b"{}",
    "training_args.bin": b"a pickle",
}


def archive(path: Path, files: dict[str, bytes], **fields: Any) -> Path:
    """Write a tar.gz, with some header fields set on every member."""
    with tarfile.open(path, "w:gz") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            out.addfile(info, io.BytesIO(data))
    return path


def test_an_old_package_becomes_a_source_folder(tmp_path: Path) -> None:
    """Known files arrive under their present names, others are named, and the folder packs."""
    old = archive(tmp_path / "old.expert", FILES)
    made = migrate(old, tmp_path / "new", "acme", BASE)
    assert "left out: 'training_args.bin'" in made.notes
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "LICENSE.txt", "adapter_config.json", "adapter_model.safetensors", "manifest.json",
    ]  # fmt: skip
    assert pack(tmp_path / "new", tmp_path / "new.expert").manifest.label == "acme/sql@0.3.0"


def test_an_old_folder_is_read_too(tmp_path: Path) -> None:
    """A checkout of an expert's repository works like its package."""
    (tmp_path / "old").mkdir()
    for name, data in FILES.items():
        (tmp_path / "old" / name).write_bytes(data)
    (tmp_path / "old" / "README.md").symlink_to("/etc/hostname")
    made = migrate(tmp_path / "old", tmp_path / "new", "acme", BASE)
    assert made.manifest.license == "MIT"
    assert "left out: 'README.md'" in made.notes


def test_there_and_back(tmp_path: Path) -> None:
    """A package written in the first format migrates to an equal one."""
    manifest = draft(
        bases=[base(file="w.safetensors", format="peft", config="c.json", targets=["q_proj"])],
        capabilities=["task:generate"],
        routing={"keywords": ["sql"], "excludes": ["poem"]},
        requires={"acme/json": "^1.2"},
        sampling={"temperature": 0.5, "top_k": 5},
        grammar={"format": "gbnf", "file": "sql.gbnf"},
        limitations=[{"description": "Recursion."}],
        documents=["README.md", "LICENSE.txt"],
    )
    source = write_source(tmp_path / "source", manifest)
    first = pack(source, tmp_path / "p.expert").manifest
    write_legacy(tmp_path / "p.expert", tmp_path / "old.tar.gz")
    second = migrate(tmp_path / "old.tar.gz", tmp_path / "new", "acme", BASE).manifest
    for field in ("name", "version", "capabilities", "routing", "requires", "sampling", "license"):
        assert getattr(second, field) == getattr(first, field), field
    assert second.bases[0].adapter.rank == 32
    assert (tmp_path / "new" / "grammar.gbnf").read_bytes() == (source / "sql.gbnf").read_bytes()
    assert (tmp_path / "new" / "LICENSE.txt").read_bytes() == (source / "LICENSE.txt").read_bytes()


def test_gguf_adapters_have_no_place_in_the_first_format(tmp_path: Path) -> None:
    """The reason is given, and nothing is written."""
    pack(write_source(tmp_path / "source", draft()), tmp_path / "p.expert")
    with pytest.raises(UsageError, match="first format"):
        write_legacy(tmp_path / "p.expert", tmp_path / "old.tar.gz")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "p.expert"}


def without(name: str) -> dict[str, bytes]:
    """Return the files but one."""
    return {key: data for key, data in FILES.items() if key != name}


@pytest.mark.parametrize(
    "name", ["manifest.json", "adapter_model.safetensors", "adapter_config.json"]
)
def test_a_missing_part_is_named(tmp_path: Path, name: str) -> None:
    """Manifest, weights and configuration are needed."""
    old = archive(tmp_path / "old", without(name))
    with pytest.raises(VerificationError) as caught:
        migrate(old, tmp_path / "new", "acme", BASE)
    assert name in caught.value.why


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.DIRTYPE},
    ],
)
def test_links_and_devices_are_not_taken(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Only regular members count, so an archive of others is empty."""
    with pytest.raises(VerificationError):
        migrate(archive(tmp_path / "old", FILES, **fields), tmp_path / "new", "acme", BASE)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("prefix", ["../", "/", "a/", "../../tmp/"])
def test_names_with_folders_are_not_taken(tmp_path: Path, prefix: str) -> None:
    """Nothing is written outside the folder."""
    old = archive(tmp_path / "old", {prefix + name: data for name, data in FILES.items()})
    with pytest.raises(VerificationError):
        migrate(old, tmp_path / "new", "acme", BASE)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """There is no first or last one that wins."""
    with tarfile.open(tmp_path / "old", "w:gz") as out:
        for name in ("manifest.json", "./manifest.json"):
            info = tarfile.TarInfo(name)
            info.size = 2
            out.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(VerificationError, match="first format") as caught:
        migrate(tmp_path / "old", tmp_path / "new", "acme", BASE)
    assert "twice" in caught.value.why


def test_a_bomb_stays_small(tmp_path: Path) -> None:
    """256 MB of name do not get into memory."""
    with gzip.open(tmp_path / "long", "wb", compresslevel=1) as out:
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 256 << 20
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(256):
            out.write(bytes(1 << 20))
    script = (
        "import resource, sys; from pathlib import Path; import msgspec\n"
        "from expert.package.legacy_archive import migrate\n"
        "from expert.errors import ExpertError\n"
        "try: migrate(Path(sys.argv[1]), Path(sys.argv[2]), 'acme', None)\n"
        "except ExpertError: pass\n"
        # Not ru_maxrss, which a child inherits from the process that started it.
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.split('VmHWM:')[1].split()[0])\n"
    )
    command: list[str | Path] = [sys.executable, "-c", script, tmp_path / "long", tmp_path / "new"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 150_000


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    """Truncated and flipped archives are typed refusals that leave nothing."""
    data = archive(tmp_path / "old", FILES).read_bytes()
    for length in range(0, len(data), 11):
        (tmp_path / "cut").write_bytes(data[:length])
        with pytest.raises(ExpertError):
            migrate(tmp_path / "cut", tmp_path / "new", "acme", BASE)
    for bit in range(0, 8 * len(data), 37):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "cut").write_bytes(flipped)
        try:
            migrate(tmp_path / "cut", tmp_path / f"new{bit}", "acme", BASE)
        except ExpertError:
            assert not (tmp_path / f"new{bit}").exists()


def test_missing_and_taken_paths(tmp_path: Path) -> None:
    """No file, or a folder that exists."""
    with pytest.raises(NotFoundError):
        migrate(tmp_path / "none", tmp_path / "new", "acme", BASE)
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError):
        migrate(archive(tmp_path / "old", FILES), tmp_path / "new", "acme", BASE)
