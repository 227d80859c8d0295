"""Measuring a model: figures that belong together, from the engine that answers questions."""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import pytest

from expert.bench import model as bench_model
from expert.bench.model import BenchOptions, BenchResult, bench, peak_memory
from expert.cli.bench import table
from expert.engine.engine import Engine
from expert.engine.generation import Job
from expert.errors import ExpertError, NotFoundError


@pytest.fixture(scope="module")
def options() -> BenchOptions:
    """A short measurement, with an even number of runs."""
    return BenchOptions(prompt=24, decode=5, repeat=4, threads=1)


@pytest.fixture(scope="module")
def result(tiny_path: Path, options: BenchOptions) -> BenchResult:
    """What it finds on the tiny model."""
    return bench(tiny_path, options)


def test_every_figure_is_there(result: BenchResult, tiny_path: Path) -> None:
    """Times and speeds above zero, the file's own size, and a name for people."""
    assert result.model == tiny_path.stem and result.bytes == tiny_path.stat().st_size
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        assert value and (not isinstance(value, float) or value > 0), field.name


def test_figures_are_medians_of_the_runs(result: BenchResult, options: BenchOptions) -> None:
    """One figure a repeat; the run that warms up is not among them."""
    assert len(result.prefill_runs) == len(result.decode_runs) == options.repeat
    assert result.prefill_tokens_per_s == statistics.median(result.prefill_runs)
    assert result.decode_tokens_per_s == statistics.median(result.decode_runs)
    assert min(result.decode_runs) <= result.decode_tokens_per_s <= max(result.decode_runs)


def test_memory_is_this_processs(result: BenchResult) -> None:
    """The most that was ever held, which only grows, and at least what the model takes."""
    assert result.peak_memory >= result.bytes
    before = peak_memory()
    held = bytearray(64 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    assert peak_memory() >= max(before, result.peak_memory)
    assert peak_memory() > len(held)


def test_progress_counts_the_run_that_warms_up(tiny_path: Path) -> None:
    """It ends with all of all."""
    told: list[tuple[int, int]] = []
    bench(tiny_path, BenchOptions(8, 2, 2, 1), lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_each_run_reads_another_prompt(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt that was read before would be taken from the cache and look quick."""
    jobs: list[Job] = []
    real = Engine.submit

    def noted(self: Engine, job: Job, **more: Any) -> object:
        jobs.append(job)
        return real(self, job, **more)

    monkeypatch.setattr(Engine, "submit", noted)
    bench(tiny_path, BenchOptions(prompt=12, decode=3, repeat=2, threads=1))
    prompts = [tuple(job.prompt) for job in jobs]
    assert [len(prompt) for prompt in prompts] == [12, 16] * 3
    assert len(set(prompts)) == len(prompts) and len({prompt[:3] for prompt in prompts}) == 6
    assert [job.max_tokens for job in jobs] == [1, 4] * 3
    assert all(job.ignore_end for job in jobs), "a token that ends an answer ends no measurement"


def test_the_same_prompts_are_read_every_time(
    tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two measurements of one model do the same work."""
    seen: list[list[int]] = []
    monkeypatch.setattr(bench_model, "_timings", lambda _engine, job: seen.append(job.prompt))
    with pytest.raises(AttributeError):
        bench(tiny_path, BenchOptions(6, 2, 1, 1))
    first = list(seen)
    seen.clear()
    with pytest.raises(AttributeError):
        bench(tiny_path, BenchOptions(6, 2, 1, 1))
    assert seen == first and len(first) == 4


@pytest.mark.parametrize("prompt", [1, 2, 17])
@pytest.mark.parametrize("decode", [1, 3])
def test_the_smallest_measurements_work(prompt: int, decode: int, tiny_path: Path) -> None:
    """The context is large enough, however few tokens are asked for."""
    found = bench(tiny_path, BenchOptions(prompt, decode, 1, 1))
    assert found.prefill_tokens_per_s > 0 and found.decode_tokens_per_s > 0


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    """A missing file and one that is no model give errors of ours."""
    with pytest.raises(ExpertError):
        bench(tmp_path / "missing.gguf", BenchOptions(8, 2, 1, 1))
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(ExpertError) as caught:
        bench(other, BenchOptions(8, 2, 1, 1))
    assert caught.value.what and caught.value.fix
    assert not isinstance(caught.value, NotFoundError)


def test_the_table_shows_what_was_measured(result: BenchResult, options: BenchOptions) -> None:
    """Speeds with the number of tokens they were taken over, memory in units people know."""
    fixed = dataclasses.replace(
        result, prefill_tokens_per_s=123.4, decode_tokens_per_s=56.7, first_token_s=0.125
    )
    text = table(fixed, options)
    for part in ("123.4", "56.7", "125", str(options.prompt), str(options.decode)):
        assert part in text, text
