"""Short memory: what gives way is planned, done, and said."""

import re
from pathlib import Path

import pytest

from expert.assistant import Assistant
from expert.engine.adapter_file import read_adapter
from expert.engine.header import read_header
from expert.engine.memory import estimate
from expert.engine.options import ContextOptions
from expert.engine.reduction import approximate, forms_of
from expert.errors import ResourceError
from expert.types import Answer, Done, Message, Notice
from expert_converters.lora import LoraJob, convert_lora
from support.adapter_peers import dense_updates
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter

HELLO = [Message("user", "Hello")]


@pytest.fixture(scope="module")
def large(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return three adapters of rank 64 in f32, eight times as large as rank 32 in Q8_0."""
    made = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp(f"large{seed}")
        peft_adapter(folder, Qwen3Shape(), AdapterShape(rank=64, alpha=64, seed=seed))
        job = LoraJob(folder, tiny_path, folder / f"large{seed}.gguf", "f32")
        made.append(convert_lora(job))
    return made


@pytest.fixture
def sizes(tiny_path: Path, large: list[Path]) -> tuple[int, list[int]]:
    """Return the bytes of base and context, and those of an expert's three forms."""
    header = read_header(tiny_path)
    forms = forms_of(read_adapter(large[0], header))
    return estimate(header, ContextOptions(size=256)).total, [form.size for form in forms]


def asked(
    model: Path, memory: int | None, experts: list[Path], context: int | None = None, **options: int
) -> tuple[Answer, list[str]]:
    """Return an answer within *memory* bytes, and what was said about it."""
    limit = None if memory is None else memory / 1e6
    with Assistant(model, memory=limit, context=context, threads=1) as assistant:
        assistant.attach_experts(*experts)
        events = list(assistant.ask(HELLO, **{"max_tokens": 5, "temperature": 0} | options))
        engine = assistant.resident.room(1, 1)[0]
        assert engine
        assert engine.pool.bytes <= engine.pool.budget
    done = events[-1]
    assert isinstance(done, Done)
    return done.answer, [event.text for event in events if isinstance(event, Notice)]


def test_nothing_is_said_when_all_fits(
    tiny_path: Path, large: list[Path], sizes: tuple[int, list[int]]
) -> None:
    """With just enough memory three large experts act as they are."""
    fixed, (whole, *_) = sizes
    answer, said = asked(tiny_path, fixed + 3 * whole, large)
    assert [use.name for use in answer.experts] == ["large0", "large1", "large2"]
    assert said == []
    assert answer.text == asked(tiny_path, None, large)[0].text


def test_ranks_give_way_then_experts(
    tiny_path: Path, large: list[Path], sizes: tuple[int, list[int]]
) -> None:
    """The last expert becomes smaller before the first; then the last one stays out."""
    fixed, (whole, half, least) = sizes
    for experts, expected in (
        (2 * whole + half, {"large2": "64"}),
        (3 * half, {"large0": "64", "large1": "64", "large2": "64"}),
        (2 * half + least, {"large0": "64", "large1": "64", "large2": "32"}),
        (2 * least, {"large0": "32", "large1": "32", "large2": "out"}),
        (least, {"large0": "32", "large1": "out", "large2": "out"}),
    ):
        answer, said = asked(tiny_path, fixed + experts, large)
        found = {}
        for line in said:
            name, words = line.split(" ", 1)
            found[name] = words.split("rank ")[1].split(",")[0] if "rank" in words else "out"
            assert line.endswith(": memory is short.")
        assert found == expected
        assert len(answer.experts) == 3 - list(expected.values()).count("out")
        assert answer.text


def test_a_reduced_expert_is_told_with_what_it_keeps(
    tiny_path: Path, large: list[Path], sizes: tuple[int, list[int]]
) -> None:
    """The words name the expert, the rank, and the share of its weight."""
    _, said = asked(tiny_path, sizes[0] + sizes[1][-1], large[:1])
    assert re.fullmatch(
        r"large0 acts at rank 32, with \d\d\.\d% of its weight: memory is short\.", said[0]
    )


def test_a_set_context_gives_way(tiny_path: Path, sizes: tuple[int, list[int]]) -> None:
    """Room that nobody asked for goes before anything else; it is said too."""
    answer, said = asked(tiny_path, sizes[0], [], context=512)
    assert said == ["The context holds 256 tokens instead of 512: memory is short."]
    assert answer.text


def test_a_long_answer_becomes_shorter(tiny_path: Path, sizes: tuple[int, list[int]]) -> None:
    """Last of all the answer itself."""
    answer, said = asked(tiny_path, sizes[0], [], max_tokens=400)
    assert any(line.startswith("The answer is at most ") for line in said)
    assert answer.timings.answer_tokens < 256


def test_a_second_request_fits_beside_the_first(
    tiny_path: Path, large: list[Path], sizes: tuple[int, list[int]]
) -> None:
    """Where an engine is open already, its experts are what can give way."""
    fixed, (whole, half, _) = sizes
    with Assistant(tiny_path, memory=(fixed + whole + half) / 1e6, threads=1) as assistant:
        assert assistant.ask(HELLO, experts=(), temperature=0, max_tokens=5).text
        assistant.attach_experts(*large[:2])
        events = list(assistant.ask(HELLO, temperature=0, max_tokens=5))
        said = [event.text for event in events if isinstance(event, Notice)]
    assert [line.split(",")[0] for line in said] == ["large1 acts at rank 64"]


def test_what_can_never_fit_is_an_error(tiny_path: Path, large: list[Path]) -> None:
    """With the least that would be needed, and both figures."""
    with pytest.raises(ResourceError, match="at least") as caught:
        asked(tiny_path, 1_000_000, large)
    assert "expert" in caught.value.why


def test_forms_become_smaller(tiny_path: Path, large: list[Path]) -> None:
    """Each form's size is that of the file made for it; the best approximation keeps most."""
    base = read_header(tiny_path)
    file = read_adapter(large[0], base)
    forms = forms_of(file)
    assert [form.rank for form in forms] == [None, 64, 32]
    assert [form.size for form in forms] == sorted((form.size for form in forms), reverse=True)
    shares = []
    for form in forms[1:]:
        assert form.rank
        small, kept = approximate(file, form.rank, base)
        assert (small.bytes, small.rank) == (form.size, form.rank)
        assert approximate(file, form.rank, base) == (small, kept)
        shares.append(kept)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1.0)
    assert dense_updates(small.path).keys() == dense_updates(large[0]).keys()
