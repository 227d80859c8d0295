"""Options of the verbs about experts and packages, each given to the real program."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.market.bases import identify
from expert.package.container import inspect
from expert.package.keys import PrivateKey, write_key_pair
from support.hub import FIRST, Hub, as_the_hub
from support.packages import KEY, base, make_package
from support.peft_kinds import peft_folder
from support.program import Outcome, expert

OTHER = PrivateKey(b"guild..." * 4)
SURE = ("-y", "--any-base", "--trust", KEY.public.fingerprint)
RANK = 64


@pytest.fixture(name="shelf")
def source_with_an_expert(tmp_path: Path) -> Path:
    """Return a folder source that offers one expert."""
    shelf = tmp_path / "shelf"
    make_package(shelf, name="forms", version="1.0.0")
    good("source", "add", "shelf", shelf)
    return shelf


@pytest.fixture(scope="module", name="dora")
def adapter_that_is_no_lora(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a DoRA for the tiny model, which acts only merged, or approximated by a LoRA."""
    peft = pytest.importorskip("peft", reason="needs the extra `train`")
    config = peft.LoraConfig(r=4, lora_alpha=4, use_dora=True, target_modules=["q_proj", "v_proj"])
    return peft_folder(tiny_checkpoint, tmp_path_factory.mktemp("dora") / "dora", config)


def good(*arguments: str | Path) -> Outcome:
    """Run the program, which must succeed."""
    done = expert(*arguments)
    assert done.code == 0, (arguments, done.message)
    return done


def record(*arguments: str | Path) -> Any:
    """Return the JSON that it prints."""
    return json.loads(good(*arguments).out)


def test_searching_and_removing(shelf: Path) -> None:
    """As many hits as asked for; what was removed is told."""
    make_package(shelf, name="yaml")
    good("source", "refresh")
    assert len(record("search", "--json")) > 2
    assert len(record("search", "--limit", "2", "--json")) == 2
    good("install", "forms", *SURE)
    assert record("uninstall", "forms", "--json") == {"removed": ["acme/forms@1.0.0"]}


def test_sources_and_packages_as_json(shelf: Path, tmp_path: Path) -> None:
    """Where a source is, what was published and what was unpacked."""
    added = record("source", "add", "more", tmp_path, "--json")
    assert (added["name"], added["location"]) == ("more", str(tmp_path))
    assert record("source", "remove", "more", "--json") == {"removed": "more"}
    package = make_package(tmp_path / "own", name="extra")
    place = Path(record("publish", package, "shelf", "--json")["path"])
    assert place.is_relative_to(shelf)
    assert place.read_bytes() == package.read_bytes()
    found = record("extract", package, "-o", tmp_path / "unpacked", "--json")
    assert (found["path"], found["label"]) == (str(tmp_path / "unpacked"), "acme/extra@1.0.0")
    assert (tmp_path / "unpacked" / "adapter.gguf").is_file()


def test_signing_beside_the_package(tmp_path: Path) -> None:
    """With --output the package itself stays unsigned."""
    package = make_package(tmp_path, key=None)
    write_key_pair(KEY, tmp_path / "key")
    before = package.read_bytes()
    signed = tmp_path / "signed.expert"
    found = record("sign", package, "-k", tmp_path / "key", "--output", signed, "--json")
    assert (found["path"], package.read_bytes()) == (str(signed), before)
    signer = inspect(signed).signer
    assert signer is not None and signer.raw == KEY.public.raw


def test_updates_ask_only_what_they_may(shelf: Path, tmp_path: Path) -> None:
    """--offline leaves the network alone; a publisher that comes with an update needs --trust."""
    good("install", "forms", *SURE)
    gone = f"file://{tmp_path}/none.git"
    good("source", "add", "gone", gone)
    make_package(shelf, name="tool", publisher="guild", key=OTHER)
    make_package(shelf, name="forms", version="1.1.0", requires={"guild/tool": "*"})
    assert "gone" in good("update", "--check", "--any-base").message
    assert good("update", "--check", "--offline", "--any-base").message == ""
    refused = expert("update", "--offline", "-y", "--any-base")
    assert (refused.code, OTHER.public.fingerprint in refused.message) == (5, True)
    done = record(
        "update", "forms", "--offline", "-y", "--any-base", "--trust", OTHER.public.fingerprint,
        "--json",
    )  # fmt: skip
    assert sorted(done["installed"]) == ["acme/forms@1.1.0", "guild/tool@1.0.0"]


def test_updates_fit_the_base_that_is_named(shelf: Path, tiny_path: Path) -> None:
    """A version for another base is none for this one."""
    mine = base() | {"identity": msgspec.to_builtins(identify(tiny_path))}
    make_package(shelf, name="fit", bases=[mine])
    good("install", "fit", "-y", "-m", tiny_path, "--trust", KEY.public.fingerprint)
    make_package(shelf, name="fit", version="1.1.0", bases=[mine])
    make_package(shelf, name="fit", version="1.2.0")
    done = record("update", "-y", "--model", tiny_path, "--json")
    assert done["installed"] == ["acme/fit@1.1.0"]
    assert record("update", "-y", "--any-base", "--json")["installed"] == ["acme/fit@1.2.0"]


def test_keys_as_json(shelf: Path, tmp_path: Path) -> None:
    """Every change of trust tells whose key is in which state."""
    write_key_pair(KEY, tmp_path / "old")
    write_key_pair(OTHER, tmp_path / "new")
    pinned = record("trust", "pin", "acme", tmp_path / "old.pub", "--json")
    assert (pinned["fingerprint"], pinned["state"]) == (KEY.public.fingerprint, "active")
    statement = tmp_path / "acme.trust.json"
    made = record(
        "trust", "rotate", "acme", tmp_path / "new.pub", "-k", tmp_path / "old", "-o", statement,
        "--json",
    )  # fmt: skip
    assert made == {"path": str(statement)}
    applied = record("trust", "apply", statement, "--json")
    assert (applied["kind"], applied["publisher"]) == ("rotation", "acme")
    allowed = record("trust", "export", "--json")["allowed_signers"]
    assert OTHER.public.line in allowed
    gone = record("trust", "revoke", "acme", OTHER.public.fingerprint, "--reason", "lost", "--json")
    assert (gone["state"], gone["reason"]) == ("revoked", "lost")


def test_a_bundle_as_json(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came out of it, on another machine."""
    good("install", "forms", *SURE)
    bundle = tmp_path / "one.bundle"
    assert expert("bundle", "create", bundle).code == 2  # nothing is to go into it
    good("bundle", "create", bundle, "forms")
    monkeypatch.setenv("EXPERT_HOME", str(tmp_path / "there"))
    refused = expert("bundle", "install", bundle, "-y", "--json")
    assert json.loads(refused.err)["code"] == 5
    done = record("bundle", "install", bundle, "-y", "--trust", KEY.public.fingerprint, "--json")
    assert done["installed"] == ["acme/forms@1.0.0"]


@pytest.fixture(name="hub")
def hub_with_the_dora(dora: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has it."""
    hub = Hub()
    hub.add("some.One/Dora", {path.name: path.read_bytes() for path in dora.iterdir()})
    hub.plain = ("adapter_config.json", "README.md")
    with as_the_hub(hub, monkeypatch):
        yield hub


@pytest.mark.slow
def test_importing_what_is_no_lora(hub: Hub, tiny_path: Path) -> None:
    """--rank makes a LoRA of that rank of it; without, it is refused."""
    command = ("import", f"hf:some.One/Dora@{FIRST}", "-y", "-m", tiny_path)
    assert expert(*command).code != 0
    (label,) = record(*command, "--rank", str(RANK), "--json")["installed"]
    assert label.startswith("imported/dora@")
    manifest = record("show", "dora", "--json")["manifest"]
    assert manifest["bases"][0]["adapter"]["rank"] == RANK


@pytest.mark.slow
def test_migrating_what_is_no_lora(dora: Path, tiny_path: Path, tmp_path: Path) -> None:
    """Under the name of who publishes it, approximated by the rank that is given."""
    old = tmp_path / "old"
    old.mkdir()
    for path in dora.iterdir():
        (old / path.name).write_bytes(path.read_bytes())
    about = {
        "name": "expert-dora",
        "version": "0.3.0",
        "schema_version": "1.0",
        "description": "Acts only merged.",
        "base_model": {"name": "Qwen3-0.6B", "sha256": ""},
        "adapters": [{"type": "dora", "target_modules": ["q_proj"], "r": 4, "alpha": 4}],
        "license": "MIT",
    }
    (old / "manifest.json").write_text(json.dumps(about))
    new = tmp_path / "new.expert"
    done = record(
        "migrate", old, "-o", new, "--publisher", "guild", "--convert", "--rank", str(RANK),
        "-m", tiny_path, "--json",
    )  # fmt: skip
    assert done["label"] == "guild/dora@0.3.0"
    adapter = inspect(new).manifest.bases[0].adapter
    assert (adapter.kind, adapter.format, adapter.rank) == ("lora", "gguf", RANK)
