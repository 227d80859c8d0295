"""`expert ask -e`: experts on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from expert.engine.header import read_header
from expert.engine.memory import estimate
from expert.engine.options import ContextOptions
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, write_gguf
from expert_converters.kinds.control_vector import write_control_vector
from expert_converters.kinds.soft_prompt import TENSOR
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.program import expert

GREEDY = ("--temperature", "0", "--max-tokens", "12", "--threads", "1", "--json")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> list[Path]:
    """Return two adapters for the tiny model."""
    made = []
    for seed in range(2):
        folder = tmp_path_factory.mktemp(f"lora{seed}")
        peft_adapter(folder, Qwen3Shape(), AdapterShape(rank=32, alpha=32, seed=seed))
        made.append(convert_lora(LoraJob(folder, tiny_path, folder / f"lora{seed}.gguf")))
    return made


def test_an_expert_answers_and_is_reported(tiny_path: Path, adapters: list[Path]) -> None:
    """The answer differs from the base's, and says who gave it."""
    base = json.loads(expert("ask", "-m", tiny_path, *GREEDY, "Hello").out)
    one = json.loads(expert("ask", "-m", tiny_path, "-e", adapters[0], *GREEDY, "Hello").out)
    two = json.loads(
        expert("ask", "-m", tiny_path, "-e", adapters[0], "-e", f"{adapters[1]}:0.5",
               *GREEDY, "Hello").out
    )  # fmt: skip
    assert len({base["text"], one["text"], two["text"]}) == 3
    assert base["experts"] == []
    assert [(use["name"], use["scale"]) for use in two["experts"]] == [("lora0", 1), ("lora1", 0.5)]


@pytest.mark.parametrize(
    ("choice", "code", "words"),
    [("none.gguf", 3, "no expert"), ("none.gguf:x", 2, "not a number"), ("a:nan", 2, "not a")],
)
def test_mistakes(tiny_path: Path, choice: str, code: int, words: str) -> None:
    """Each has its code and words."""
    done = expert("ask", "-m", tiny_path, "-e", choice, "Hello")
    assert done.code == code
    assert words in done.message


def test_an_adapter_for_another_base_is_refused(tmp_path: Path, adapters: list[Path]) -> None:
    """Code 4, with the reason, before C sees it."""
    from expert_converters.model import ModelJob, convert_model
    from support.checkpoints import qwen3_checkpoint

    folder = qwen3_checkpoint(tmp_path / "other", Qwen3Shape(hidden_size=96))
    other = convert_model(ModelJob(folder, tmp_path / "other.gguf", "f32"))
    done = expert("ask", "-m", other, "-e", adapters[0], "Hello")
    assert done.code == 4
    assert "made for another base" in done.message


def test_eleven_experts_are_too_many(tiny_path: Path, adapters: list[Path]) -> None:
    """The limit is said."""
    many = [part for _ in range(11) for part in ("-e", adapters[0])]
    done = expert("ask", "-m", tiny_path, *many, "Hello")
    assert done.code == 2
    assert "At most 10" in done.message


def test_fusing_for_good(tiny_path: Path, adapters: list[Path], tmp_path: Path) -> None:
    """The fused file answers as the two together; a rank says what it kept."""
    pair = (f"{adapters[0]}:0.5", adapters[1])
    out = tmp_path / "both.gguf"
    assert expert("fuse", *pair, "-o", out, "--base", tiny_path).code == 0
    together = expert("ask", "-m", tiny_path, "-e", pair[0], "-e", pair[1], *GREEDY, "Hello")
    fused = expert("ask", "-m", tiny_path, "-e", out, *GREEDY, "Hello")
    assert json.loads(fused.out)["text"] == json.loads(together.out)["text"]
    low = tmp_path / "low.gguf"
    report = json.loads(expert("fuse", *pair, "-o", low, "--rank", "32", "--json").out)
    assert report["rank"] == 32
    assert 0.3 < report["energy"] < 1


def test_fusing_nothing_is_an_error(adapters: list[Path], tmp_path: Path) -> None:
    """Scale 0 leaves nothing to fuse, and no file."""
    done = expert("fuse", f"{adapters[0]}:0", "-o", tmp_path / "none.gguf")
    assert done.code == 5
    assert list(tmp_path.iterdir()) == []


def test_conflicts_are_measured(adapters: list[Path]) -> None:
    """An adapter conflicts with itself and hardly with an independent one."""
    same = json.loads(expert("conflicts", adapters[0], adapters[0], "--json").out)
    other = json.loads(expert("conflicts", adapters[0], adapters[1], "--json").out)
    assert same["warning"]
    assert same["overlap"] == pytest.approx(1, abs=0.01)
    assert other["overlap"] < same["overlap"]
    assert "try them together" in expert("conflicts", adapters[0], adapters[0]).text


def test_bench_experts(tiny_path: Path) -> None:
    """Every figure is there, and a switch on a long history beats computing it again."""
    done = expert(
        "bench", "experts", tiny_path, "--history", "200", "--json", timeout=400,
        EXPERT_THREADS="1",
    )  # fmt: skip
    result = json.loads(done.out)
    assert set(result["decode_overhead"]) == {
        "1", "3 fused", "10 fused", "3 separate", "10 separate"
    }  # fmt: skip
    assert result["load_s"] > 0
    assert result["first_token_s"] < result["prefill_s"]


def test_soft_prompts_and_control_vectors_are_experts_too(tiny_path: Path, tmp_path: Path) -> None:
    """`-e` takes each of them, alone and with others; a soft prompt has no scale."""
    rows = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    soft, vector = tmp_path / "soft.gguf", tmp_path / "vector.gguf"
    metadata = {"general.architecture": "qwen3", "general.type": "soft-prompt"}
    with soft.open("wb") as file:
        write_gguf(file, metadata, [NewTensor(TENSOR, (64, 3), GGMLType.F32)], [rows])
    write_control_vector({1: 0.2 * rows[0]}, "qwen3", vector)
    found = set()
    for experts in ((), ("-e", soft), ("-e", f"{vector}:0.5"), ("-e", soft, "-e", vector)):
        done = expert("ask", "-m", tiny_path, *experts, *GREEDY, "--logprobs", "0", "Hello")
        found.add(round(json.loads(done.out)["logprobs"][0]["logprob"], 3))
    assert len(found) == 4
    scaled = expert("ask", "-m", tiny_path, "-e", f"{soft}:0.5", "Hello")
    assert scaled.code == 2
    assert "it has no scale" in scaled.message


def test_short_memory_is_said(tiny_path: Path, adapters: list[Path]) -> None:
    """What gave way stands on stderr, and the answer comes all the same."""
    fixed = estimate(read_header(tiny_path), ContextOptions(size=256)).total
    memory = (fixed + adapters[0].stat().st_size) / 1e6
    done = expert(
        "ask", "-m", tiny_path, "--context", "512", "-e", adapters[0], "--max-tokens", "5",
        "--threads", "1", "Hello", EXPERT_MEMORY=str(memory),
    )  # fmt: skip
    assert done.code == 0
    assert "The context holds 256 tokens instead of 512: memory is short." in done.message
