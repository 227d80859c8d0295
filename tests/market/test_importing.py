"""Experts of adapters on the hub: converted exactly, marked as unvouched, never unpickled."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.errors import ExpertError, NetworkNeededError, NotFoundError, UsageError
from expert.errors import VerificationError as Wrong
from expert.market.bases import identify
from expert.market.health import verify
from expert.market.importing import ImportJob, import_adapter, slug
from expert.market.remove import uninstall
from expert.market.use import ready_expert
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.hub import FIRST, SECOND, Hub, as_the_hub
from support.markets import make_market, yes
from support.program import expert

REPO = "some.One/My_LoRA-1"
REFERENCE = f"hf:{REPO}@{FIRST}"


@pytest.fixture(name="peft")
def peft_folder(tmp_path: Path) -> Path:
    """A PEFT adapter for the tiny model."""
    return peft_adapter(tmp_path / "peft", Qwen3Shape(), AdapterShape(rank=32, alpha=32))


@pytest.fixture(name="hub")
def hub_with_an_adapter(peft: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has it."""
    hub = Hub()
    hub.add(REPO, {path.name: path.read_bytes() for path in peft.iterdir()})
    hub.plain = ("adapter_config.json",)
    with as_the_hub(hub, monkeypatch):
        yield hub


def test_an_adapter_becomes_an_expert(
    hub: Hub, peft: Path, tiny_path: Path, tmp_path: Path
) -> None:
    """With the weights that converting the folder gives, and where it came from."""
    market = make_market(tmp_path / "home")
    done = import_adapter(market, ImportJob(REFERENCE, tiny_path), yes)
    assert done.generation is not None
    with market.reading() as catalogue:
        (package,) = catalogue.installed()
    assert (package.qualified_name, package.trust) == ("imported/my-lora-1", "unvouched")
    assert (package.source, package.signer) == (REFERENCE, None)
    assert package.manifest.license == "apache-2.0"
    assert package.manifest.extra["commit"] == FIRST
    assert verify(market, [package], deep=True) == []
    ready = ready_expert(market, "my-lora-1", identify(tiny_path))
    wanted = LoraJob(peft, tiny_path, tmp_path / "wanted.gguf", name="My_LoRA-1")
    assert ready.adapter is not None
    assert ready.adapter.read_bytes() == convert_lora(wanted).read_bytes()
    assert list((tmp_path / "home" / "downloads").glob("*.part")) == []


def test_importing_twice_and_again(hub: Hub, tiny_path: Path, tmp_path: Path) -> None:
    """The same commit gives the same package; another one stands for a new version."""
    market = make_market(tmp_path / "home")
    import_adapter(market, ImportJob(REFERENCE, tiny_path), yes)
    assert import_adapter(market, ImportJob(REFERENCE, tiny_path), yes).plan.is_empty
    uninstall(market, ["my-lora-1"])
    assert import_adapter(market, ImportJob(REFERENCE, tiny_path), yes).generation is not None
    hub.add(REPO, hub.repositories[f"{REPO}@{FIRST}"], SECOND)
    other = import_adapter(market, ImportJob(f"hf:{REPO}@{SECOND}", tiny_path), yes)
    assert other.generation is not None


def test_a_lora_that_starts_at_the_answer(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its invocation tokens are in the manifest."""
    shape = AdapterShape(rank=32, alpha=32, alora_invocation_tokens=(5, 6))
    folder = peft_adapter(tmp_path / "alora", Qwen3Shape(), shape)
    hub = Hub()
    hub.add(REPO, {path.name: path.read_bytes() for path in folder.iterdir()})
    market = make_market(tmp_path / "home")
    with as_the_hub(hub, monkeypatch):
        import_adapter(market, ImportJob(REFERENCE, tiny_path, name="late"), yes)
    adapter = ready_expert(market, "late", identify(tiny_path)).base.adapter
    assert (adapter.activation, adapter.invocation_tokens) == ("answer", (5, 6))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"adapter_model.safetensors": None, "adapter_model.bin": b"x"}, Wrong, "pickle"),
        ({"adapter_model.safetensors": None}, NotFoundError, "no adapter_model"),
        ({"adapter_config.json": None}, NotFoundError, "no adapter_config"),
        ({"adapter_config.json": bytes(2 << 20)}, Wrong, "too large"),
        ({"adapter_config.json": b"{"}, Wrong, ""),
        ({"adapter_config.json": b'{"peft_type": "NEW"}'}, Wrong, "NEW"),
        ({"adapter_model.safetensors": b"\x80\x04pickle"}, Wrong, ""),
    ],
)
def test_what_cannot_be_imported(
    hub: Hub,
    tiny_path: Path,
    tmp_path: Path,
    changes: dict[str, bytes | None],
    kind: type[ExpertError],
    words: str,
) -> None:
    """Each for its reason, and nothing is installed."""
    files = hub.repositories[f"{REPO}@{FIRST}"] | changes
    hub.add(REPO, {name: data for name, data in files.items() if data is not None})
    market = make_market(tmp_path / "home")
    with pytest.raises(kind) as caught:
        import_adapter(market, ImportJob(REFERENCE, tiny_path), yes)
    assert words in str(caught.value)
    with market.reading() as catalogue:
        assert catalogue.installed() == []


def test_dora_needs_a_rank(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peft: Path
) -> None:
    """What has no exact form is not imported as something else."""
    config = json.loads((peft / "adapter_config.json").read_text())
    hub = Hub()
    files = {path.name: path.read_bytes() for path in peft.iterdir()}
    hub.add(REPO, files | {"adapter_config.json": json.dumps(config | {"use_dora": True}).encode()})
    with as_the_hub(hub, monkeypatch), pytest.raises((UsageError, Wrong)):
        import_adapter(make_market(tmp_path / "home"), ImportJob(REFERENCE, tiny_path), yes)


def test_an_adapter_for_another_base_is_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_path: Path
) -> None:
    """Its matrices have other sizes."""
    other = peft_adapter(tmp_path / "big", Qwen3Shape(hidden_size=96), AdapterShape(rank=32))
    hub.add(REPO, {path.name: path.read_bytes() for path in other.iterdir()})
    with pytest.raises(Wrong):
        import_adapter(make_market(tmp_path / "home"), ImportJob(REFERENCE, tiny_path), yes)


def test_a_damaged_download_is_refused(hub: Hub, tiny_path: Path, tmp_path: Path) -> None:
    """The small file as well as the large one."""
    for spoiled in (["same size"] * 2, ["", "same size"]):
        hub.faults = list(spoiled)
        with pytest.raises(Wrong, match="What was fetched"):
            import_adapter(make_market(tmp_path / "home"), ImportJob(REFERENCE, tiny_path), yes)


def test_references(hub: Hub, tiny_path: Path, tmp_path: Path) -> None:
    """Only a commit will do; which one it would be is told."""
    market = make_market(tmp_path / "home")
    for text in (f"hf:{REPO}", f"hf:{REPO}@main"):
        with pytest.raises(UsageError, match=FIRST):
            import_adapter(market, ImportJob(text, tiny_path), yes)
    for text in ("hf:one", REPO, f"hf:{REPO}@", "hf:a/b/c@" + FIRST):
        with pytest.raises(UsageError, match="Write hf:"):
            import_adapter(market, ImportJob(text, tiny_path), yes)
    with pytest.raises(NotFoundError):
        import_adapter(market, ImportJob(f"hf:{REPO}@{SECOND}", tiny_path), yes)
    assert slug("Some_Thing.v2") == "some-thing-v2"
    with pytest.raises(UsageError):
        slug("___")


def test_no_is_no(hub: Hub, tiny_path: Path, tmp_path: Path) -> None:
    """The user sees that nobody signed it, and where it is from, before anything is stored."""
    market = make_market(tmp_path / "home")
    done = import_adapter(market, ImportJob(REFERENCE, tiny_path), lambda plan: False)
    (one,) = done.plan.additions
    assert (one.signer, one.source, done.generation) == (None, REFERENCE, None)


def test_the_program(hub: Hub, tiny_path: Path) -> None:
    """Import, list with its mark, show; without a network code 8."""
    done = expert("import", REFERENCE, "-y", "-m", tiny_path, "--name", "mine")
    assert (done.code, done.message) == (0, "")
    assert "installed imported/mine@0.0.0-hf-" in done.text
    assert "(unvouched)" in expert("list").text
    assert REFERENCE in expert("show", "mine").text
    gone = expert("import", REFERENCE, "-y", "-m", tiny_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert gone.code == NetworkNeededError.code
