"""Adapters in memory: the budget holds, one copy a content, nothing in use is freed."""

import random
import shutil
from pathlib import Path

import pytest

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import AdapterSet
from expert.engine.model import Model
from expert.engine.pool import AdapterPool
from expert.errors import NotFoundError, ResourceError, VerificationError, WrongBaseError
from expert_converters.model import ModelJob, convert_model
from support.adapters import MadeAdapter
from support.checkpoints import Qwen3Shape, qwen3_checkpoint


@pytest.fixture
def files(tiny: Model, adapters: list[MadeAdapter]) -> list[AdapterFile]:
    """Return the ten adapters, checked."""
    return [read_adapter(made.path, tiny.header) for made in adapters]


def test_a_budget_for_four_holds_over_a_thousand_requests(
    tiny: Model, files: list[AdapterFile]
) -> None:
    """Whatever is asked for, in sets of one to three, never more than the budget is loaded."""
    pool = AdapterPool(tiny, files[0].bytes * 4)
    draw = random.Random(0)
    for _ in range(1000):
        wanted = draw.sample(files, draw.randint(1, 3))
        pool.attached(AdapterSet.of([(file, 1.0) for file in wanted]))
        assert pool.bytes <= pool.budget
        assert {file.digest for file in wanted} <= {file.digest for file in pool.resident}
    pool.close()
    assert pool.bytes == 0


def test_the_least_recently_used_goes_first(tiny: Model, files: list[AdapterFile]) -> None:
    """And among equals the one of the lowest priority."""
    pool = AdapterPool(tiny, files[0].bytes * 3)
    for file in files[:3]:
        pool.load(file)
    pool.load(files[0])
    pool.load(files[3])
    assert [file.digest for file in pool.resident] == [files[i].digest for i in (2, 0, 3)]
    pool.load(files[2], priority=1)
    pool.load(files[4])
    pool.load(files[5])
    assert files[2] in pool.resident
    pool.close()


def test_pinned_and_attached_adapters_stay(tiny: Model, files: list[AdapterFile]) -> None:
    """What does not fit beside them is refused with both figures."""
    pool = AdapterPool(tiny, files[0].bytes * 2)
    pool.pin(files[0])
    pool.attached(AdapterSet.of([(files[1], 1.0)]))
    with pytest.raises(ResourceError, match="MB") as caught:
        pool.load(files[2])
    assert caught.value.code == 9
    pool.unpin(files[0])
    pool.load(files[2])
    assert files[0] not in pool.resident
    pool.close()


def test_preloading_fills_the_room_by_priority(tiny: Model, files: list[AdapterFile]) -> None:
    """The most important ones that fit are loaded, nothing is pushed out."""
    pool = AdapterPool(tiny, files[0].bytes * 3)
    pool.load(files[9])
    pool.preload([(file, index) for index, file in enumerate(files[:5])])
    assert {file.digest for file in pool.resident} == {files[i].digest for i in (9, 4, 3)}
    pool.close()


def test_equal_content_is_loaded_once(
    tiny: Model, adapters: list[MadeAdapter], tmp_path: Path
) -> None:
    """A copy under another name is the same adapter."""
    copy = tmp_path / "copy.gguf"
    shutil.copy(adapters[0].path, copy)
    pool = AdapterPool(tiny)
    pool.load(read_adapter(adapters[0].path, tiny.header))
    pool.load(read_adapter(copy, tiny.header))
    assert len(pool.resident) == 1
    pool.close()


def test_missing_damaged_and_foreign_adapters(
    tiny: Model, adapters: list[MadeAdapter], tmp_path: Path
) -> None:
    """Each is a typed error before C sees the file."""
    with pytest.raises(NotFoundError):
        read_adapter(tmp_path / "none.gguf", tiny.header)
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(adapters[0].path.read_bytes()[:-100])
    with pytest.raises(VerificationError):
        read_adapter(damaged, tiny.header)
    with pytest.raises(VerificationError):
        read_adapter(tiny.path, tiny.header)


def test_another_base_of_the_same_shape_is_refused(
    adapters: list[MadeAdapter], tmp_path: Path
) -> None:
    """An adapter names the weights it was made for; the reason is given, with code 4."""
    folder = qwen3_checkpoint(tmp_path / "other", Qwen3Shape(seed=7))
    other = convert_model(ModelJob(folder, tmp_path / "other.gguf", "f32"))
    with Model(other) as model, pytest.raises(WrongBaseError, match="other weights") as caught:
        read_adapter(adapters[0].path, model.header)
    assert caught.value.code == 4


def test_an_adapter_is_checked_once_a_base(
    tiny: Model, adapters: list[MadeAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is remembered; another content under the name is checked again."""
    first = read_adapter(adapters[0].path, tiny.header)

    def never(*_: object) -> None:
        raise AssertionError("checked again")

    monkeypatch.setattr("expert.engine.adapter_file._check", never)
    assert read_adapter(adapters[0].path, tiny.header) == first
