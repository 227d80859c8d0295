"""The verbs of people who make packages, each run as the real program."""

import json
import subprocess
from pathlib import Path

import pytest

from expert.package.container import inspect
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.packages import adapter_gguf, draft, write_source
from support.program import expert


@pytest.fixture(name="key")
def signing_key(tmp_path: Path) -> Path:
    """A key made by `expert keygen`."""
    assert expert("keygen", "-o", tmp_path / "key", "-c", "me").code == 0
    return tmp_path / "key"


@pytest.fixture(name="source")
def source_folder(tmp_path: Path) -> Path:
    """A source folder."""
    return write_source(tmp_path / "source", draft(documents=["README.md"]))


def test_a_key_is_made_where_ssh_keygen_can_read_it(key: Path) -> None:
    """The default place is in the home; an existing key is left alone."""
    run = subprocess.run(
        ["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True
    )
    record = json.loads(expert("keygen", "--json").out)
    assert Path(record["private"]).is_file()
    assert record["fingerprint"] != run.stdout.split()[1]
    again = expert("keygen", "-o", key)
    assert (again.code, again.out) == (2, b"")


def test_pack_sign_inspect_validate(source: Path, key: Path, tmp_path: Path) -> None:
    """From a folder to a signed package, and what it says."""
    package = tmp_path / "sql.expert"
    record = json.loads(expert("pack", source, "-o", package, "--json").out)
    assert (record["label"], record["signer"]) == ("acme/sql@1.0.0", None)
    assert expert("sign", package, "-k", key).code == 0
    shown = json.loads(expert("inspect", package, "--json").out)
    assert shown["signer"].startswith("SHA256:")
    assert shown["manifest"]["summary"] == "Writes SQL queries."
    assert "adapter.gguf" in expert("inspect", package).text
    assert "is sound" in expert("validate", package).text
    assert "ready to pack" in expert("validate", source).text
    both = tmp_path / "both.expert"
    assert expert("pack", source, "-o", both, "-k", key).code == 0
    assert both.read_bytes() == package.read_bytes()


def test_the_default_name_is_the_label(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder one is in."""
    monkeypatch.chdir(tmp_path)
    assert expert("pack", source).code == 0
    assert (tmp_path / "acme-sql-1.0.0.expert").is_file()


def test_a_signature_made_by_ssh_keygen_is_attached(
    source: Path, key: Path, tmp_path: Path
) -> None:
    """The way for keys with a passphrase and for agents."""
    package, manifest = tmp_path / "sql.expert", tmp_path / "manifest"
    expert("pack", source, "-o", package)
    assert expert("sign", package, "--manifest", manifest).code == 0
    options = ["-q", "-Y", "sign", "-n", "expert-manifest@v1", "-f", str(key)]
    subprocess.run(["ssh-keygen", *options, manifest], check=True, capture_output=True)
    signed = expert("sign", package, "--signature", f"{manifest}.sig", "--json")
    assert json.loads(signed.out)["signer"].startswith("SHA256:")
    (tmp_path / "other.sig").write_text("no signature")
    assert expert("sign", package, "--signature", tmp_path / "other.sig").code == 5
    assert expert("sign", package, "--signature", tmp_path / "none.sig").code == 3


def test_extract_and_diff(source: Path, tmp_path: Path) -> None:
    """Out of a package, changed, in again, and what changed."""
    first, second, folder = tmp_path / "1.expert", tmp_path / "2.expert", tmp_path / "out"
    expert("pack", source, "-o", first)
    assert expert("extract", first, "-o", folder).code == 0
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"'))
    expert("pack", folder, "-o", second)
    done = expert("diff", first, second)
    assert (done.code, done.text) == (1, "version: '1.0.0' -> '1.1.0'\n")
    (change,) = json.loads(expert("diff", first, second, "--json").out)
    assert change == {"field": "version", "before": "1.0.0", "after": "1.1.0"}
    assert expert("diff", first, first).code == 0
    assert expert("extract", first, "-o", folder).code == 2


def test_a_new_expert_can_be_filled_in_and_packed(tiny_path: Path, tmp_path: Path) -> None:
    """With the identity of the base model in use."""
    folder = tmp_path / "poet"
    done = expert("new", folder, "--publisher", "me", "-m", tiny_path, "--json")
    assert json.loads(done.out)["manifest"] == str(folder / "manifest.json")
    missing = expert("validate", folder)
    assert (missing.code, "adapter.gguf" in missing.message) == (3, True)
    (folder / "adapter.gguf").write_bytes(adapter_gguf())
    assert expert("pack", folder, "-o", tmp_path / "poet.expert").code == 0
    identity = inspect(tmp_path / "poet.expert").manifest.bases[0].identity
    assert identity.architecture == "qwen3"
    assert identity.norms != "0" * 64


def test_broken_packages_and_sources(source: Path, tmp_path: Path) -> None:
    """Damage is 5, absence 3, with the reason on stderr as text or JSON."""
    package = tmp_path / "sql.expert"
    expert("pack", source, "-o", package)
    package.write_bytes(package.read_bytes()[:-700])
    for verb in ("inspect", "validate"):
        assert expert(verb, package).code == 5
        assert expert(verb, tmp_path / "none.expert").code == 3
    error = json.loads(expert("validate", package, "--json").err)
    assert error["code"] == 5
    (source / "adapter.gguf").write_bytes(b"no gguf")
    assert expert("validate", source).code == 5
    assert expert("pack", source, "-o", tmp_path / "x").code == 5
    (source / "manifest.json").write_text("{}")
    assert expert("pack", source, "-o", tmp_path / "x").code == 5


def test_names_with_escapes_are_harmless(tmp_path: Path) -> None:
    """A file name that would act on the terminal is shown inert."""
    done = expert("new", tmp_path / "x" / "\x1b[31mpoet")
    assert done.code == 5
    assert b"\x1b" not in done.out + done.err


def legacy_folder(folder: Path) -> Path:
    """Write an expert of the first format, with a real adapter."""
    peft_adapter(folder, Qwen3Shape(), AdapterShape(rank=32, alpha=32))
    manifest = {
        "name": "expert-sql",
        "version": "0.3.0",
        "schema_version": "1.0",
        "description": "Generates SQL.",
        "base_model": {"name": "F:\\models\\Qwen3-0.6B", "sha256": ""},
        "adapters": [{"type": "lora", "target_modules": ["q_proj"], "r": 32, "alpha": 32}],
        "capabilities": ["database:sql"],
        "license": "MIT",
        "perf": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_first_format_comes_over(tiny_path: Path, tmp_path: Path) -> None:
    """As it is, or with its adapter as GGUF; and back."""
    old = legacy_folder(tmp_path / "old")
    kept = expert("migrate", old, "-o", tmp_path / "kept.expert", "-m", tiny_path, "--json")
    assert json.loads(kept.out)["label"] == "me/sql@0.3.0"
    assert "dropped: perf" in kept.message
    assert (
        expert("migrate", tmp_path / "kept.expert", "-o", tmp_path / "t.gz", "--to", "tar.gz").code
        == 0
    )
    again = expert("migrate", tmp_path / "t.gz", "-o", tmp_path / "again", "-m", tiny_path)
    assert again.code == 0
    assert (tmp_path / "again" / "adapter_model.safetensors").is_file()
    done = expert("migrate", old, "-o", tmp_path / "new.expert", "-m", tiny_path, "--convert")
    assert done.code == 0, done.message
    adapter = inspect(tmp_path / "new.expert").manifest.bases[0].adapter
    assert (adapter.format, adapter.rank, adapter.file) == ("gguf", 32, "adapter.gguf")
    assert expert("validate", tmp_path / "new.expert").code == 0
    assert expert("migrate", tmp_path / "none", "-o", tmp_path / "x", "-m", tiny_path).code == 3


def test_what_only_fits_another_base_is_not_converted(tiny_path: Path, tmp_path: Path) -> None:
    """The converter's refusal is the command's, and nothing is left behind."""
    folder = legacy_folder(tmp_path / "old")
    peft_adapter(folder, Qwen3Shape(hidden_size=128), AdapterShape(rank=32, alpha=32))
    done = expert("migrate", folder, "-o", tmp_path / "x", "-m", tiny_path, "--convert")
    assert done.code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
