"""Random conversations against fresh contexts: no position is ever reused wrongly.

500 sequences of attaching, scaling, detaching, branching, rewinding, saving, loading and resting,
over several conversations on one engine. After every step the next token and the logarithms of its
probability are those of an engine that has never seen anything.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import BASE, AdapterSet, Run
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.ledger import Ledger
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.scheduler import Scheduler
from expert.engine.slot import Slot
from expert.engine.state import load_state, save_state
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, write_gguf
from expert_converters.kinds.control_vector import write_control_vector
from expert_converters.kinds.soft_prompt import TENSOR
from support.adapters import MadeAdapter

TWO = ContextOptions(
    size=512, sequences=2, batch=64, threads=1, kv_type="f32", flash_attention="off"
)
SEQUENCES, STEPS = 500, 6
LONGEST = 60
TOLERANCE = 2e-3
"""Of a log-probability; adapters move it by whole units, re-ordered sums by 1e-5."""
SCALES = (1.0, -0.5)


@dataclass
class World:
    """What a sequence of steps works on."""

    engine: Engine
    clean: Engine
    """Computes everything anew for every comparison."""
    experts: Sequence[AdapterFile]
    folder: Path
    draw: random.Random
    talks: list[list[int]] = field(default_factory=lambda: [[3, 90, 5, 200, 17, 44]])
    chosen: dict[AdapterFile, float] = field(default_factory=dict)
    saved: list[Path] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    # The steps ------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Let another expert act too; of soft prompts only one can, and of LoRAs three fit."""
        file = self.draw.choice(self.experts)
        if len(self.chosen) > 2:
            self.detach()
        if not (file.positions and any(other.positions for other in self.chosen)):
            self.chosen[file] = 1.0 if file.positions else self.draw.choice(SCALES)

    def scale(self) -> None:
        """Change how strongly one of them acts."""
        for file in [file for file in self.chosen if not file.positions][:1]:
            self.chosen[file] = SCALES[1 - SCALES.index(self.chosen[file])]

    def detach(self) -> None:
        """Send one of them away."""
        if self.chosen:
            del self.chosen[self.draw.choice(list(self.chosen))]

    def branch(self) -> None:
        """Begin another conversation where an old one was at some time."""
        talk = self.draw.choice(self.talks)
        self.talks.append(talk[: self.draw.randint(1, len(talk))])

    def rewind(self) -> None:
        """Take the last tokens of a conversation back."""
        talk = self.draw.choice(self.talks)
        del talk[max(1, len(talk) - self.draw.randint(1, 8)) :]

    def save(self) -> None:
        """Write one sequence of the context to disk."""
        slot = self.draw.choice(self.engine.scheduler.slots)
        path = self.folder / f"{len(self.saved)}"
        if len(slot.ledger):
            self.engine.call(lambda: save_state(self.engine.context, slot, path))
            self.saved.append(path)

    def load(self) -> None:
        """Take one back, into any sequence."""
        if self.saved:
            slot, path = self.draw.choice(self.engine.scheduler.slots), self.draw.choice(self.saved)
            files = self.experts
            self.engine.call(lambda: load_state(self.engine.context, slot, path, files))

    def rest(self) -> None:
        """Let the engine decode again with the base what experts wrote."""

        def all_of_it() -> None:
            while Scheduler.rebase(self.engine.scheduler):
                pass

        self.engine.call(all_of_it)

    def ask(self) -> bool:
        """Go on with a conversation; tell whether the answer is what a fresh engine gives."""
        talk = self.draw.choice(self.talks)
        talk += self.draw.choices((5, 6, 7, 40, 99), k=self.draw.randint(0, 3))
        talk += self.draw.choice(([], [5, 6]))
        del talk[:-LONGEST]
        experts = tuple(self.chosen.items())
        job = Job(list(talk), max_tokens=2, experts=experts, ignore_end=True, logprobs=0)
        found, tokens, _ = answer(self.engine, job)
        self.clean.call(lambda: forget_all(self.clean))
        expected, same, cached = answer(self.clean, job)
        assert cached == 0
        talk += tokens
        return tokens == same and bool(np.allclose(found, expected, atol=TOLERANCE, rtol=0))

    def explore(self, seed: int) -> bool:
        """Do a few random steps, asking after each; tell whether all answers were right."""
        self.draw.seed(seed)
        steps: list[Callable[[], None]] = [
            self.attach, self.attach, self.scale, self.detach, self.branch,
            self.rewind, self.save, self.load, self.rest,
        ]  # fmt: skip
        for _ in range(STEPS):
            step = self.draw.choice(steps)
            step()
            self.counts[step.__name__] = self.counts.get(step.__name__, 0) + 1
            if not self.ask():
                return False
        del self.talks[:-4]
        return True


def answer(engine: Engine, job: Job) -> tuple[list[float], list[int], int]:
    """Return the log-probabilities and tokens of a job, and how much of it was there."""
    outputs = list(engine.submit(job))
    last = outputs[-1]
    assert isinstance(last, Finished)
    pieces = [out for out in outputs if isinstance(out, Piece) and out.logprob]
    logprobs = [out.logprob.logprob for out in pieces if out.logprob]
    return logprobs, [out.token for out in pieces], last.timings.cached_tokens


def forget_all(engine: Engine) -> None:
    """Make an engine as new."""
    for slot in engine.scheduler.slots:
        slot.rewind(0, engine.context)


@pytest.fixture
def world(
    tiny: Model,
    adapters: list[MadeAdapter],
    answerers: list[MadeAdapter],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> "World":
    """Two engines, of which one has room for three adapters, and experts of every kind."""
    paths = [made.path for made in (*adapters[:2], *answerers[:2])]
    paths += [_soft(tmp_path / "soft.gguf"), _vector(tmp_path / "vector.gguf")]
    experts = [read_adapter(path, tiny.header) for path in paths]
    engine = Engine(tiny, TWO, adapter_budget=3 * experts[0].bytes)
    clean = Engine(tiny, TWO)
    for each in (engine, clean):
        monkeypatch.setattr(each.scheduler, "rebase", lambda: False)  # only when a step asks for it
        monkeypatch.setattr(each.fusion, "request", lambda _: None)  # it has tests of its own
    return World(engine, clean, experts, tmp_path, random.Random())


def _soft(path: Path) -> Path:
    rows = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    metadata = {"general.architecture": "qwen3", "general.type": "soft-prompt"}
    with path.open("wb") as file:
        write_gguf(file, metadata, [NewTensor(TENSOR, (64, 3), GGMLType.F32)], [rows])
    return path


def _vector(path: Path) -> Path:
    direction = np.random.default_rng(2).standard_normal(64).astype(np.float32)
    return write_control_vector({1: direction}, "qwen3", path)


def close(world: World) -> None:
    """Free both engines while the model is still there."""
    world.engine.close()
    world.clean.close()


@pytest.mark.slow
def test_random_histories_equal_fresh_contexts(world: World) -> None:
    """500 sequences of six steps, each kind of step at least 100 times: all as if fresh."""
    wrong = [seed for seed in range(SEQUENCES) if not world.explore(seed)]
    close(world)
    assert wrong == []
    assert len(world.counts) == 8
    assert min(world.counts.values()) >= 100


def careless(ledger: Ledger, tokens: Sequence[int], _: Sequence[Run]) -> int:
    """Compare tokens alone, as peers do."""
    pairs = zip(ledger.tokens, tokens, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other),
                min(len(ledger), len(tokens)))  # fmt: skip


def scaleless(one: AdapterSet, other: object) -> bool:
    """Take a set at other scales for the same."""
    assert isinstance(other, AdapterSet)
    return [file.digest for file, _ in one.parts] == [file.digest for file, _ in other.parts]


def lazy(slot: Slot) -> None:
    """Believe that the base itself computed what an expert wrote."""
    tokens = slot.ledger.tokens[slot.ledger.base_prefix() :]
    slot.ledger.truncate(slot.ledger.base_prefix())
    slot.ledger.append(tokens, BASE)
    assert slot.generation
    slot.generation.close()
    slot.generation = slot.stream = None
    slot.runs = ()


FAULTS = {
    "adapters are ignored": (Ledger, "shared", careless),
    "scales are ignored": (AdapterSet, "__eq__", scaleless),
    "nothing is decoded again": (Slot, "release", lazy),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(
    world: World, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is found within forty sequences, by answers alone."""
    owner, name, wrong = FAULTS[fault]
    answer_of_clean = world.clean.submit
    original = getattr(owner, name)

    def submit(job: Job) -> object:
        """Answer without the fault."""
        monkeypatch.setattr(owner, name, original)
        outputs = list(answer_of_clean(job))
        monkeypatch.setattr(owner, name, wrong)
        return outputs

    monkeypatch.setattr(world.clean, "submit", submit)
    monkeypatch.setattr(owner, name, wrong)
    found = any(not world.explore(seed) for seed in range(40))
    monkeypatch.setattr(owner, name, original)
    close(world)
    assert found
