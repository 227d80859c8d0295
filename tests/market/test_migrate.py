"""Old packages and base models, in the process itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from expert.errors import UsageError, VerificationError
from expert.market.bases import identify
from expert.market.check import check_package, check_source
from expert.market.migrate import migrate
from expert.package.container import inspect
from expert.package.pack import pack
from expert_converters.gguf_file import inspect as read_gguf
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.packages import adapter_gguf


def old_folder(folder: Path, kind: str = "lora", shape: AdapterShape | None = None) -> Path:
    """Write an expert of the first format with a real adapter."""
    peft_adapter(folder, Qwen3Shape(), shape or AdapterShape(rank=32, alpha=32))
    manifest = {
        "name": "expert-sql",
        "version": "0.3.0",
        "schema_version": "1.0",
        "description": "Generates SQL.",
        "base_model": {"name": "Qwen3-0.6B"},
        "adapters": [{"type": kind, "target_modules": ["q_proj"], "r": 32, "alpha": 32}],
        "capabilities": ["database:sql"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_base_model_is_identified(tiny_path: Path, tmp_path: Path) -> None:
    """By its contents; what is no model is refused."""
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny_path.read_bytes())
    assert identify(copy) == identify(tiny_path)
    assert identify(copy).architecture == "qwen3"
    (tmp_path / "adapter.gguf").write_bytes(adapter_gguf())
    assert identify(tmp_path / "adapter.gguf") != identify(copy)
    (tmp_path / "text").write_text("no model")
    with pytest.raises(VerificationError):
        identify(tmp_path / "text")


def test_an_adapter_is_kept_as_it_is(tiny_path: Path, tmp_path: Path) -> None:
    """In PEFT's form, for the base that was named."""
    old = old_folder(tmp_path / "old")
    done = migrate(old, tmp_path / "new", "me", tiny_path, convert=False)
    manifest = check_source(tmp_path / "new")
    assert manifest.bases[0].identity == identify(tiny_path)
    assert manifest.bases[0].adapter.format == "peft"
    assert done.manifest == manifest


def test_an_adapter_is_converted(tiny_path: Path, tmp_path: Path) -> None:
    """Into one that names its base, ready to attach; and packed at once."""
    old = old_folder(tmp_path / "old")
    migrate(old, tmp_path / "new.expert", "me", tiny_path, convert=True)
    found = check_package(tmp_path / "new.expert")
    assert [file.path for file in found.manifest.files] == ["adapter.gguf"]
    migrate(old, tmp_path / "new", "me", tiny_path, convert=True)
    header = read_gguf(tmp_path / "new" / "adapter.gguf")
    assert header.metadata["expert.base.norms"] == found.manifest.bases[0].identity.norms
    pack(tmp_path / "new", tmp_path / "again.expert")
    assert inspect(tmp_path / "again.expert").id == found.id


def test_what_acts_only_when_merged_is_not_converted(tiny_path: Path, tmp_path: Path) -> None:
    """DoRA would become a whole model; the message names the ways out."""
    old = old_folder(tmp_path / "old", "dora")
    config = json.loads((old / "adapter_config.json").read_text())
    shape = replace(AdapterShape(rank=32, alpha=32))
    assert shape.rank == config["r"]
    (old / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises((UsageError, VerificationError)):
        migrate(old, tmp_path / "new", "me", tiny_path, convert=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_target_that_exists_is_left_alone(tiny_path: Path, tmp_path: Path) -> None:
    """Nothing is overwritten, nothing left behind."""
    old = old_folder(tmp_path / "old")
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError, match="exists"):
        migrate(old, tmp_path / "new", "me", tiny_path, convert=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def test_a_package_with_a_bad_peft_config_is_refused(tiny_path: Path, tmp_path: Path) -> None:
    """The configuration must be a JSON object."""
    old = old_folder(tmp_path / "old")
    migrate(old, tmp_path / "new", "me", tiny_path, convert=False)
    for data in ("[]", "{", "\xff"):
        (tmp_path / "new" / "adapter_config.json").write_text(data)
        with pytest.raises(VerificationError, match="adapter_config.json"):
            check_source(tmp_path / "new")
