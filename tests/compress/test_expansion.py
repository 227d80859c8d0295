"""Packed adapters reach the engine expanded: once a content, and never a damaged one."""

from pathlib import Path

import pytest

from expert.choosing import choose_experts
from expert.engine import expansion
from expert.engine.adapter_file import read_adapter
from expert.engine.adapter_set import AdapterSet
from expert.engine.expansion import attachable
from expert.engine.model import Model
from expert.engine.pool import AdapterPool
from expert.errors import NotFoundError, ResourceError, VerificationError
from expert.models import find_expert
from expert_converters.compress.compress import CompressJob, compress


@pytest.fixture
def packed(adapter: Path, tmp_path: Path) -> Path:
    """Return a packed adapter called `songs`."""
    compress(CompressJob(adapter, tmp_path / "songs.gguf", "q3"))
    return tmp_path / "songs.gguf"


def test_the_engine_attaches_the_expanded_form(packed: Path, tiny: Model) -> None:
    """What comes back passes the engine's checks, is loaded, and keeps its name."""
    file = read_adapter(attachable(packed), tiny.header)
    pool = AdapterPool(tiny)
    assert len(pool.attached(AdapterSet.of([(file, 1.0)])).loras) == 1
    pool.close()
    assert (file.name, file.rank) == ("songs", 32)


def test_what_people_type_is_expanded(packed: Path, tiny_path: Path) -> None:
    """A packed file is an expert like any other, with a scale or without."""
    for found in (find_expert(f"{packed}:0.5"), *choose_experts([f"{packed}:0.5"], tiny_path)):
        assert found.name == "songs"
        assert found.scale == 0.5
        assert found.adapter == attachable(packed) != packed


def test_an_ordinary_adapter_stays_where_it_is(adapter: Path, home: Path) -> None:
    """Nothing is written for it."""
    assert attachable(adapter) == adapter
    assert not (home / "cache" / "expanded").exists()


def test_expanding_happens_once(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time, and after a copy of the file under the same name, the cache answers."""
    first = attachable(packed)
    monkeypatch.setattr(expansion, "_expand", lambda *_: pytest.fail("expanded again"))
    assert [attachable(packed) for _ in range(3)] == [first] * 3


def test_a_changed_file_is_expanded_anew(packed: Path, adapter: Path) -> None:
    """Another content has another place, whatever the file is called."""
    first = attachable(packed)
    compress(CompressJob(adapter, packed, "q2"))
    second = attachable(packed)
    assert first != second
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("damage", ["gone", "changed", "empty"])
def test_a_damaged_cache_is_made_anew(packed: Path, damage: str) -> None:
    """What is in the cache counts only as long as it is what was written there."""
    first = attachable(packed)
    good = first.read_bytes()
    if damage == "gone":
        first.unlink()
    else:
        first.write_bytes(good[:-100] + bytes(100) if damage == "changed" else b"")
    assert attachable(packed).read_bytes() == good


def test_a_hostile_file_is_refused(packed: Path, home: Path) -> None:
    """A damaged packed adapter is a typed error with its reason, and leaves nothing."""
    data = packed.read_bytes()
    packed.write_bytes(data.replace(b"codes", b"cakes", 1))
    with pytest.raises(VerificationError) as caught:
        attachable(packed)
    assert caught.value.why and caught.value.fix
    assert not list((home / "cache" / "expanded").glob("*/*"))
    packed.write_bytes(data[: len(data) // 2])  # no GGUF at all: whoever reads it next says so
    assert attachable(packed) == packed


def test_a_cache_that_cannot_be_written(packed: Path, home: Path) -> None:
    """The reason is the disk, not the file."""
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "expanded").write_text("in the way")
    with pytest.raises(ResourceError, match="cannot be unpacked"):
        attachable(packed)


def test_a_file_that_vanishes(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its header and the reading it may be gone."""

    def gone(*_: object) -> str:
        packed.unlink(missing_ok=True)
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(expansion, "file_identity", gone)
    with pytest.raises(NotFoundError):
        attachable(packed)


def test_the_cache_has_a_limit(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, the newest never."""
    monkeypatch.setattr(expansion, "_KEPT_BYTES", 1)
    made = []
    for method in ("q3", "q2"):
        compress(CompressJob(adapter, tmp_path / f"{method}.gguf", method))
        made.append(attachable(tmp_path / f"{method}.gguf"))
    assert [path.exists() for path in made] == [False, True]
