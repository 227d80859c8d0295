"""The main path from a request to its events."""

from pathlib import Path

import pytest

from expert.assistant import Assistant
from expert.config import Config
from expert.errors import InputTooLongError, NotFoundError, VerificationError
from expert.types import Answer, Delta, Done, Message, Notice, Request

HELLO = [Message("user", "Hello")]


def answer(assistant: Assistant, request: Request) -> Answer:
    """Return the answer of a request, after checking that its deltas add up to it."""
    events = list(assistant.ask(request))
    done = events[-1]
    assert isinstance(done, Done)
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert text == done.answer.reasoning + done.answer.text
    return done.answer


def test_an_answer_streams_and_ends(tiny_path: Path) -> None:
    """Greedy answers repeat; timings and tokens are filled in."""
    with Assistant(tiny_path) as assistant:
        request = Request(HELLO, max_tokens=10, temperature=0)
        first, again = answer(assistant, request), answer(assistant, request)
    assert first.text == again.text
    assert first.timings.answer_tokens <= 10
    assert first.timings.prompt_tokens > 0
    assert again.timings.cached_tokens == first.timings.prompt_tokens - 1


def test_a_conversation_reuses_what_it_computed(tiny_path: Path) -> None:
    """The second turn computes only what is new, even when the context had to grow."""
    with Assistant(tiny_path) as assistant:
        first = answer(assistant, Request(HELLO, max_tokens=5, temperature=0))
        turns = [*HELLO, Message("assistant", first.text), Message("user", "More")]
        second = answer(assistant, Request(turns, max_tokens=5, temperature=0))
    with Assistant(tiny_path) as assistant:
        fresh = answer(assistant, Request(turns, max_tokens=5, temperature=0))
    assert second.timings.cached_tokens >= first.timings.prompt_tokens - 1
    assert second.text == fresh.text


def test_the_context_grows_with_the_conversation(tiny_path: Path) -> None:
    """A request that needs more than the first one gets a larger context."""
    with Assistant(tiny_path) as assistant:
        answer(assistant, Request(HELLO, max_tokens=5))
        long = [Message("user", "word " * 60)]
        assert answer(assistant, Request(long, max_tokens=5)).timings.prompt_tokens > 100


def test_too_long_a_conversation_is_refused_or_truncated(tiny_path: Path) -> None:
    """Refused with both numbers; truncated, the oldest turns go and the system prompt stays."""
    turns = [Message("system", "Be brief.")]
    for index in range(20):
        turns += [Message("user", f"word {index} " * 8), Message("assistant", "yes " * 8)]
    turns.append(Message("user", "last"))
    with Assistant(tiny_path) as assistant:
        with pytest.raises(InputTooLongError, match="512"):
            answer(assistant, Request(turns, max_tokens=5))
        events = list(assistant.ask(Request(turns, max_tokens=5, truncate=True)))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any("turns were dropped" in text for text in notices)


def test_a_turn_that_alone_is_too_long_is_never_cut_in_silence(tiny_path: Path) -> None:
    """Refused, or its end is kept with a warning that says how much is gone."""
    request = Request([Message("user", "word " * 2000 + "last")], max_tokens=5)
    with Assistant(tiny_path) as assistant:
        with pytest.raises(InputTooLongError):
            list(assistant.ask(request))
        _, rendered = assistant.preview(request, truncate=True)
        events = list(assistant.ask(request, truncate=True))
    assert len(rendered.prompt) < 512
    assert rendered.messages[-1].content.endswith("word last")
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any("characters of the input were dropped" in text for text in notices)


def test_a_system_prompt_that_leaves_no_room(tiny_path: Path) -> None:
    """Is an error even where truncating is allowed."""
    turns = [Message("system", "word " * 2000), Message("user", "x")]
    with Assistant(tiny_path) as assistant, pytest.raises(InputTooLongError, match="no room"):
        list(assistant.ask(turns, truncate=True))


def test_truncating_lets_an_answer_outgrow_the_context(tiny_path: Path) -> None:
    """With `truncate` the older half is dropped and the answer goes on."""
    with Assistant(tiny_path, Config(context=256)) as assistant:
        request = Request(HELLO, max_tokens=600, temperature=1, seed=4, truncate=True)
        found = answer(assistant, request)
    assert found.timings.answer_tokens > 256 or found.finish == "stop"


def test_a_failed_load_reaches_whoever_asks(tmp_path: Path) -> None:
    """The model loads in the background; its error comes out of `ask`."""
    with Assistant(tmp_path / "none.gguf") as assistant, pytest.raises(NotFoundError):
        answer(assistant, Request(HELLO))
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"nonsense" * 20)
    with Assistant(bad) as assistant, pytest.raises(VerificationError):
        answer(assistant, Request(HELLO))


def test_the_time_limit_ends_an_answer(slow_model: Path) -> None:
    """What came until then is the answer, and it is marked."""
    with Assistant(slow_model) as assistant:
        assistant.resident.wait(None)
        found = answer(assistant, Request(HELLO, max_tokens=4000, temperature=0, timeout=0.5))
    assert found.finish == "timeout"
    assert found.timings.answer_tokens < 4000
