"""Learning from a teacher's answers: asked once, kept, and asked again only for what is missing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expert.errors import NetworkNeededError, UsageError, VerificationError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.distill import (
    Answers,
    Teacher,
    fingerprint,
    load_answered,
    question,
    questions,
)
from expert.train.adapter.endpoint import Address, Endpoint, text_of
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.task_data import TaskData
from expert.train.examples import Example, Turn
from expert.types import Message
from support.songs import write_songs
from support.teacher_server import TeacherServer, teacher_server
from support.tiny_training import tiny_recipe


def nothing(done: int, total: int) -> None:
    """Report no progress."""


@pytest.fixture
def server() -> Iterator[TeacherServer]:
    """Return a server that says the last word of what it is asked."""
    with teacher_server(lambda text: f"teacher says {text.split()[-1]}") as state:
        yield state


@pytest.fixture(scope="module")
def base(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny model as a base."""
    return open_base(tiny_path, tmp_path_factory.mktemp("base"))


def endpoint(server: TeacherServer, **changes: object) -> Endpoint:
    """Return a client of a server that does not wait long."""
    settings: dict[str, object] = {"wait": 0.01, "tries": 3, "timeout": 5.0, **changes}
    return Endpoint(Address(server.url, "big", **settings))  # type: ignore[arg-type]  # by name


HELLO = (Message("system", "be brief"), Message("user", "say hello"))


def test_a_question_is_asked_in_the_protocol(
    server: TeacherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, roles, greedy decoding and the key of the environment arrive as they should."""
    monkeypatch.setenv("SOME_KEY", "secret")
    with closing(endpoint(server, variable="SOME_KEY", max_tokens=7)) as client:
        assert client.answer(HELLO) == "teacher says hello"
    (body,) = server.asked
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "say hello"},
    ]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("big", 0, 7)
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    "fault", ["status 429", "status 503", "cut", "malformed", "no choices", "hang up"]
)
def test_what_passes_is_asked_again(server: TeacherServer, fault: str) -> None:
    """A busy server, a cut reply and nonsense cost another try, no more."""
    server.faults += [fault]
    with closing(endpoint(server)) as client:
        assert client.answer(HELLO) == "teacher says hello"
    assert len(server.asked) == 2


def test_a_server_that_keeps_failing_is_given_up(server: TeacherServer) -> None:
    """After so many tries; the reason of the last one is told."""
    server.faults += ["status 500"] * 3
    with (
        closing(endpoint(server)) as client,
        pytest.raises(NetworkNeededError, match="no answer") as caught,
    ):
        client.answer(HELLO)
    assert "500" in caught.value.why and len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_for_good_is_not_repeated(server: TeacherServer, status: int) -> None:
    """A wrong key or model is told at once."""
    server.faults += [f"status {status}"]
    with closing(endpoint(server)) as client, pytest.raises(UsageError, match="refuses"):
        client.answer(HELLO)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["length", "empty"])
def test_half_an_answer_is_none(server: TeacherServer, fault: str) -> None:
    """An answer cut short by its limit must not be learnt."""
    server.faults += [fault]
    with closing(endpoint(server)) as client:
        assert client.answer(HELLO) is None


def test_an_address_needs_a_key_unless_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="no key"):
        Endpoint(Address("https://example.com/v1", "big"))
    with pytest.raises(UsageError, match="no address"):
        Endpoint(Address("ftp://example.com", "big"))


@pytest.mark.parametrize("reply", [None, [], {}, {"choices": [{}]}, {"choices": "x"}])
def test_a_reply_of_another_protocol_is_told_apart(reply: object) -> None:
    """It is an error, not an answer."""
    with pytest.raises(ValueError, match="no answer"):
        text_of(reply)


SONGS = [Example("snips", f"g{n}", (Turn(f"play song {n}", "{}"),)) for n in range(30)]


def counting(asked: list[str]) -> Teacher:
    """Return a teacher that writes down what it is asked, and knows no answer to 'song 3'."""

    def answer(messages: tuple[Message, ...]) -> str | None:
        asked.append(messages[-1].content)
        return None if messages[-1].content == "play song 3" else messages[-1].content.upper()

    return Teacher("counting", answer)


def test_no_question_is_asked_twice(tmp_path: Path) -> None:
    """Neither in one run nor after it, and an answer that there is none counts as one."""
    asked: list[str] = []
    told: list[tuple[int, int]] = []
    answers = Answers(tmp_path, "counting")
    answers.gather([*SONGS, *SONGS], counting(asked), lambda *counts: told.append(counts))
    assert len(asked) == 30 and told[0] == (0, 30) and told[-1] == (30, 30)
    again = Answers(tmp_path, "counting")
    again.gather(SONGS, counting(asked), nothing)
    assert len(asked) == 30
    retold = again.of(SONGS[5])
    assert retold is not None and retold.turns == (Turn("play song 5", "PLAY SONG 5"),)
    assert again.of(SONGS[3]) is None
    assert again.of(Example("snips", "", (Turn("never asked", ""),))) is None


def test_another_teacher_is_asked_anew(tmp_path: Path) -> None:
    """Answers are kept by who gave them."""
    Answers(tmp_path, "counting").gather(SONGS, counting([]), nothing)
    assert not Answers(tmp_path, "another").known


def test_a_teacher_that_breaks_off_loses_no_answer(tmp_path: Path) -> None:
    """The answers before the failure are kept; the next time only the others are asked for."""
    asked: list[str] = []
    whole = counting(asked)

    def failing(messages: tuple[Message, ...]) -> str | None:
        if len(asked) == 12:
            raise NetworkNeededError("gone")
        return whole.answer(messages)

    with pytest.raises(NetworkNeededError):
        Answers(tmp_path, "counting").gather(SONGS, Teacher("counting", failing), nothing)
    kept = len(Answers(tmp_path, "counting").known)
    assert 0 < kept <= 12
    Answers(tmp_path, "counting").gather(SONGS, whole, nothing)
    assert len(asked) == 12 + 30 - kept


def test_half_a_line_is_dropped_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    """A kill leaves half a line at the end; anything else is damage."""
    answers = Answers(tmp_path, "counting")
    answers.gather(SONGS, counting([]), nothing)
    whole = answers.path.read_bytes()
    answers.path.write_bytes(whole + b'{"question": "ab')
    assert Answers(tmp_path, "counting").known == answers.known
    assert answers.path.read_bytes() == whole
    answers.path.write_bytes(b"{}\n" + whole)
    with pytest.raises(VerificationError, match="Line 1"):
        Answers(tmp_path, "counting")


def test_several_questions_are_asked_at_a_time(tmp_path: Path) -> None:
    """As many as allowed, and no more."""
    barrier = threading.Barrier(4, timeout=20)

    def answer(messages: tuple[Message, ...]) -> str | None:
        barrier.wait()  # passes only when four are under way
        return "yes"

    Answers(tmp_path, "four").gather(SONGS[:28], Teacher("four", answer, 4), nothing)
    assert len(Answers(tmp_path, "four").known) == 28


def test_earlier_turns_stay_the_datas(tmp_path: Path) -> None:
    """Only the last answer is the teacher's; what was said before is part of the question."""
    example = Example("snips", "g", (Turn("first", "one"), Turn("second", "two")), "system")
    assert [m.role for m in question(example)] == ["system", "user", "assistant", "user"]
    answers = Answers(tmp_path, "any")
    answers.known[fingerprint(question(example))] = "three"
    retold = answers.of(example)
    assert retold is not None and retold.turns == (Turn("first", "one"), Turn("second", "three"))


def test_the_teachers_answers_are_what_is_learnt(
    base: Base, server: TeacherServer, tmp_path: Path
) -> None:
    """From rows to sequences: held-out rows are never asked, and the data's answers are gone."""
    folder = write_songs(tmp_path / "data")
    data = TaskData(folder)
    recipe = read_recipe(tiny_recipe(tmp_path / "songs"))
    server.faults += ["length", "status 429"]
    with closing(endpoint(server, parallel=3)) as client:
        teacher = Teacher("big", client.answer, 3)
        loaded = load_answered(recipe, base, data, tmp_path / "run", nothing, teacher)
    assert 1 < server.most <= 3
    part = loaded.training["snips"]
    texts = [base.tokenizer.decode(part.get(index)[0].tolist()) for index in range(len(part))]
    assert texts and all("teacher says" in text and "PlayMusic" not in text for text in texts)
    wanted = {question(example) for example in questions(recipe, data)}
    assert loaded.rows["snips"] == len(wanted) - 1  # one was cut short
    held = {row["text"] for row in read(folder / "experts/json/snips_valid.jsonl.zst")}
    assert not any(
        text in body["messages"][-1]["content"] for body in server.asked for text in held
    )
    before = len(server.asked)
    again = load_answered(recipe, base, data, tmp_path / "run", nothing, teacher)
    assert len(server.asked) == before and again.digest == loaded.digest


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a compressed file."""
    import zstandard

    text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
    return [json.loads(line) for line in text.splitlines()]
