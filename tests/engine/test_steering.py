"""Soft prompts and control vectors in the engine: exact, and kept apart in the KV cache."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel, PromptTuningConfig

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import BASE, AdapterSet
from expert.engine.context import Context, Slice
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.engine.state import load_state, save_state
from expert.errors import UsageError, VerificationError, WrongBaseError
from expert_converters.identity import base_identity
from expert_converters.kinds import AdapterJob, convert_adapter
from expert_converters.kinds.control_vector import read_control_vector, write_control_vector
from expert_converters.model import ModelJob, convert_model
from support.adapter_peers import load_base, model_logits
from support.adapters import MadeAdapter
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.peft_kinds import peft_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = 6
PROMPT = [3, 90, 5, 200, 17, 44, 301, 8]
EXACT = ContextOptions(size=512, threads=1, kv_type="f32", outputs=64, flash_attention="off")
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def soft_folder(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prompt tuning of six rows, as PEFT saves it."""
    folder = tmp_path_factory.mktemp("soft")
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=ROWS)
    return peft_folder(tiny_checkpoint, folder, config, spread=0.5)


@pytest.fixture
def soft(tiny: Model, soft_folder: Path) -> AdapterFile:
    """Return it as a checked adapter file."""
    target = soft_folder / "soft.gguf"
    convert_adapter(AdapterJob(soft_folder, tiny.path, target))
    return read_adapter(target, tiny.header)


@pytest.fixture
def vector(tiny: Model, tmp_path: Path) -> AdapterFile:
    """Return a control vector for the tiny model's last layer."""
    direction = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    path = write_control_vector(
        {1: direction}, "qwen3", tmp_path / "vector.gguf", base_identity(tiny.header)
    )
    return read_adapter(path, tiny.header)


@pytest.fixture
def lora(tiny: Model, adapters: list[MadeAdapter]) -> AdapterFile:
    """Return an ordinary adapter."""
    return read_adapter(adapters[0].path, tiny.header)


def logits(
    model: Model,
    experts: list[tuple[AdapterFile, float]],
    options: ContextOptions = EXACT,
    tokens: list[int] = PROMPT,
) -> Floats:
    """Return the logits of every token in a fresh context, the soft prompt's rows before them."""
    pool = AdapterPool(model)
    sequence = list(Job(tokens, experts=tuple(experts)).sequence)
    soft = len(sequence) - len(tokens)
    with Context(model, options) as context:
        context.attach(pool.attached(AdapterSet.of(experts)))
        (rows,) = context.step([Slice(0, 0, sequence, len(tokens))])
        found = np.stack([read_logits(context, row) for row in rows]).astype(np.float64)
        assert len(sequence) - soft == len(found)
        context.attach(pool.attached(BASE))
    pool.close()
    return found


def steered(model: Any, direction: NDArray[np.float32]) -> Any:
    """Add *direction* to what the last layer of a transformers model puts out."""

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        shift = torch.from_numpy(direction)
        return (output[0] + shift, *output[1:]) if isinstance(output, tuple) else output + shift

    model.model.layers[1].register_forward_hook(hook)
    return model


def test_a_soft_prompt_equals_peft(
    tiny: Model, tiny_checkpoint: Path, soft_folder: Path, soft: AdapterFile
) -> None:
    """Logits of PEFT's prompt tuning, and other ones than the base's."""
    peer = PeftModel.from_pretrained(load_base(tiny_checkpoint), str(soft_folder))
    expected = model_logits(peer, PROMPT)[-len(PROMPT) :]
    found = logits(tiny, [(soft, 1.0)])
    assert np.abs(found - expected).max() < 2e-4
    assert np.abs(found - logits(tiny, [])).max() > 0.1
    assert (soft.kind, soft.positions, soft.rank) == ("soft-prompt", ROWS, 0)


def test_a_control_vector_equals_a_hook(
    tiny: Model, tiny_checkpoint: Path, vector: AdapterFile
) -> None:
    """At any scale, and nothing of it is left when it is detached."""
    direction = read_control_vector(vector.path)[0]
    for scale in (1.0, -0.5):
        peer = steered(load_base(tiny_checkpoint), np.float32(scale) * direction)
        found = logits(tiny, [(vector, scale)])
        assert np.abs(found - model_logits(peer, PROMPT)).max() < 2e-4
        assert np.abs(found - logits(tiny, [])).max() > 0.1


def test_all_kinds_compose_with_loras(
    tiny: Model,
    tiny_checkpoint: Path,
    adapters: list[MadeAdapter],
    lora: AdapterFile,
    soft: AdapterFile,
    vector: AdapterFile,
) -> None:
    """A LoRA, a soft prompt and a control vector together: an own forward pass in transformers."""
    from expert_converters.kinds.soft_prompt import read_soft_prompt

    base = steered(load_base(tiny_checkpoint), 0.5 * read_control_vector(vector.path)[0])
    peer = PeftModel.from_pretrained(base, str(adapters[0].folder)).eval()
    rows = torch.from_numpy(read_soft_prompt(soft.path))
    with torch.inference_mode():
        words = peer.get_input_embeddings()(torch.tensor(PROMPT))
        inputs = torch.cat([rows, words])[None]
        expected = peer(inputs_embeds=inputs).logits[0, ROWS:].double().numpy()
    found = logits(tiny, [(lora, 1.0), (soft, 1.0), (vector, 0.5)])
    assert np.abs(found - expected).max() < 2e-4


@pytest.fixture
def engine(tiny: Model) -> Iterator[Engine]:
    """Return an engine with two sequences and steps so small that they cut the soft prompt."""
    options = replace(EXACT, size=256, sequences=2, batch=4, outputs=2)
    with Engine(tiny, options) as engine:
        yield engine


def run(engine: Engine, job: Job) -> tuple[list[int], int]:
    """Return a job's tokens, and how many positions were already there."""
    outputs = list(engine.submit(job))
    last = outputs[-1]
    assert isinstance(last, Finished)
    tokens = [out.token for out in outputs if isinstance(out, Piece) and out.token >= 0]
    return tokens, last.timings.cached_tokens


def greedy(model: Model, experts: list[tuple[AdapterFile, float]], count: int) -> list[int]:
    """Return the likeliest tokens, each from a whole new context."""
    tokens = list(PROMPT)
    for _ in range(count):
        tokens.append(int(logits(model, experts, tokens=tokens)[-1].argmax()))
    return tokens[len(PROMPT) :]


def test_the_ledger_keeps_every_kind_apart(
    tiny: Model, engine: Engine, soft: AdapterFile, vector: AdapterFile, lora: AdapterFile
) -> None:
    """One prompt under every set: each as in a new context; again: nothing is computed twice."""
    one, half, plain = (soft, 1.0), (vector, 0.5), (lora, 1.0)
    sets: list[list[tuple[AdapterFile, float]]] = [
        [one], [], [half], [one, half], [(vector, -0.5)], [plain, one, half], [one]
    ]  # fmt: skip
    for experts in sets:
        job = Job(PROMPT, max_tokens=5, ignore_end=True, experts=tuple(experts))
        assert run(engine, job)[0] == greedy(tiny, experts, 5), [f.name for f, _ in experts]
    assert run(engine, job)[1] == ROWS + len(PROMPT) - 1
    branch = replace(job, prompt=[*PROMPT[:3], 99, 7])
    assert run(engine, branch)[1] == ROWS + 3


def test_a_state_with_a_soft_prompt_is_taken_back(
    tiny: Model, soft: AdapterFile, vector: AdapterFile, tmp_path: Path
) -> None:
    """The rows belong to the ledger that is saved; without the files it is refused."""
    options = replace(EXACT, outputs=None)
    job = Job(PROMPT, max_tokens=4, ignore_end=True, experts=((soft, 1.0), (vector, 0.5)))
    with Engine(tiny, options) as engine:
        expected, _ = run(engine, job)
        slot = engine.scheduler.slots[0]
        engine.call(lambda: save_state(engine.context, slot, tmp_path / "state"))
    with Engine(tiny, options) as engine:
        slot = engine.scheduler.slots[0]
        with pytest.raises(VerificationError, match="not here"):
            engine.call(lambda: load_state(engine.context, slot, tmp_path / "state", [soft]))
        files = [soft, vector]
        engine.call(lambda: load_state(engine.context, slot, tmp_path / "state", files))
        assert run(engine, job) == (expected, ROWS + len(PROMPT) - 1)


def test_a_shift_keeps_the_soft_prompt_and_nothing_stale(
    tiny: Model, engine: Engine, soft: AdapterFile
) -> None:
    """Dropping the middle leaves rows and system prompt; what followed is reused by nobody."""
    experts = ((soft, 1.0),)
    long = [10 + index % 50 for index in range(100)]
    job = Job(long, max_tokens=250, ignore_end=True, experts=experts, overflow="shift", keep=2)
    run(engine, job)
    (used,) = engine.call(lambda: [slot for slot in engine.scheduler.slots if len(slot.ledger)])
    assert used.ledger.tokens == [-1, -2, -3, -4, -5, -6, *long[:2]]
    again = Job(long[:20], max_tokens=5, ignore_end=True, experts=experts)
    with Engine(tiny, engine.context.options) as clean:
        assert run(engine, again)[0] == run(clean, again)[0]


def test_what_has_no_meaning_is_refused(
    engine: Engine, tiny: Model, soft: AdapterFile, soft_folder: Path
) -> None:
    """A scaled soft prompt and two of them; scale 0 is nobody."""
    with pytest.raises(UsageError, match="no scale"):
        engine.submit(Job(PROMPT, experts=((soft, 0.5),)))
    other = soft_folder / "other.gguf"
    convert_adapter(AdapterJob(soft_folder, tiny.path, other, name="other"))
    second = read_adapter(other, tiny.header)
    with pytest.raises(UsageError, match="cannot act together"):
        engine.submit(Job(PROMPT, experts=((soft, 1.0), (second, 1.0))))
    silent = Job(PROMPT, max_tokens=3, ignore_end=True, experts=((soft, 0.0),))
    assert run(engine, silent) == run(engine, replace(silent, experts=()))[:1] + (0,)


def test_other_bases_are_refused(
    tiny: Model, soft: AdapterFile, vector: AdapterFile, tmp_path: Path
) -> None:
    """Equal shape and other weights, other widths, and layers that are not there."""
    same = qwen3_checkpoint(tmp_path / "same", Qwen3Shape(seed=7))
    with Model(convert_model(ModelJob(same, tmp_path / "same.gguf", "f32"))) as model:
        for file in (soft, vector):
            with pytest.raises(WrongBaseError, match="other weights"):
                read_adapter(file.path, model.header)
    for layer, width, word in ((1, 32, "64 numbers"), (2, 64, "below 2")):
        direction = np.ones(width, np.float32)
        path = write_control_vector({layer: direction}, "qwen3", tmp_path / "vector2.gguf")
        with pytest.raises(VerificationError, match=word):
            read_adapter(path, tiny.header)


def test_the_budget_counts_every_kind(tiny: Model, soft: AdapterFile, lora: AdapterFile) -> None:
    """A soft prompt goes like any adapter when room is needed."""
    pool = AdapterPool(tiny, lora.bytes)
    pool.load(soft)
    assert pool.bytes == ROWS * 64 * 4
    pool.load(lora)
    assert [file.digest for file in pool.resident] == [lora.digest]
    pool.close()
