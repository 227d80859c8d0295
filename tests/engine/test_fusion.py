"""Fused experts: the same function, quicker, and always the same bits."""

from pathlib import Path

import numpy as np
import pytest

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import AdapterSet
from expert.engine.context import Attached, Context, Slice
from expert.engine.engine import Engine
from expert.engine.fusion import Fusion
from expert.engine.generation import Job, Piece
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert_converters.gguf_file import inspect
from expert_converters.lora import LoraJob, convert_lora
from support.adapters import MadeAdapter

OPTIONS = ContextOptions(size=512, kv_type="f32", flash_attention="off")
PROMPT = [3, 90, 5, 200, 17, 44, 301, 8]


@pytest.fixture
def files(tiny: Model, adapters: list[MadeAdapter]) -> list[AdapterFile]:
    """Return ten `prompt` adapters."""
    return [read_adapter(made.path, tiny.header) for made in adapters]


def logits(model: Model, members: AdapterSet) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Return the last logits of the prompt under a set attached as it is."""
    pool = AdapterPool(model)
    with Context(model, OPTIONS) as context:
        context.attach(pool.attached(members))
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        found = read_logits(context, rows[0])
        context.attach(Attached())
    pool.close()
    return found


def generated(engine: Engine, job: Job) -> list[int]:
    """Return the tokens a job generates."""
    return [out.token for out in engine.generate(job) if isinstance(out, Piece) and out.token >= 0]


@pytest.mark.parametrize("count", [2, 4, 10])
def test_n_separate_equal_n_fused(tiny: Model, files: list[AdapterFile], count: int) -> None:
    """Within the noise of adding in another order, which a wrong scale would exceed."""
    adapters = AdapterSet.of([(file, 0.5 - 0.1 * i) for i, file in enumerate(files[:count])])
    fusion = Fusion(tiny.header)
    fused = fusion.wait(adapters)
    fusion.close()
    assert fused
    separate = logits(tiny, adapters)
    assert np.abs(separate - logits(tiny, AdapterSet(((fused, 1.0),)))).max() < 1e-4
    assert np.abs(separate - logits(tiny, AdapterSet(((fused, 0.9),)))).max() > 1e-4


def test_the_fused_adapter_takes_over_and_keeps_the_kv(
    tiny: Model, files: list[AdapterFile]
) -> None:
    """An answer that began one by one goes on fused; what was computed stays valid."""
    experts = ((files[0], 0.5), (files[1], 0.5))
    with Engine(tiny, OPTIONS) as engine:
        job = Job(PROMPT, max_tokens=200, ignore_end=True, experts=experts)
        tokens = [
            out.token for out in engine.generate(job) if isinstance(out, Piece) and out.token >= 0
        ]
        engine.fusion.wait(AdapterSet.of(experts))
        again = [
            out.token for out in engine.generate(job) if isinstance(out, Piece) and out.token >= 0
        ]
        resident = engine.call(lambda: [file.rank for file in engine.pool.resident])
    assert again == tokens
    assert max(resident) == 64


def test_repeatable_jobs_are_fused_before_their_first_token(
    tiny: Model, files: list[AdapterFile]
) -> None:
    """Log-probabilities of equal jobs in two engines are the same bits."""
    experts = tuple((file, 0.3) for file in files[:4])
    job = Job(PROMPT, max_tokens=8, experts=experts, repeatable=True, logprobs=0, ignore_end=True)
    runs = []
    for order in (experts, experts[::-1]):
        with Engine(tiny, OPTIONS) as engine:
            engine.pool.load(order[0][0])  # other addresses, which separate adapters would show
            outputs = list(engine.submit(job))
        runs.append(
            [out.logprob.logprob for out in outputs if isinstance(out, Piece) and out.logprob]
        )
    assert runs[0] == runs[1]


def test_fused_sets_are_kept_on_disk(
    tiny: Model, files: list[AdapterFile], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time nothing is fused; a damaged file is not used."""
    adapters = AdapterSet.of([(files[0], 1.0), (files[1], 1.0)])

    def fused() -> AdapterFile | None:
        fusion = Fusion(tiny.header)
        found = fusion.wait(adapters)
        fusion.close()
        return found

    first = fused()
    with monkeypatch.context() as patch:
        patch.setattr("expert_converters.fuse.fuse", lambda _: pytest.fail("it was fused again"))
        assert fused() == first
    (path,) = (home / "cache" / "fused").glob("*.gguf")
    path.write_bytes(path.read_bytes()[:-50])
    assert fused() is None


def test_a_set_that_cannot_be_fused_stays_separate(
    tiny: Model, files: list[AdapterFile], answerers: list[MadeAdapter], home: Path
) -> None:
    """Different invocations do not fuse; the experts answer all the same."""
    mixed = AdapterSet.of([(files[0], 1.0), (read_adapter(answerers[0].path, tiny.header), 1.0)])
    fusion = Fusion(tiny.header)
    assert fusion.wait(mixed) is None
    fusion.close()
    with Engine(tiny, OPTIONS) as engine:
        job = Job([*PROMPT, 5, 6], max_tokens=4, experts=mixed.parts, repeatable=True)
        assert list(engine.submit(job))


def test_one_expert_needs_no_fusion(tiny: Model, files: list[AdapterFile]) -> None:
    """Nothing is made for a single member."""
    fusion = Fusion(tiny.header)
    assert fusion.wait(AdapterSet.of([(files[0], 1.0)])) is None
    fusion.close()


def test_mixed_types_are_fused_as_q8_0(
    tiny: Model, files: list[AdapterFile], adapters: list[MadeAdapter], tmp_path: Path
) -> None:
    """Not as f32, which takes four times the memory; off by no more than Q8_0 itself is."""
    path = convert_lora(LoraJob(adapters[1].folder, tiny.path, tmp_path / "packed.gguf", "q8_0"))
    mixed = AdapterSet.of([(files[0], 1.0), (read_adapter(path, tiny.header), 1.0)])
    exact = AdapterSet.of([(files[0], 1.0), (files[1], 1.0)])
    fusion = Fusion(tiny.header)
    fused = fusion.wait(mixed)
    fusion.close()
    assert fused
    assert {tensor.type.name for tensor in inspect(fused.path).tensors.values()} == {"Q8_0"}
    reference = logits(tiny, exact)
    noise = np.abs(logits(tiny, mixed) - reference).max()
    assert np.abs(logits(tiny, AdapterSet(((fused, 1.0),))) - reference).max() < 3 * noise
    assert noise > 1e-3
