"""Attached adapters compute what PEFT computes, and no KV is ever reused wrongly."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel
from transformers import AutoModelForCausalLM

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import AdapterSet, activation_runs
from expert.engine.context import Attached, Context, Slice
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from support.adapters import MadeAdapter
from support.peers import reference_logits

EXACT = ContextOptions(size=512, threads=1, kv_type="f32", outputs=64, flash_attention="off")
TWO = ContextOptions(size=1024, sequences=2, threads=1, kv_type="f32", flash_attention="off")
PROMPT = [3, 90, 5, 200, 17, 44, 301, 8]
Experts = list[tuple[AdapterFile, float]]


@pytest.fixture
def files(tiny: Model, adapters: list[MadeAdapter]) -> list[AdapterFile]:
    """Return ten `prompt` adapters."""
    return [read_adapter(made.path, tiny.header) for made in adapters]


@pytest.fixture
def answering(tiny: Model, answerers: list[MadeAdapter]) -> list[AdapterFile]:
    """Return three `answer` adapters, invoked by 5, 6."""
    return [read_adapter(made.path, tiny.header) for made in answerers]


def adapted_logits(model: Model, experts: Experts, tokens: list[int]) -> NDArray[np.float64]:
    """Compute every position's logits in a fresh context under a set of `prompt` adapters."""
    pool = AdapterPool(model)
    with Context(model, EXACT) as context:
        context.attach(pool.attached(AdapterSet.of(experts)))
        (rows,) = context.step([Slice(0, 0, tokens, len(tokens))])
        logits = np.stack([read_logits(context, row) for row in rows]).astype(np.float64)
        context.attach(Attached())
    pool.close()
    return logits


def peft_logits(
    checkpoint: Path, parts: list[tuple[Path, float]], tokens: list[int]
) -> NDArray[np.float64]:
    """Return the logits of PEFT with the adapters concatenated at their scales."""
    base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, parts[0][0], adapter_name="0")
    for index, (folder, _) in enumerate(parts[1:], 1):
        model.load_adapter(folder, adapter_name=str(index))
    names = [str(index) for index in range(len(parts))]
    scales = [scale for _, scale in parts]
    model.add_weighted_adapter(names, scales, "all", combination_type="cat")
    model.set_adapter("all")
    return reference_logits(model.eval(), tokens)


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.5), (0.25,) * 4, (0.1,) * 10])
def test_composed_logits_equal_peft(
    tiny: Model,
    tiny_checkpoint: Path,
    adapters: list[MadeAdapter],
    files: list[AdapterFile],
    scales: tuple[float, ...],
) -> None:
    """One to ten adapters with scales: the largest difference is float noise."""
    experts = list(zip(files, scales, strict=False))
    parts = [(made.folder, scale) for made, scale in zip(adapters, scales, strict=False)]
    difference = np.abs(
        adapted_logits(tiny, experts, PROMPT) - peft_logits(tiny_checkpoint, parts, PROMPT)
    )
    assert difference.max() < 2e-4


def test_every_adapter_changes_the_logits(
    tiny: Model, files: list[AdapterFile], answering: list[AdapterFile]
) -> None:
    """None of those that the tests use is without effect."""
    base = adapted_logits(tiny, [], PROMPT)
    for file in (*files, *answering):
        assert np.abs(adapted_logits(tiny, [(file, 1.0)], PROMPT) - base).max() > 0.01


def test_an_answer_adapter_equals_peft_from_its_invocation_on(
    tiny: Model, tiny_checkpoint: Path, answerers: list[MadeAdapter], answering: list[AdapterFile]
) -> None:
    """Positions before the invocation are the base's, those from it on are PEFT's aLoRA."""
    tokens = [9, 5, 6, 80, 12, 5, 6, 33, 71]
    base = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    peer = PeftModel.from_pretrained(base, answerers[0].folder).eval()
    with torch.inference_mode():
        found = peer(input_ids=torch.tensor([tokens])).logits[0].double().numpy()
    pool = AdapterPool(tiny)
    logits = []
    with Context(tiny, EXACT) as context:
        for run, end in zip(
            activation_runs(tokens, [(answering[0], 1.0)]), (5, len(tokens)), strict=True
        ):
            context.attach(pool.attached(run.adapters))
            part = tokens[run.start : end]
            (rows,) = context.step([Slice(0, run.start, part, len(part))])
            logits += [read_logits(context, row) for row in rows]
        context.attach(Attached())
    pool.close()
    assert np.abs(np.stack(logits) - found).max() < 2e-4


@pytest.fixture
def engine(tiny: Model) -> Iterator[Engine]:
    """Return an engine with two sequences and room for three adapters."""
    with Engine(tiny, TWO, adapter_budget=3 * 200_000) as engine:
        yield engine


def generated(engine: Engine, job: Job) -> list[int]:
    """Return the tokens a job generates."""
    return [out.token for out in engine.generate(job) if isinstance(out, Piece) and out.token >= 0]


def cached(engine: Engine, job: Job) -> int:
    """Run a job and return how many of its prompt tokens were already there."""
    return [out for out in engine.generate(job) if isinstance(out, Finished)][
        0
    ].timings.cached_tokens


def fresh(model: Model, job: Job) -> list[int]:
    """Return the tokens of a job in an engine that has never seen anything."""
    with Engine(model, TWO) as engine:
        return generated(engine, job)


def test_a_change_of_set_or_scale_never_reads_stale_kv(
    tiny: Model, engine: Engine, files: list[AdapterFile]
) -> None:
    """Switching on the same prompt computes it anew; switching back and the same again does not."""
    for experts in ([], [(files[0], 1.0)], [(files[0], 0.5)], [(files[1], 1.0)], []):
        job = Job(PROMPT, max_tokens=12, ignore_end=True, experts=tuple(experts))
        assert generated(engine, job) == fresh(tiny, job)
    again = Job(PROMPT, max_tokens=1, ignore_end=True)
    assert cached(engine, again) == len(PROMPT) - 1
    other = Job(PROMPT, max_tokens=1, experts=((files[4], 1.0),))
    assert cached(engine, other) == 0


def test_answer_experts_share_the_conversation_before_them(
    tiny: Model, engine: Engine, answering: list[AdapterFile]
) -> None:
    """Three experts on one history: each computes only its invocation, and answers as if fresh."""
    history = [*PROMPT * 4, 5, 6]
    for file in answering:
        job = Job(history, max_tokens=8, ignore_end=True, experts=((file, 1.0),))
        first = generated(engine, job)
        assert first == fresh(tiny, job)
    job = Job(history, max_tokens=1, experts=((answering[0], 1.0),))
    assert cached(engine, job) == len(history) - 2


def test_what_an_expert_wrote_is_rebased_in_idle_time(
    tiny: Model, engine: Engine, answering: list[AdapterFile]
) -> None:
    """After resting, the next expert finds the whole history as the base's own KV; exact."""
    history = [*PROMPT, 5, 6]
    first = Job(history, max_tokens=20, ignore_end=True, experts=((answering[0], 1.0),))
    wrote = generated(engine, first)
    _rest(engine)
    longer = [*history, *wrote[:-1], 77, 5, 6]
    second = Job(longer, max_tokens=8, ignore_end=True, experts=((answering[1], 1.0),))
    stream = engine.submit(second)
    outputs = list(stream)
    last = outputs[-1]
    assert isinstance(last, Finished)
    assert last.timings.cached_tokens == len(longer) - 3
    tokens = [out.token for out in outputs if isinstance(out, Piece) and out.token >= 0]
    assert tokens == fresh(tiny, second)


def _rest(engine: Engine) -> None:
    """Wait until the engine has nothing left to do in idle time."""
    import time

    deadline = time.monotonic() + 10
    while any(slot.rebase for slot in engine.scheduler.slots) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)


def test_a_switch_before_rebasing_is_exact_too(
    tiny: Model, engine: Engine, answering: list[AdapterFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any idle time the switch pays for what was not re-decoded, and is as right."""
    monkeypatch.setattr(engine.scheduler, "rebase", lambda: False)
    history = [*PROMPT, 5, 6]
    wrote = generated(
        engine, Job(history, max_tokens=20, ignore_end=True, experts=((answering[0], 1.0),))
    )
    longer = [*history, *wrote[:-1], 77, 5, 6]
    second = Job(longer, max_tokens=8, ignore_end=True, experts=((answering[1], 1.0),))
    assert generated(engine, second) == fresh(tiny, second)


def test_ten_experts_are_resident_and_composed(
    tiny: Model, files: list[AdapterFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ten act at once, one by one and as one, and stay loaded."""
    experts = tuple((file, 0.1 + 0.02 * index) for index, file in enumerate(files))
    job = Job(PROMPT, max_tokens=10, ignore_end=True, experts=experts)
    budget = 20 * files[0].bytes
    with Engine(tiny, TWO, adapter_budget=budget) as engine:
        monkeypatch.setattr(engine.fusion, "request", lambda _: None)
        separate = generated(engine, job)
        assert {file.digest for file in engine.pool.resident} == {file.digest for file in files}
        assert generated(engine, replace(job, repeatable=True)) == separate
        assert max(file.rank for file in engine.pool.resident) == 320
    assert separate != fresh(tiny, replace(job, experts=experts[:9]))


def test_threads_with_different_experts_get_what_each_gets_alone(
    tiny: Model, engine: Engine, files: list[AdapterFile], answering: list[AdapterFile]
) -> None:
    """Eight threads, eight sets, a budget of three adapters: answers as alone."""
    import threading

    first, second, third, fourth, fifth = files[:5]
    sets: list[Experts] = [
        [],
        [(first, 1.0)],
        [(second, 0.5), (third, 1.0)],
        [(answering[0], 1.0)],
        [(answering[1], 1.0)],
        [(fourth, 1.0)],
        [(first, -0.5)],
        [(fifth, 1.0), (answering[2], 1.0)],
    ]
    jobs = [
        Job([*PROMPT, index, 5, 6], max_tokens=10, ignore_end=True, experts=tuple(sets[index % 8]))
        for index in range(16)
    ]
    expected = [fresh(tiny, job) for job in jobs]
    results: dict[int, list[int]] = {}

    def serve(start: int) -> None:
        for index in range(start, len(jobs), 8):
            results[index] = generated(engine, jobs[index])

    threads = [threading.Thread(target=serve, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[index] for index in range(len(jobs))] == expected
