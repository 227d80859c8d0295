"""The Python interface, as its documentation shows it."""

import threading
from pathlib import Path

import pytest

import expert
from expert import Answer, Assistant, Conversation, ExpertError, Message
from expert.errors import NotFoundError, UsageError
from expert.types import ExpertChoice
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter

OPTIONS = {"temperature": 0, "max_tokens": 8}


@pytest.fixture
def adapter(tmp_path: Path, tiny_path: Path) -> Path:
    """Return an adapter for the tiny model."""
    folder = peft_adapter(tmp_path / "lora", Qwen3Shape(), AdapterShape(rank=32, alpha=32))
    return convert_lora(LoraJob(folder, tiny_path, tmp_path / "lora.gguf"))


def test_public_names_are_those_promised() -> None:
    """Every name of `__all__` is there, and an unknown one is an AttributeError."""
    for name in expert.__all__:
        assert getattr(expert, name) is not None
    with pytest.raises(AttributeError):
        expert.nonsense  # noqa: B018  the access itself is the test


def test_text_streams_and_comes_whole(tiny_path: Path) -> None:
    """Both ways give the same text."""
    with Assistant(tiny_path) as assistant:
        parts = list(assistant.ask("Hello", **OPTIONS).pieces())
        assert "".join(parts) == assistant.ask("Hello", **OPTIONS).text
        assert isinstance(assistant.ask([Message("user", "Hello")], **OPTIONS).answer, Answer)


def test_experts_act_until_they_are_released(tiny_path: Path, adapter: Path) -> None:
    """Attached experts change the answer, their scale matters, and the base comes back."""
    with Assistant(tiny_path) as assistant:
        base = assistant.ask("Hello", **OPTIONS).text
        assistant.attach_experts(adapter)
        one = assistant.ask("Hello", **OPTIONS).answer
        assert assistant.experts == (ExpertChoice(adapter, 1.0),)
        assistant.attach_experts((adapter, 0.0))
        assert assistant.ask("Hello", **OPTIONS).text == base
        assistant.release()
        assert assistant.ask("Hello", **OPTIONS).text == base
    assert one.text != base
    assert [(use.name, use.scale) for use in one.experts] == [("lora", 1.0)]


def test_a_conversation_remembers(tiny_path: Path) -> None:
    """The second answer is that of the whole conversation, and little is computed again."""
    with Assistant(tiny_path) as assistant:
        talk = Conversation(assistant, "Be odd.")
        first = talk.ask("Hello", **OPTIONS).answer
        second = talk.ask("More", **OPTIONS).answer
        turns = talk.messages[:-1]
    with Assistant(tiny_path) as assistant:
        assert assistant.ask(turns, **OPTIONS).text == second.text
    assert second.timings.cached_tokens >= first.timings.prompt_tokens - 1


def test_threads_may_share_a_assistant(tiny_path: Path) -> None:
    """Each thread gets what it gets alone."""
    questions = [f"Question {index}" for index in range(6)]
    with Assistant(tiny_path) as assistant:
        alone = [assistant.ask(question, **OPTIONS).text for question in questions]
        together: dict[str, str] = {}

        def ask(question: str) -> None:
            together[question] = assistant.ask(question, **OPTIONS).text

        threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [together[question] for question in questions] == alone


def test_mistakes_are_typed(tiny_path: Path, tmp_path: Path) -> None:
    """An unknown model, setting or adapter is an ExpertError of its kind."""
    with pytest.raises(NotFoundError):
        Assistant("no-such-model")
    with pytest.raises(ExpertError):
        Assistant(tiny_path, threads="many")
    with Assistant(tiny_path) as assistant:
        with pytest.raises(NotFoundError):
            assistant.attach_experts(tmp_path / "none.gguf")
        with pytest.raises(UsageError, match="not a number"):
            assistant.attach_experts("x.gguf:strong")


def test_a_growing_context_does_not_end_another_threads_answer(tiny_path: Path) -> None:
    """A request that needs a larger context leaves the one that is being answered alone."""
    options = {"temperature": 1.0, "seed": 1, "max_tokens": 150}
    with Assistant(tiny_path) as assistant:
        alone = assistant.ask("Hello", **options).text
    with Assistant(tiny_path) as assistant:
        first = assistant.ask("Hello", **options)
        parts = [next(first.pieces())]
        long = assistant.ask("word " * 60, max_tokens=200, temperature=0).answer
        assert "".join([*parts, *first.pieces()]) == alone
        assert long.finish != "cancelled"


def test_closing_during_an_answer_leaves_no_error(
    tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A assistant may be closed while an answer is half read; nothing complains afterwards."""
    assistant = Assistant(tiny_path)
    answer = assistant.ask("Hello", max_tokens=400, temperature=1.0).pieces()
    next(answer)
    assistant.close()
    del answer
    assert capfd.readouterr().err == ""
