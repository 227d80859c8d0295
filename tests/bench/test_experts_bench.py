"""Measuring experts: what is made for it, and what each figure is the median of."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from expert.bench.experts import INVOCATION, RANK, ExpertsBench, _adapters, _Bench
from expert.cli.bench import experts_table
from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import BASE, AdapterSet
from expert.engine.engine import Engine
from expert.engine.model import Model
from expert.engine.options import ContextOptions


@pytest.fixture(scope="module")
def model(tiny_path: Path) -> Iterator[Model]:
    """The tiny model, loaded."""
    with Model(tiny_path) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterFile]:
    """The adapters that are measured with."""
    return _adapters(model, tmp_path_factory.mktemp("adapters"))


@pytest.fixture
def engine(model: Model, files: list[AdapterFile]) -> Iterator[Engine]:
    """An engine with room for all of them."""
    options = ContextOptions(size=256, threads=1)
    with Engine(model, options, adapter_budget=30 * files[0].bytes) as made:
        yield made


def test_ten_for_prompts_and_three_for_answers(files: list[AdapterFile]) -> None:
    """All different, of one size and one rank; the last three act on answers alone."""
    assert len(files) == 13 and len({file.path.read_bytes() for file in files}) == 13
    assert len({file.bytes for file in files}) == 1
    assert [len(file.invocation) for file in files] == [0] * 10 + [INVOCATION] * 3
    assert len({file.invocation for file in files[10:]}) == 1


def test_loading_is_timed_for_every_file(engine: Engine, files: list[AdapterFile]) -> None:
    """Above zero, and all of them are in memory afterwards."""
    assert 0 < _Bench(engine, files, 3).load() < 5


class Scripted(_Bench):
    """A measurement whose clock is a script: switching costs 5 ms, staying nothing."""

    def _timed(self, sets: Sequence[AdapterSet]) -> list[float]:
        befores = [BASE, *sets]
        pairs = zip(befores, sets, strict=False)
        return [
            0.010 + 0.002 * len(one.parts) + (0.005 if one != before else 0.0)
            for before, one in pairs
        ]


def scripted(engine: Engine, files: list[AdapterFile]) -> Scripted:
    """Return it over the first adapters."""
    return Scripted(engine, files, 6)


def test_a_switch_is_what_it_adds_to_a_decode(engine: Engine, files: list[AdapterFile]) -> None:
    """Of a script where each switch costs the same, that and nothing else comes out."""
    assert scripted(engine, files).switch() == pytest.approx((0.005, 0.005))


def test_real_switches_are_measured(engine: Engine, files: list[AdapterFile]) -> None:
    """The median is not above the 95th percentile, and decoding starts from nothing again."""
    p50, p95 = _Bench(engine, files, 3).switch()
    assert p50 <= p95 < 5


def test_the_base_is_its_own_measure(engine: Engine, files: list[AdapterFile]) -> None:
    """Compared with itself it is no slower; three experts of a script are, by their share."""
    bench = scripted(engine, files)
    assert bench._slower(BASE) == 0
    three = AdapterSet.of([(file, 0.2) for file in files[:3]])
    assert bench._slower(three) == pytest.approx(0.6)


def test_the_table_of_experts() -> None:
    """Milliseconds, signed shares, and how many times longer a start from nothing takes."""
    result = ExpertsBench(
        adapter_bytes=20_400_000,
        load_s=0.0123,
        switch_p50_s=0.0004,
        switch_p95_s=0.0021,
        first_token_s=0.25,
        prefill_s=5.0,
        history=2000,
        decode_overhead={"1": 0.123, "3 fused": -0.004},
    )
    rows = dict((line[:14].strip(), line[14:]) for line in experts_table(result).splitlines())
    assert rows == {
        "adapter": f"20.4 MB (rank {RANK}, Q8_0, every matrix)",
        "load": "12.3 ms",
        "switch": "0.4 ms p50, 2.1 ms p95",
        "first token": "250 ms by another expert after 2000 tokens; "
        "5000 ms from nothing (20 times as long)",
        "1": "+12.3% decode time",
        "3 fused": "-0.4% decode time",
    }
