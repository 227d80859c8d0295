"""Saved KV caches: exact when taken back, refused whenever anything differs."""

from dataclasses import replace
from pathlib import Path

import pytest

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.state import load_state, save_state
from expert.errors import NotFoundError, ResourceError, VerificationError
from support.adapters import MadeAdapter

OPTIONS = ContextOptions(size=512, kv_type="f32", flash_attention="off")
PROMPT = [3, 90, 5, 200, 17, 44, 301, 8, 5, 6]


@pytest.fixture
def expert(tiny: Model, answerers: list[MadeAdapter]) -> AdapterFile:
    """Return an `answer` adapter."""
    return read_adapter(answerers[0].path, tiny.header)


def job(expert: AdapterFile, *more: int) -> Job:
    """Return a job on the prompt and *more* under the expert."""
    return Job([*PROMPT, *more], max_tokens=6, ignore_end=True, experts=((expert, 1.0),))


def run(engine: Engine, wanted: Job) -> tuple[list[int], int]:
    """Return a job's tokens, and how many of its prompt tokens were already there."""
    outputs = list(engine.submit(wanted))
    last = outputs[-1]
    assert isinstance(last, Finished)
    return [
        out.token for out in outputs if isinstance(out, Piece) and out.token >= 0
    ], last.timings.cached_tokens


def save(engine: Engine, path: Path) -> None:
    """Save the engine's only sequence."""
    engine.call(lambda: save_state(engine.context, engine.scheduler.slots[0], path))


def load(engine: Engine, path: Path, *adapters: AdapterFile) -> None:
    """Fill the engine's only sequence."""
    slot = engine.scheduler.slots[0]
    engine.call(lambda: load_state(engine.context, slot, path, adapters))


@pytest.fixture
def saved(tiny: Model, expert: AdapterFile, tmp_path: Path) -> Path:
    """Return a state saved after the job."""
    path = tmp_path / "state"
    with Engine(tiny, OPTIONS) as engine:
        engine.scheduler.rebase = lambda: False  # type: ignore[method-assign]  # keep the expert's KV
        run(engine, job(expert))
        save(engine, path)
    return path


def test_a_restored_conversation_goes_on_exactly(
    tiny: Model, expert: AdapterFile, saved: Path
) -> None:
    """Nothing of the prompt is computed again, and the tokens are those of a fresh run."""
    with Engine(tiny, OPTIONS) as engine:
        expected, nothing = run(engine, job(expert, 7, 9))
    with Engine(tiny, OPTIONS) as engine:
        load(engine, saved, expert)
        again, cached = run(engine, job(expert))
        assert cached == len(PROMPT) - 1
        assert run(engine, job(expert, 7, 9))[0] == expected
    assert nothing == 0
    assert again


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kv_type": "f16"}, "kv type"),
        ({"flash_attention": "on"}, "flash attention"),
    ],
)
def test_other_settings_are_refused(
    tiny: Model, expert: AdapterFile, saved: Path, change: dict[str, str], word: str
) -> None:
    """The error names what differs."""
    with Engine(tiny, replace(OPTIONS, **change)) as engine:  # type: ignore[arg-type]  # by name
        with pytest.raises(VerificationError, match=word):
            load(engine, saved, expert)
        assert run(engine, job(expert))[1] == 0


def test_an_expert_that_is_gone_is_named(tiny: Model, saved: Path, expert: AdapterFile) -> None:
    """Without the adapter the KV means nothing."""
    with Engine(tiny, OPTIONS) as engine, pytest.raises(VerificationError, match=expert.digest):
        load(engine, saved)


def test_a_context_that_is_too_small(tiny: Model, saved: Path, expert: AdapterFile) -> None:
    """More tokens than cells are refused before C sees them."""
    with Engine(tiny, replace(OPTIONS, size=256)) as engine:
        engine.context.size = 8
        with pytest.raises(ResourceError):
            load(engine, saved, expert)


def test_damaged_files_are_refused(
    tiny: Model, saved: Path, expert: AdapterFile, tmp_path: Path
) -> None:
    """Flips and truncations anywhere are found before C sees the blob."""
    raw = saved.read_bytes()
    bad = tmp_path / "bad"
    with Engine(tiny, OPTIONS) as engine:
        for place in [*range(40), *range(40, len(raw), len(raw) // 60)]:
            flipped = bytearray(raw)
            flipped[place] ^= 0x40
            bad.write_bytes(flipped)
            with pytest.raises(VerificationError):
                load(engine, bad, expert)
        for size in (0, 7, 20, len(raw) // 2, len(raw) - 1):
            bad.write_bytes(raw[:size])
            with pytest.raises(VerificationError):
                load(engine, bad, expert)
        with pytest.raises(NotFoundError):
            load(engine, tmp_path / "none", expert)


def test_a_state_that_cannot_be_written_leaves_nothing(
    tiny: Model, expert: AdapterFile, tmp_path: Path
) -> None:
    """The error is code 9, and no draft stays behind."""
    with Engine(tiny, OPTIONS) as engine:
        run(engine, job(expert))
        with pytest.raises(ResourceError):
            save(engine, tmp_path / "missing" / "state")
    assert list(tmp_path.iterdir()) == []
