"""An assistant that is closed: at any moment, more than once, and used afterwards all the same."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from expert.assistant import Assistant
from expert.collecting import Asked, Deadline, Stopper, until
from expert.conversation import Conversation
from expert.engine.generation import Finished, Output
from expert.engine.stream import Stream
from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.history.history import user_history
from expert.loading import Loading
from expert.types import Answer, Delta, Done, Message, Planned, Request, Timings

LONG = {"max_tokens": 400, "temperature": 0.0, "experts": ()}
BRIEF = {**LONG, "max_tokens": 4}


@pytest.fixture
def assistant(tiny_path: Path) -> Assistant:
    """Return an assistant that is ready."""
    made = Assistant(tiny_path)
    made.resident.wait(None)
    return made


USES: list[Callable[[Assistant], object]] = [
    lambda it: it.ask("Hello", **BRIEF).text,
    lambda it: list(it.ask("Hello", **BRIEF).pieces()),
    lambda it: it.preview("Hello", experts=()),
    lambda it: it.resident.template,
    lambda it: it.resident.model,
    lambda it: it.resident.limit,
    lambda it: it.resident.lend(10).__enter__(),
    lambda it: it.resident.save_state(Path("state.kv")),
    lambda it: Conversation(it).ask("Hello", **BRIEF).text,
]


@pytest.mark.parametrize("use", USES)
def test_a_closed_assistant_says_so(
    assistant: Assistant, use: Callable[[Assistant], object]
) -> None:
    """Whatever is asked of it afterwards; freed memory is never read."""
    _ = assistant.ask("Hello", **BRIEF).text
    assistant.close()
    with pytest.raises(UsageError):
        use(assistant)
    assistant.close()


def test_a_block_within_a_block_closes_once(assistant: Assistant) -> None:
    """After the inner one it is closed, and the outer one ends as if nothing were."""
    with assistant:
        with assistant as same:
            assert same is assistant
            assert same.ask("Hello", **BRIEF).answer.finish
        with pytest.raises(UsageError, match="closed"):
            _ = assistant.ask("Hello", **BRIEF).text


def test_an_answer_that_was_begun_outlives_the_assistant(assistant: Assistant) -> None:
    """What came until then is the answer, ended as cancelled; nobody is told of a Ctrl-C."""
    asked = assistant.ask("Hello", **LONG)
    events = []
    for event in asked:
        events.append(event)
        if isinstance(event, Delta):
            break
    assistant.close()
    events += list(asked)
    done = events[-1]
    assert isinstance(done, Done)
    assert done.answer.finish == "cancelled"
    assert done.answer.text == "".join(event.text for event in events if isinstance(event, Delta))
    assert user_history().turns(done.conversation or 0)[0].turn.finish == "cancelled"
    with pytest.raises(UsageError):
        _ = assistant.resident.model


def test_one_that_has_only_its_plan_cannot_begin_any_more(assistant: Assistant) -> None:
    """It is between two steps when all is closed: an error, and the weights are freed then."""
    asked = assistant.ask("Hello", **BRIEF)
    while not isinstance(next(asked), Planned):
        pass
    assistant.close()
    assert assistant.resident.model.header  # it still may look at them
    with pytest.raises(UsageError, match="closed"):
        _ = asked.text
    with pytest.raises(UsageError, match="closed"):
        _ = assistant.resident.model


def test_one_that_nobody_reads_lets_go(assistant: Assistant) -> None:
    """An answer that is thrown away half read keeps no weights, closed before or after."""
    for close_first in (False, True):
        asked = assistant.ask("Hello", **BRIEF)
        next(asked)
        if close_first:
            assistant.close()
        asked.close()
    with pytest.raises(UsageError):
        _ = assistant.resident.model


def test_closing_while_others_ask(tiny_path: Path) -> None:
    """Each of many threads gets answers, then an end or an error of ours, and nobody waits."""
    assistant = Assistant(tiny_path)
    strange: list[BaseException] = []
    whole = threading.Semaphore(0)

    def ask() -> None:
        try:
            while True:
                answer = assistant.ask("Hello there", record=False, **BRIEF).answer
                whole.release()
                if answer.finish == "cancelled":
                    return
        except UsageError:
            return
        except BaseException as error:
            strange.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        assert whole.acquire(timeout=60)
    assistant.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not strange


def test_stopped_at_any_moment_an_answer_is_a_beginning_of_the_whole(assistant: Assistant) -> None:
    """After each number of events: what is there is what would have come, marked as stopped."""
    with assistant:
        whole = assistant.ask("Hello", **{**LONG, "max_tokens": 30}).answer
        for after in (0, 1, 2, 3, 5, 9, 17):
            asked = assistant.ask("Hello", **{**LONG, "max_tokens": 30})
            events = []
            for event in asked:
                events.append(event)
                if len(events) == after:
                    asked.stop()
                    asked.stop()
            cut = asked.answer
            assert whole.text.startswith(cut.text)
            assert cut.finish in ("cancelled", whole.finish)
        assert assistant.ask("Hello", **{**LONG, "max_tokens": 30}).text == whole.text


def test_an_answer_that_never_was_is_asked_for_again_and_again(assistant: Assistant) -> None:
    """Closed, or failed: each further look says that there is none."""
    with assistant:
        closed = assistant.ask("Hello", **BRIEF)
        closed.close()
        failed = assistant.ask("Hello", grammar="root ::= (", **BRIEF)
        with pytest.raises(ExpertError):
            _ = failed.text
        for asked in (closed, failed):
            for _ in range(2):
                with pytest.raises(UsageError, match="no answer"):
                    _ = asked.text
            assert list(asked) == []


def test_ctrl_c_is_held_back_once_until_the_answer_is_whole() -> None:
    """Even in one that was stopped before; the stopper knows, a second one is not held back."""

    class Interrupted(Stream):
        """A stream whose reader is interrupted twice before the end comes."""

        def __init__(self, times: int) -> None:
            super().__init__(lambda: None)
            self.left = times

        def next(self, timeout: float | None = None) -> Output:
            if self.left:
                self.left -= 1
                raise KeyboardInterrupt
            return Finished("cancelled", Timings())

    stopper, stream = Stopper(), Interrupted(1)
    stopper.attach(stream)
    stopper.stop()
    assert [type(one) for one in until(stream, Deadline(None), stopper)] == [Finished]
    assert stopper.interrupted
    again = Stopper()
    with pytest.raises(KeyboardInterrupt):
        list(until(Interrupted(2), Deadline(None), again))
    assert again.interrupted


def test_a_deadline_cuts_a_stream_that_says_nothing() -> None:
    """It is asked to end, and its end still comes."""

    class Silent(Stream):
        """Says nothing until it is asked to end."""

        def next(self, timeout: float | None = None) -> Output:
            if self.cut is None:
                raise queue.Empty
            return Finished(self.cut, Timings())

    stopper = Stopper()
    (end,) = until(Silent(lambda: None), Deadline(0), stopper)
    assert isinstance(end, Finished) and end.finish == "timeout"
    assert not stopper.interrupted


def test_what_is_done_at_the_end_is_done_before_anyone_sees_it() -> None:
    """In order, once."""
    seen: list[str] = []
    answer = Answer("a", "", "stop", None, Path("m"), Timings())  # type: ignore[arg-type]  # unused
    asked = Asked(iter([Delta("a"), Done(answer)]))
    asked.when_done(lambda _: seen.append("first")).when_done(lambda _: seen.append("second"))
    assert not asked.begun
    for event in asked:
        seen.append(type(event).__name__)
    assert asked.begun
    assert seen == ["Delta", "first", "second", "Done"]
    assert asked.answer is answer
    assert seen[4:] == []


def test_a_model_that_is_closed_is_loaded_no_more(tiny_path: Path) -> None:
    """Closing it twice is closing it; one that failed to load says why, closed or not."""
    from expert.config import Config

    loading = Loading(tiny_path, Config())
    assert loading.model.header
    loading.close()
    loading.close()
    with pytest.raises(UsageError, match="closed"):
        _ = loading.model
    broken = Loading(tiny_path.with_name("no.gguf"), Config())
    for _ in range(2):
        with pytest.raises(ExpertError) as caught:
            _ = broken.model
        assert not isinstance(caught.value, UsageError)
        broken.close()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", '[{"role": "user"}]', "[" * 5000, '[{"role": 5, "content": ""}]', "\x00"],
)
def test_a_file_that_holds_no_conversation_changes_nothing(
    tmp_path: Path, assistant: Assistant, text: str
) -> None:
    """It is refused by name; a missing one and a folder are not found."""
    file = tmp_path / "talk.json"
    file.write_text(text)
    with assistant:
        talk = Conversation(assistant, "Be brief.")
        with pytest.raises(VerificationError, match=r"talk\.json"):
            talk.load(file)
        for absent in (tmp_path / "no.json", tmp_path):
            with pytest.raises(NotFoundError):
                talk.load(absent)
        assert talk.messages == [Message("system", "Be brief.")]


def test_a_conversation_is_not_saved_where_there_is_no_name(
    tmp_path: Path, assistant: Assistant
) -> None:
    """Nothing asked yet, a folder, a folder that is not there: an error each, and no rubbish."""
    with assistant:
        talk = Conversation(assistant)
        with pytest.raises(UsageError, match="nothing"):
            talk.save(tmp_path / "talk.json")
        _ = talk.ask("Hello", **BRIEF).text
        with pytest.raises(UsageError, match="folder"):
            talk.save(Path("/"))
        for place in (tmp_path / "no" / "talk.json", tmp_path):
            with pytest.raises(ExpertError):
                talk.save(place)
        talk.save(tmp_path / "Ünï.json")
        assert {path.name for path in tmp_path.iterdir()} == {"Ünï.json", "Ünï.kv"}


def test_requests_share_an_assistant_and_keep_their_own_answers(tiny_path: Path) -> None:
    """Many threads at once get what each would have got alone."""
    questions = [f"Say {number} " * (number + 1) for number in range(6)]
    with Assistant(tiny_path) as assistant:
        alone = [assistant.ask(text, record=False, seed=1, **BRIEF).text for text in questions]
        together: dict[int, str] = {}

        def ask(number: int) -> None:
            request = Request([Message("user", questions[number])], record=False)
            together[number] = assistant.ask(request, seed=1, **BRIEF).text

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [together[number] for number in range(6)] == alone
