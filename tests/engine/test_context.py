"""The numbers a context computes, beside transformers on the same checkpoint."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from expert.engine.context import Cancelled, Context, Slice
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions, RopeScaling
from expert.errors import ResourceError, UsageError
from expert.types import KVType
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.peers import kl_divergence, reference, reference_greedy, reference_logits

EXACT = ContextOptions(size=512, kv_type="f32", outputs=512, batch=512, flash_attention="off")


def all_logits(context: Context, tokens: list[int]) -> NDArray[np.float64]:
    """Compute the logits of every position of a fresh sequence."""
    context.forget(0, 0)
    (rows,) = context.step([Slice(0, 0, tokens, len(tokens))])
    return np.stack([read_logits(context, row) for row in rows]).astype(np.float64)


def random_prompts(model: Model, count: int, longest: int = 100) -> list[list[int]]:
    """Return seeded prompts of random tokens and lengths."""
    draw = random.Random(0)
    size = model.vocabulary.size
    return [[draw.randrange(size) for _ in range(draw.randrange(2, longest))] for _ in range(count)]


def test_logits_equal_transformers(tiny: Model, tiny_checkpoint: Path) -> None:
    """20 prompts in f32: KL below 1e-5 at every position."""
    peer = reference(tiny_checkpoint)
    with Context(tiny, EXACT) as context:
        for prompt in random_prompts(tiny, 20):
            divergence = kl_divergence(reference_logits(peer, prompt), all_logits(context, prompt))
            assert divergence.max() < 1e-5


def test_a_planted_difference_is_found(tiny: Model, tiny_checkpoint: Path) -> None:
    """The comparison fails when the context is wrong: another RoPE base is seen."""
    options = ContextOptions(
        size=512, kv_type="f32", outputs=512, batch=512, rope=RopeScaling(base=5000)
    )
    prompt = random_prompts(tiny, 1)[0]
    with Context(tiny, options) as context:
        expected = reference_logits(reference(tiny_checkpoint), prompt)
        assert kl_divergence(expected, all_logits(context, prompt)).max() > 1e-5


def test_prefill_in_parts_equals_prefill_at_once(tiny: Model) -> None:
    """Logits do not depend on how a prompt is cut into steps, beyond rounding."""
    prompt = random_prompts(tiny, 1, 400)[0]
    with Context(tiny, EXACT) as context:
        whole = all_logits(context, prompt)[-1]
        context.forget(0, 0)
        position = 0
        for size in (1, 7, 32, len(prompt)):
            part = prompt[position : position + size]
            (rows,) = context.step([Slice(0, position, part, 1)])
            position += len(part)
        cut = read_logits(context, rows[0])
    assert np.abs(whole - cut).max() < 1e-4


def test_sequences_of_one_step_do_not_see_each_other(tiny: Model) -> None:
    """Two sequences in one batch give the logits each gives alone."""
    first, second = random_prompts(tiny, 2)
    with Context(tiny, EXACT) as context:
        alone = [all_logits(context, prompt)[-1] for prompt in (first, second)]
    options = ContextOptions(size=1024, sequences=2, kv_type="f32", flash_attention="off")
    with Context(tiny, options) as context:
        rows = context.step([Slice(0, 0, first, 1), Slice(1, 0, second, 1)])
        together = [read_logits(context, row[0]) for row in rows]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() < 1e-4


def test_forgotten_positions_are_gone(tiny: Model) -> None:
    """After forgetting a branch, another branch gives what it gives in a fresh sequence."""
    prompt, branch = random_prompts(tiny, 2, 40)
    with Context(tiny, EXACT) as context:
        fresh = all_logits(context, prompt + [3, 4])[-1]
        all_logits(context, prompt + branch)
        context.forget(0, len(prompt))
        (rows,) = context.step([Slice(0, len(prompt), [3, 4], 1)])
        assert np.abs(read_logits(context, rows[0]) - fresh).max() < 1e-4


@pytest.mark.parametrize(("kv_type", "limit"), [("f16", 1e-5), ("q8_0", 1e-3), ("q4_0", 1e-1)])
def test_kv_types_cost_little_accuracy(
    tiny: Model, tiny_checkpoint: Path, kv_type: KVType, limit: float
) -> None:
    """Each KV type stays within its own distance of f32, with flash attention on."""
    options = ContextOptions(
        size=512, kv_type=kv_type, outputs=512, batch=512, flash_attention="on"
    )
    prompt = random_prompts(tiny, 1)[0]
    with Context(tiny, options) as context:
        expected = reference_logits(reference(tiny_checkpoint), prompt)
        divergence = kl_divergence(expected, all_logits(context, prompt)).max()
    assert divergence < limit


def test_conversations_on_a_cpu_do_without_flash_attention() -> None:
    """Left open, it is decided by the size; what was asked for, and what needs it, stays."""

    def settled(options: ContextOptions, on_cpu: bool = True) -> tuple[str, int]:
        found = options.settled(on_cpu=on_cpu)
        return found.flash_attention, found.micro_batch

    assert settled(ContextOptions(size=4096)) == ("off", 128)
    assert settled(ContextOptions(size=4096, micro_batch=32)) == ("off", 32)
    assert settled(ContextOptions(size=4096), on_cpu=False) == ("auto", 512)
    assert settled(ContextOptions(size=4096, flash_attention="on")) == ("on", 512)
    assert settled(ContextOptions(size=4096, kv_type="q8_0")) == ("auto", 512)
    assert settled(ContextOptions(size=512)) == ("auto", 512)
    assert settled(ContextOptions(size=32_768)) == ("auto", 512)


def test_what_was_settled_is_what_the_context_says(tiny: Model) -> None:
    """A saved state names the form of attention its blob was made with."""
    with Context(tiny, ContextOptions(size=2048)) as context:
        assert context.options.flash_attention == "off"


@pytest.mark.parametrize(("asked", "told"), [(None, 1), (2, 2)])
def test_a_small_model_takes_one_thread_unless_told(
    tiny: Model, asked: int | None, told: int
) -> None:
    """llama.cpp itself says how many threads decode and read a prompt."""
    with Context(tiny, ContextOptions(size=64, threads=asked)) as context:
        counts = tiny.lib.llama_n_threads, tiny.lib.llama_n_threads_batch
        assert [count(context.handle) for count in counts] == [told, told]


def test_logits_are_a_view_that_follows_the_steps(tiny: Model) -> None:
    """The same memory is read after each step: no number of an earlier one stays."""
    with Context(tiny, EXACT) as context:
        (rows,) = context.step([Slice(0, 0, [1, 2, 3], 1)])
        first = context.logits(rows[0])
        kept = first.copy()
        (rows,) = context.step([Slice(0, 3, [9], 1)])
        second = context.logits(rows[0])
        assert second is first or first.ctypes.data != second.ctypes.data
        assert not np.array_equal(second, kept)
        assert second.shape == (tiny.vocabulary.size,)


def test_a_quantised_cache_without_flash_attention_is_refused() -> None:
    """The mistake is named before anything is allocated."""
    with pytest.raises(UsageError, match="flash attention"):
        ContextOptions(kv_type="q8_0", flash_attention="off")


@pytest.mark.parametrize("kind", ["yarn", "linear"])
def test_rope_scaling_equals_transformers(tmp_path: Path, kind: str) -> None:
    """A checkpoint with YaRN or linear scaling gives transformers' logits beyond its training."""
    scaling = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 128}
    shape = Qwen3Shape(rope_scaling=scaling, max_position_embeddings=512)
    folder = qwen3_checkpoint(tmp_path / "scaled", shape)
    path = convert_model(ModelJob(folder, tmp_path / "scaled.gguf", "f32"))
    with Model(path) as model, Context(model, EXACT) as context:
        prompt = [index * 7 % 400 for index in range(400)]
        expected = reference_logits(reference(folder), prompt)
        assert kl_divergence(expected, all_logits(context, prompt)).max() < 1e-5


def test_rope_scaling_by_option_equals_that_in_the_file(tmp_path: Path) -> None:
    """Asking a plain model for YaRN gives the logits of a file that carries the same YaRN."""
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    plain = qwen3_checkpoint(tmp_path / "plain", Qwen3Shape())
    scaled = qwen3_checkpoint(tmp_path / "scaled", Qwen3Shape(rope_scaling=scaling))
    rope = RopeScaling("yarn", factor=4.0, original_context=512)
    prompt = [index * 7 % 400 for index in range(300)]
    logits = []
    for folder, option in ((plain, rope), (scaled, RopeScaling())):
        path = convert_model(ModelJob(folder, folder / "model.gguf", "f32"))
        options = ContextOptions(size=512, kv_type="f32", outputs=512, batch=512, rope=option)
        with Model(path) as model, Context(model, options) as context:
            logits.append(all_logits(context, prompt))
    assert np.abs(logits[0] - logits[1]).max() < 1e-4


def test_greedy_decoding_equals_transformers(tiny: Model, tiny_checkpoint: Path) -> None:
    """64 greedy tokens after a prompt are the same."""
    prompt = random_prompts(tiny, 1)[0]
    with Context(tiny, EXACT) as context:
        context.step([Slice(0, 0, prompt[:-1])])
        tokens = [prompt[-1]]
        for index in range(64):
            (rows,) = context.step([Slice(0, len(prompt) - 1 + index, tokens[-1:], 1)])
            tokens.append(int(read_logits(context, rows[0]).argmax()))
    assert tokens[1:] == reference_greedy(reference(tiny_checkpoint), prompt, 64)


@pytest.mark.slow
def test_a_context_of_32k_tokens_is_exact_to_its_end(tmp_path: Path) -> None:
    """The last position of 32,768 has transformers' logits."""
    shape = Qwen3Shape(max_position_embeddings=40960, num_hidden_layers=1)
    folder = qwen3_checkpoint(tmp_path / "long", shape)
    path = convert_model(ModelJob(folder, tmp_path / "long.gguf", "f32"))
    tokens = [index * index % 431 for index in range(32_768)]
    with Model(path) as model:
        options = ContextOptions(size=32_768, kv_type="f32")
        with Context(model, options) as context:
            assert context.size == 32_768
            for start in range(0, len(tokens), options.batch):
                part = tokens[start : start + options.batch]
                (rows,) = context.step([Slice(0, start, part, 1)])
            actual = read_logits(context, rows[0]).astype(np.float64)
    import torch

    peer = reference(folder)
    with torch.inference_mode():
        expected = peer(torch.tensor([tokens]), logits_to_keep=1).logits[0, -1].double().numpy()
    assert kl_divergence(expected[None], actual[None]).max() < 1e-5


def test_impossible_steps_are_refused_before_c_sees_them(tiny: Model) -> None:
    """Empty and oversized steps, and too many outputs, would abort the process in C."""
    with Context(tiny, ContextOptions(size=256, batch=32)) as context:
        for bad in (
            [Slice(0, 0, [])],
            [Slice(0, 0, [1] * 33)],
            [Slice(0, 0, [1, 2], 2)],
        ):
            with pytest.raises(UsageError):
                context.step(bad)


def test_a_full_context_is_an_error_that_leaves_it_usable(tiny: Model) -> None:
    """Running out of KV cells is a typed error; after forgetting, steps work again."""
    with Context(tiny, ContextOptions(size=256)) as context:
        context.step([Slice(0, 0, [1] * 250)])
        with pytest.raises(ResourceError, match="full"):
            context.step([Slice(0, 250, [1] * 20)])
        context.forget(0, 100)
        context.step([Slice(0, 100, [1] * 20)])


def test_cancel_stops_a_step_in_the_middle(tmp_path: Path) -> None:
    """A long prefill ends soon after `cancel`, and the cache is as before."""
    shape = Qwen3Shape(hidden_size=256, intermediate_size=1024, num_hidden_layers=8,
                       max_position_embeddings=8192)  # fmt: skip
    folder = qwen3_checkpoint(tmp_path / "wide", shape)
    path = convert_model(ModelJob(folder, tmp_path / "wide.gguf", "f32"))
    with Model(path) as model, Context(model, ContextOptions(size=4096, batch=4096)) as context:
        tokens = [1] * 4000
        start = time.perf_counter()
        context.step([Slice(0, 0, tokens)])
        whole = time.perf_counter() - start
        context.forget(0, 0)
        context.step([Slice(0, 0, [5, 6, 7])])
        timer = threading.Timer(whole / 10, context.cancel)
        timer.start()
        start = time.perf_counter()
        with pytest.raises(Cancelled):
            context.step([Slice(0, 3, tokens)])
        assert time.perf_counter() - start < whole * 0.7
        context.resume()
        (rows,) = context.step([Slice(0, 3, [8], 1)])
        after = read_logits(context, rows[0])
        context.forget(0, 0)
        (rows,) = context.step([Slice(0, 0, [5, 6, 7, 8], 1)])
        assert np.abs(read_logits(context, rows[0]) - after).max() < 1e-4


def test_several_contexts_share_a_model(tiny: Model) -> None:
    """Contexts on one model do not disturb each other, and close with it."""
    first, second = random_prompts(tiny, 2)
    with Context(tiny, EXACT) as one, Context(tiny, EXACT) as other:
        expected = all_logits(one, first)
        all_logits(other, second)
        assert np.array_equal(all_logits(one, first), expected)


def test_closing_the_model_closes_its_contexts(tiny_path: Path) -> None:
    """A context on closed weights is a typed error, not a crash."""
    model = Model(tiny_path)
    context = Context(model, EXACT)
    model.close()
    with pytest.raises(UsageError, match="closed"):
        context.step([Slice(0, 0, [1])])
