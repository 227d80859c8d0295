"""What a run keeps in its folder: its log, its checkpoint, its encoded rows, its converted base.

Each is spoilt in every part. The run ends as it would have, or one error says what to remove.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expert.errors import ExpertError, ResourceError, VerificationError, WrongBaseError
from expert.train.adapter.base import convert_once, open_base
from expert.train.adapter.dataset import load_dataset
from expert.train.adapter.processes import join
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.run import Run, load, save
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.train import (
    Listener,
    Options,
    Prepared,
    fresh_run,
    make_folder,
    prepare,
    train_expert,
)
from expert.train.checkpoint import NAME
from expert.train.curve import draw, read_curves
from expert.train.pretrain import TaskLosses
from expert.train.start import LOG
from support.songs import write_songs
from support.tiny_training import tiny_options

TOKENS = 500


@pytest.fixture(scope="module")
def finished(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Return the options of a finished tiny run."""
    options = tiny_options(tmp_path_factory.mktemp("finished"), tiny_path, tokens=TOKENS)
    assert train_expert(options) is not None
    return options


@pytest.fixture
def kept(finished: Options, tmp_path: Path) -> Options:
    """Return a copy of the finished run, to be gone on with."""
    shutil.copytree(finished.out, tmp_path / "run")
    return replace(finished, out=tmp_path / "run", resume=True)


# ---------------------------------------------------------------------------------------------
# The log


def half_a_line(log: Path) -> None:
    """Leave what a full disk leaves."""
    content = log.read_bytes()
    log.write_bytes(content[: len(content) - 30])


def half_then_whole(log: Path) -> None:
    """Leave half a line with the next run's first record behind it."""
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0][:20] + b"".join(lines))


SPOILT_LOGS: list[Callable[[Path], Any]] = [
    half_a_line,
    half_then_whole,
    lambda log: log.unlink(),
    lambda log: log.write_bytes(b""),
    lambda log: log.write_bytes(log.read_bytes() + b"\0" * 512 + b"\n"),
    lambda log: log.write_bytes(b"\xff\xfe\n3\nnull\n[]\n{}\n" + log.read_bytes()),
]


@pytest.mark.parametrize("spoil", SPOILT_LOGS, ids=range(len(SPOILT_LOGS)))
def test_a_log_that_is_cut_does_not_lose_the_run(
    kept: Options, spoil: Callable[[Path], Any]
) -> None:
    """The weights are in the checkpoint: the run ends, with a curve of the lines that are whole."""
    spoil(kept.out / LOG)
    for name in ("adapter.gguf", "run.json", "curve.svg"):
        (kept.out / name).unlink()
    done = train_expert(kept)
    assert done is not None and done.record["tokens"] >= TOKENS
    assert (kept.out / "curve.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_whole_lines_count_and_half_ones_do_not(tmp_path: Path) -> None:
    """Whatever stands between the records of a log."""
    records = [{"step": n, "tokens": n * 1000, "loss": {"a": 2.0}} for n in (1, 2, 3)]
    whole = [json.dumps(record) for record in records]
    log = tmp_path / LOG
    log.write_text(f"{whole[0]}\n{whole[1][:25]}\n\n{whole[2]}\n{whole[1]}{whole[1]}", "utf-8")
    assert [tokens for tokens, _ in read_curves(log)["a"]] == [0.001, 0.003]


def test_a_run_without_a_record_has_an_empty_curve() -> None:
    """Axes alone, in a drawing that is whole."""
    assert draw({}).count("<svg") == draw({}).count("</svg>") == 1


# ---------------------------------------------------------------------------------------------
# The checkpoint


@pytest.fixture(scope="module")
def prepared(finished: Options) -> Prepared:
    """Return what the run was made from."""
    return prepare(finished, Listener(), join("cpu"))


@pytest.fixture(scope="module")
def runs(prepared: Prepared, finished: Options) -> Iterator[tuple[Run, Run]]:
    """Return two equal runs at their first step."""
    longer = replace(finished, tokens=50_000)  # at the end of its budget a step changes nothing
    one, two = fresh_run(prepared, longer), fresh_run(prepared, longer)
    with one.workers, two.workers:
        yield one, two


@pytest.fixture(scope="module")
def saved(runs: tuple[Run, Run]) -> dict[str, Any]:
    """Return the state of the first run after two steps."""
    run = runs[0]
    seen = TaskLosses(run.feed.draws.names)
    run.advance(seen)
    run.validate()
    run.advance(seen)
    return copy.deepcopy(run.state("key"))


@pytest.fixture
def state(saved: dict[str, Any]) -> dict[str, Any]:
    """Return that state, to be spoilt."""
    return copy.deepcopy(saved)


def test_a_restored_run_takes_the_same_steps(
    runs: tuple[Run, Run], state: dict[str, Any], saved: dict[str, Any]
) -> None:
    """Weights, optimiser, batches and counters: three more steps end in the same bits."""
    run, again = runs
    run.restore(copy.deepcopy(saved))
    again.restore(state)
    assert (again.step, again.tokens, again.best_loss) == (run.step, run.tokens, run.best_loss)
    for one in runs:
        for _ in range(3):
            one.advance(TaskLosses(one.feed.draws.names))
    assert all(map(torch.equal, run.copies(), again.copies()))
    assert all(map(torch.equal, run.best, again.best))
    assert run.feed.draws.state() == again.feed.draws.state() and run.tokens == again.tokens
    assert not all(map(torch.equal, run.copies(), saved["weights"]))


def test_a_checkpoint_survives_the_disk(state: dict[str, Any], tmp_path: Path) -> None:
    """What is read is what was written, tensors and all; nothing is left beside it."""
    save(tmp_path, state)
    found = load(tmp_path, "key")
    assert found.keys() == state.keys() and found["counters"] == state["counters"]
    assert all(map(torch.equal, found["weights"], state["weights"]))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    with pytest.raises(WrongBaseError, match="another run"):
        load(tmp_path, "other")


PARTS = ("rate", "weights", "optimiser", "sampler", "budget", "counters", "best")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [None, [], {}, "x", "gone"], ids=str)
def test_a_part_that_is_another_thing_is_told(
    part: str, value: Any, state: dict[str, Any], runs: tuple[Run, Run]
) -> None:
    """One error for each, before a step is taken."""
    if value == "gone":
        del state[part]
    else:
        state[part] = value
    with pytest.raises(VerificationError, match="checkpoint is damaged"):
        runs[1].restore(state)


def moved(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    """Return what changes one part of a state."""

    def spoil(state: dict[str, Any]) -> None:
        state[name] = change(state[name])

    return spoil


WITHIN: list[Callable[[dict[str, Any]], None]] = [
    moved("weights", lambda found: [torch.zeros(1), *found[1:]]),
    moved("weights", lambda found: [*found[1:], found[0]]),
    moved("weights", lambda found: found[1:]),
    moved("best", lambda found: found[1:]),
    moved("best", lambda found: [torch.zeros(()), *found[1:]]),
    moved("counters", lambda found: found[1:]),
    moved("budget", lambda found: {**found, "more": 1}),
    moved("budget", lambda found: {**found, "total": "x"}),
    moved("budget", lambda found: {**found, "spent": None}),
    moved("sampler", lambda found: {**found, "passes": {}}),
    moved("sampler", lambda found: {**found, "debts": {}}),
    moved("sampler", lambda found: {**found, "passes": {"snips": (0, 10**6)}}),
    moved("sampler", lambda found: {**found, "passes": {"snips": (0, -1)}}),
    moved("optimiser", lambda found: {**found, "param_groups": []}),
    moved("rate", lambda found: math.nan),
]


@pytest.mark.parametrize("spoil", WITHIN, ids=range(len(WITHIN)))
def test_a_part_that_does_not_fit_this_run_is_told(
    spoil: Callable[[dict[str, Any]], None], state: dict[str, Any], runs: tuple[Run, Run]
) -> None:
    """A weight of another shape is not spread over this one; a place past the end is no place."""
    spoil(state)
    with pytest.raises(VerificationError, match="checkpoint is damaged"):
        runs[1].restore(state)


def test_bytes_changed_or_cut_anywhere_are_told(kept: Options, finished: Options) -> None:
    """Torch itself would load some of them."""
    path = kept.out / NAME
    whole = path.read_bytes()
    key = str(torch.load(path, weights_only=True)["key"])
    for place in range(len(whole) // 13, len(whole), len(whole) // 7):
        for content in (whole[:place], whole[:place] + b"\xa5" * 9 + whole[place + 9 :]):
            path.write_bytes(content)
            with pytest.raises(VerificationError, match="damaged"):
                load(kept.out, key)
    path.write_bytes(whole)
    assert load(kept.out, key)["key"] == key


def test_no_checkpoint_is_told(kept: Options) -> None:
    """With what to do about it."""
    (kept.out / NAME).unlink()
    with pytest.raises(VerificationError, match="no checkpoint") as caught:
        train_expert(kept)
    assert "--resume" in caught.value.fix


# ---------------------------------------------------------------------------------------------
# Encoded rows


def members(path: Path) -> dict[str, Any]:
    """Return the arrays of a file of encoded rows."""
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    "lost",
    ["training_tokens", "training_mask", "training_offsets", "validation_tokens"],
)
def test_encoded_rows_without_a_part_are_told(kept: Options, lost: str) -> None:
    """The file to remove is named; without it the rows are encoded again, and are the same."""
    (path,) = (kept.out / "sequences").glob("*.npz")
    arrays = members(path)
    whole = dict(arrays)
    del arrays[lost]
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(VerificationError, match=str(path)):
        train_expert(kept)
    path.unlink()
    assert train_expert(kept) is not None
    assert all(np.array_equal(whole[name], value) for name, value in members(path).items())


def test_what_a_kill_left_beside_the_rows_is_replaced(kept: Options) -> None:
    """A part file is no cache: the rows are encoded anew."""
    (path,) = (kept.out / "sequences").glob("*.npz")
    path.rename(path.with_suffix(".part"))
    path.with_suffix(".part").write_bytes(b"half")
    assert train_expert(kept) is not None
    assert path.exists() and not path.with_suffix(".part").exists()


def test_rows_depend_on_what_they_are_encoded_by(finished: Options, tmp_path: Path) -> None:
    """Other settings of the data have another file; settings of the training have the same."""
    base = open_base(finished.base, tmp_path)
    recipe, data = read_recipe(finished.recipe), TaskData(finished.data)

    def names(changed: Any) -> set[str]:
        load_dataset(changed, base, data, tmp_path)
        return {path.name for path in (tmp_path / "sequences").iterdir()}

    first = names(recipe)
    assert names(replace(recipe, training=replace(recipe.training, rate=1.0, seed=9))) == first
    assert len(names(replace(recipe, data=replace(recipe.data, validation=7)))) == 2
    assert len(names(replace(recipe, adapter=replace(recipe.adapter, activation="answer")))) == 3
    assert len(names(replace(recipe, data=replace(recipe.data, limit=60)))) == 4


def test_public_rows_of_another_folder_are_encoded_too(finished: Options, tmp_path: Path) -> None:
    """A run's folder kept the rows of the first `--data`, and trained on those."""
    base, recipe = open_base(finished.base, tmp_path), read_recipe(finished.recipe)
    other = tmp_path / "other"
    write_songs(other, 40)
    first = load_dataset(recipe, base, TaskData(finished.data), tmp_path)
    second = load_dataset(recipe, base, TaskData(other), tmp_path)
    assert second.digest != first.digest and sum(second.rows.values()) < sum(first.rows.values())
    assert load_dataset(recipe, base, TaskData(finished.data), tmp_path).digest == first.digest


# ---------------------------------------------------------------------------------------------
# The base, and the folder itself


def test_another_checkpoint_in_the_same_run_is_another_base(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """It was taken for the first one, and the adapter labelled with that one's identity."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    run = tmp_path / "run"
    run.mkdir()
    first = convert_once(folder, run)
    assert convert_once(folder, run) == first and len(list(run.iterdir())) == 1
    before = open_base(folder, run).identity
    (weights,) = folder.glob("*.safetensors")
    from safetensors.torch import load_file, save_file

    changed = {name: tensor + 0.5 for name, tensor in load_file(weights).items()}
    save_file(changed, str(weights), metadata={"format": "pt"})
    os.utime(weights, ns=(1, 1))
    second = convert_once(folder, run)
    assert second != first and second.read_bytes() != first.read_bytes()
    assert open_base(folder, run).file == second
    os.utime(weights, ns=(2, 2))
    assert open_base(folder, run).file not in (first, second)
    assert before.architecture == "qwen3"


def test_a_run_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the folder's place, and a folder that a link leads nowhere to."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "file" / "below")
    for out in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "link"):
        with pytest.raises(ResourceError, match="cannot be written"):
            make_folder(out)


OTHER_RUNS = ("seed", "rate", "tokens_a_batch", "batches_a_step", "warmup", "decay", "weight_decay")


@pytest.mark.parametrize("setting", OTHER_RUNS)
def test_a_recipe_that_learns_otherwise_does_not_go_on(kept: Options, setting: str) -> None:
    """The checkpoint would overrule it unseen; the three parts of the error say what to do."""
    text = kept.recipe.read_text(encoding="utf-8")
    folder = kept.out.parent / "songs"
    shutil.copytree(kept.recipe.parent, folder)
    value = 0.125 if setting in ("rate", "warmup", "decay", "weight_decay") else 3
    lines = [line for line in text.splitlines() if not line.startswith(f"{setting} =")]
    lines.insert(lines.index("[training]") + 1, f"{setting} = {value}")
    (folder / "train.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ExpertError, match="another run") as caught:
        train_expert(replace(kept, recipe=folder / "train.toml"))
    assert caught.value.why and caught.value.fix
