"""The engine's thread: many callers, one context, exact answers."""

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.errors import ExpertError, InputTooLongError, UsageError
from expert.types import Sampling
from support.peers import reference, reference_greedy

PROMPT = [5, 9, 120, 300, 44, 8]


@pytest.fixture
def engine(tiny: Model) -> Iterator[Engine]:
    """Return an engine with four sequences of 256 tokens."""
    options = ContextOptions(size=1024, sequences=4, kv_type="f32", flash_attention="off")
    with Engine(tiny, options) as engine:
        yield engine


def tokens(engine: Engine, job: Job) -> list[int]:
    """Return the tokens a job generates."""
    return [out.token for out in engine.generate(job) if isinstance(out, Piece) and out.token >= 0]


def end(engine: Engine, job: Job) -> Finished:
    """Run a job and return how it ended."""
    return [out for out in engine.generate(job) if isinstance(out, Finished)][0]


def test_greedy_tokens_equal_transformers(engine: Engine, tiny_checkpoint: Path) -> None:
    """The whole path gives the tokens transformers gives."""
    job = Job(PROMPT, max_tokens=64, ignore_end=True)
    assert tokens(engine, job) == reference_greedy(reference(tiny_checkpoint), PROMPT, 64)


def test_eight_threads_get_what_each_gets_alone(engine: Engine) -> None:
    """Twelve jobs from eight threads, sharing four sequences, give the same tokens as alone."""
    jobs = [
        Job([index + 1, 7, 9 + index], Sampling(temperature=1, seed=index), 20, ignore_end=True)
        for index in range(12)
    ]
    alone = [tokens(engine, job) for job in jobs]
    together: dict[int, list[int]] = {}
    work: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(jobs)):
        work.put(index)

    def serve() -> None:
        while not work.empty():
            try:
                index = work.get(block=False)
            except queue.Empty:
                return
            together[index] = tokens(engine, jobs[index])

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[index] for index in range(len(jobs))] == alone


def test_a_seed_repeats_an_answer(engine: Engine) -> None:
    """Equal seeds give equal tokens, other seeds others."""
    jobs = [Job(PROMPT, Sampling(temperature=1.0, seed=seed), 30) for seed in (1, 1, 2)]
    first, again, other = (tokens(engine, job) for job in jobs)
    assert first == again
    assert first != other


def test_a_shared_prefix_is_computed_once(engine: Engine) -> None:
    """A longer prompt after a shorter one computes only what is new, with the same answer."""
    fresh = tokens(engine, Job([*PROMPT, 3, 4, 5], max_tokens=10, ignore_end=True))
    longer = Job([*PROMPT, 3, 4, 5], max_tokens=10, ignore_end=True)
    assert end(engine, longer).timings.cached_tokens == len(PROMPT) + 2
    assert tokens(engine, longer) == fresh
    other = Job([*PROMPT[:3], 99, 98], max_tokens=3)
    assert end(engine, other).timings.cached_tokens == 3


def test_cancelling_stops_within_a_token(engine: Engine) -> None:
    """After `cancel` at most one more token comes, and the end says so."""
    stream = engine.submit(Job(PROMPT, max_tokens=100, ignore_end=True))
    for _ in range(5):
        stream.next()
    stream.cancel()
    waiting = stream._outputs.qsize()
    rest = list(stream)
    assert len(rest) <= waiting + 2
    last = rest[-1]
    assert isinstance(last, Finished)
    assert last.finish == "cancelled"


def test_leaving_a_loop_early_frees_the_sequence(engine: Engine) -> None:
    """Ten abandoned generations leave the engine free for the next."""
    for _ in range(10):
        for _output in engine.generate(Job(PROMPT, max_tokens=100, ignore_end=True)):
            break
    assert len(tokens(engine, Job(PROMPT, max_tokens=5, ignore_end=True))) == 5


def test_one_cancelled_job_does_not_disturb_another(engine: Engine) -> None:
    """The surviving job's tokens are those it has alone, though its step was interrupted."""
    job = Job([1, 2, 3], Sampling(temperature=1, seed=3), 100, ignore_end=True)
    alone = tokens(engine, job)
    survivor = engine.submit(job)
    for index in range(20):
        victim = engine.submit(Job([200 + index, 3], max_tokens=100, ignore_end=True))
        victim.next()
        victim.cancel()
    got = [out.token for out in survivor if isinstance(out, Piece)]
    assert got == alone


def test_a_stop_sequence_ends_the_text_before_it(engine: Engine, tiny: Model) -> None:
    """Text up to the stop sequence comes out, the sequence itself and the rest do not."""
    plain = Job(PROMPT, max_tokens=40, ignore_end=True)
    text = "".join(out.text for out in engine.generate(plain) if isinstance(out, Piece))
    stop = text[20:23]
    job = Job(PROMPT, max_tokens=40, ignore_end=True, stop=(stop,))
    outputs = list(engine.generate(job))
    shown = "".join(out.text for out in outputs if isinstance(out, Piece))
    assert shown == text[: text.index(stop)]
    assert isinstance(outputs[-1], Finished)
    assert outputs[-1].finish == "stop"


def test_a_full_context_ends_the_answer(engine: Engine) -> None:
    """Without a shift, the answer ends when its sequence is full."""
    done = end(engine, Job(PROMPT, max_tokens=1000, ignore_end=True))
    assert done.finish == "length"
    assert len(PROMPT) + done.timings.answer_tokens == engine.context.size + 1


def test_a_shift_keeps_the_system_prompt_and_goes_on(engine: Engine) -> None:
    """With a shift, the answer outgrows the context; what must be kept is kept."""
    job = Job(PROMPT, max_tokens=300, ignore_end=True, overflow="shift", keep=4)
    done = end(engine, job)
    assert done.finish == "length"
    assert done.timings.answer_tokens == 300
    cached = Job([*PROMPT[:4], 77, 78], max_tokens=1)
    assert end(engine, cached).timings.cached_tokens == 4


def test_a_prompt_that_fills_the_context_is_refused(engine: Engine) -> None:
    """The error names both numbers, before anything is computed."""
    size = engine.context.size
    with pytest.raises(InputTooLongError, match=f"{size} tokens"):
        engine.submit(Job([1] * size))
    with pytest.raises(UsageError):
        engine.submit(Job([]))


def test_closing_ends_running_jobs(tiny: Model) -> None:
    """Jobs that run or wait when the engine closes end instead of hanging."""
    engine = Engine(tiny, ContextOptions(size=512))
    running = engine.submit(Job(PROMPT, max_tokens=400, ignore_end=True))
    waiting = engine.submit(Job(PROMPT, max_tokens=400, ignore_end=True))
    running.next()
    engine.close()
    assert isinstance(list(running)[-1], Finished)
    with pytest.raises(UsageError, match="closed"):
        list(waiting)
    with pytest.raises(UsageError, match="closed"):
        engine.submit(Job(PROMPT))


def test_a_failure_in_the_thread_reaches_the_caller(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that fails fails the jobs in it; the engine serves the next one."""
    from expert.engine.context import Context
    from expert.errors import ResourceError

    engine = Engine(tiny, ContextOptions(size=256))
    with monkeypatch.context() as patch:

        def broken(*_: object) -> None:
            raise ResourceError("The device is gone.")

        patch.setattr(Context, "step", broken)
        with pytest.raises(ExpertError, match="gone"):
            list(engine.generate(Job(PROMPT)))
    assert len(tokens(engine, Job(PROMPT, max_tokens=3, ignore_end=True))) == 3
    engine.close()


def test_a_timeout_on_a_stream_is_not_an_end(engine: Engine) -> None:
    """`next` with a timeout says when nothing came; the stream goes on."""
    stream = engine.submit(Job(PROMPT, max_tokens=2, ignore_end=True))
    time.sleep(0.2)
    assert isinstance(stream.next(1), Piece)
    list(stream)
    with pytest.raises(queue.Empty):
        stream.next(0.01)
