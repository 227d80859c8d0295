"""A disk that is full at any point of a training: one clear error, and nothing that was there is
lost.

Files larger than a limit of the process fail in the kernel as on a full disk; a small tmpfs is one.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from expert.errors import ResourceError
from expert.train.adapter import train as training
from expert.train.adapter.distill import Answers, Teacher, questions
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.soft_targets import logit_level
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.train import train_expert
from support.tiny_training import tiny_options


@contextmanager
def largest(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes inside the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


STAGES = [(4_000, "The run cannot"), (100_000, "The run cannot"), (600_000, "The checkpoint")]


@pytest.mark.parametrize(("size", "said"), STAGES)
def test_a_full_disk_is_told(tiny_path: Path, tmp_path: Path, size: int, said: str) -> None:
    """While rows are encoded, at the rehearsal, and at the first checkpoint."""
    options = tiny_options(tmp_path, tiny_path)
    with largest(size), pytest.raises(ResourceError, match=said) as caught:
        train_expert(options)
    assert caught.value.fix and not list(options.out.rglob("*.part"))
    assert not (options.out / "adapter.gguf").exists()
    assert train_expert(options) is not None


def test_the_last_checkpoint_is_whole(tiny_path: Path, tmp_path: Path) -> None:
    """A checkpoint that cannot be replaced stays, and the run goes on from it."""
    options = tiny_options(tmp_path, tiny_path)
    train_expert(options)
    whole = (options.out / "state.pt").read_bytes()
    longer = replace(options, tokens=4000)
    with largest(600_000), pytest.raises(ResourceError, match="checkpoint"):
        train_expert(longer)
    assert (options.out / "state.pt").read_bytes() == whole
    assert torch.load(options.out / "state.pt", weights_only=True)["counters"][0] > 0
    assert train_expert(replace(options, resume=True)) is not None


def test_a_full_disk_at_the_end_loses_nothing(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter cannot be written; with room again the run ends from its checkpoint."""
    options = tiny_options(tmp_path, tiny_path)
    train_expert(options)
    (options.out / "adapter.gguf").unlink()
    shutil.rmtree(options.out / "adapter")
    monkeypatch.setattr(training, "rehearse", lambda *arguments: None)
    resumed = replace(options, resume=True)
    with largest(100_000), pytest.raises(ResourceError, match="The adapter cannot"):
        train_expert(resumed)
    assert train_expert(resumed) is not None and (options.out / "adapter.gguf").exists()


def test_a_teachers_answers_are_kept_as_far_as_there_was_room(
    tiny_path: Path, tmp_path: Path
) -> None:
    """What was written before the disk was full is not asked for again."""
    options = tiny_options(tmp_path, tiny_path)
    recipe = read_recipe(options.recipe)
    asked: list[str] = []

    def answer(messages: object) -> str:
        asked.append(str(messages))
        return "x" * 100

    teacher = Teacher("talkative", answer)
    with largest(2000), pytest.raises(ResourceError, match="answers cannot"):
        Answers(tmp_path, "talkative").gather(
            questions(recipe, TaskData(options.data)), teacher, lambda done, total: None
        )
    kept = len(Answers(tmp_path, "talkative").known)
    first = len(asked)
    assert 5 < kept < first <= kept + 8
    Answers(tmp_path, "talkative").gather(
        questions(recipe, TaskData(options.data)), teacher, lambda done, total: None
    )
    assert len(asked) == first + len(set(asked)) - kept


def test_a_teachers_probabilities_need_room_too(tiny_path: Path, tmp_path: Path) -> None:
    """Half a chunk is none."""
    options = tiny_options(tmp_path, tiny_path, method=logit_level(tiny_path))
    monkey = replace(options, out=tmp_path / "other")
    with largest(300_000), pytest.raises(ResourceError, match="probabilities|checkpoint"):
        train_expert(monkey)
    assert not list(monkey.out.rglob("*.part"))


@pytest.mark.slow
def test_a_small_file_system_is_refused_at_once(tiny_path: Path, tmp_path: Path) -> None:
    """A real one of 1 MB: the command ends with code 9 before it trains."""
    inside, options = tmp_path / "small", tiny_options(tmp_path, tiny_path)
    inside.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'
    tools = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*tools, str(inside), "true"], capture_output=True).returncode
    ):
        pytest.skip("this system lets nobody mount a tmpfs of his own")
    command = [
        sys.executable, "-m", "expert", "train", str(options.recipe), "--data", str(options.data),
        "--out", str(inside / "run"), "--base", str(tiny_path), "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(
        [*tools, str(inside), *command], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 9, done.stderr
    assert "too full" in done.stderr and "Traceback" not in done.stderr
