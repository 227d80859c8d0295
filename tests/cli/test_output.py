"""How events become output: bytes into a pipe, inert characters on a screen, records as JSON."""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from expert.cli import messages, output
from expert.cli.output import (
    OutputOptions,
    answer_record,
    event_record,
    plan_lines,
    plan_record,
    show,
    usage_line,
)
from expert.errors import ContractError
from expert.types import (
    Answer,
    Delta,
    Done,
    Event,
    ExpertChoice,
    ExpertProfile,
    ExpertUse,
    Finish,
    Notice,
    Plan,
    Planned,
    Route,
    Sampling,
    Timings,
    TokenLogprob,
)

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"
STRAY = b"caf\xe9".decode("utf-8", "surrogateescape")


class Terminal(io.TextIOWrapper):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Return what goes into standard output, which is a pipe."""
    raw = io.BytesIO()
    _put(monkeypatch, stdout=io.TextIOWrapper(raw, encoding="utf-8"))
    return raw


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Return what goes into standard output, which is a terminal."""
    raw = io.BytesIO()
    _put(monkeypatch, stdout=Terminal(raw, encoding="utf-8"))
    return raw


@pytest.fixture(autouse=True)
def err(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what goes into standard error, without styles."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    monkeypatch.setattr(messages, "sys", SimpleNamespace(stderr=stream))
    return stream


def _put(monkeypatch: pytest.MonkeyPatch, stdout: io.TextIOWrapper) -> None:
    """Let the module write there; the test runner puts its own streams into `sys`."""
    monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=stdout))


def answer(text: str, finish: Finish = "stop", **more: object) -> Answer:
    """Return an answer."""
    timings = Timings(0.5, 0.25, 2.0, 12, 4, 21)
    filled = {"experts": (ExpertUse("acme/sql", "ab", 0.5, "1.0.0"),), **more}
    return Answer(text, "hm", finish, Sampling(seed=7), Path("/m/tiny.gguf"), timings, **filled)  # type: ignore[arg-type]  # checked by use


def plan(*experts: ExpertChoice) -> Plan:
    """Return a plan with what was weighed."""
    route = Route((("acme/sql", 0.75), ("none", 0.25)), ("it names a table",))
    return Plan(Sampling(seed=7), 100, experts, "it fits", route)


def events(*texts: str, finish: Finish = "stop", experts: bool = False) -> Iterator[Event]:
    """Yield the events of an answer in these parts."""
    chosen = (ExpertChoice(Path("sql.gguf"), 0.5),) if experts else ()
    yield Planned(plan(*chosen))
    yield from map(Delta, texts)
    yield Done(answer("".join(texts), finish), 3, 9)


@pytest.mark.parametrize(
    ("finish", "code"), [("stop", 0), ("length", 0), ("cancelled", 130), ("timeout", 124)]
)
def test_the_exit_code_says_how_it_ended(out: io.BytesIO, finish: Finish, code: int) -> None:
    """What came until then is written in every case, and ends with a newline."""
    assert show(events("Yes", ".", finish=finish), OutputOptions()) == code
    assert out.getvalue() == b"Yes.\n"


def test_an_answer_that_never_ends_is_an_error(out: io.BytesIO) -> None:
    """Events that stop before the last one are no success."""
    assert show(iter([Delta("half")]), OutputOptions()) == 1


@pytest.mark.parametrize("text", ["", "\n", "a\n", "a", "\r\n", STRAY, EVIL, "\0", "é\u2028"])
def test_a_pipe_gets_exactly_the_bytes(out: io.BytesIO, text: str) -> None:
    """Only a missing newline is added, and to an empty answer nothing at all."""
    show(events(*text), OutputOptions())
    wanted = text.encode("utf-8", "surrogateescape")
    assert out.getvalue() == wanted + (b"" if text == "" or text.endswith("\n") else b"\n")


def test_parts_make_no_difference(out: io.BytesIO) -> None:
    """Random texts in random parts come out as the bytes they are."""
    source = random.Random(5)
    for _ in range(100):
        text = "".join(source.choices("ab \n`é日\udce9\x1b", k=source.randrange(1, 40)))
        cuts = sorted(source.randrange(len(text) + 1) for _ in range(3))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        start = len(out.getvalue())
        show(events(*parts), OutputOptions())
        wanted = text if text.endswith("\n") else f"{text}\n"
        assert out.getvalue()[start:] == wanted.encode("utf-8", "surrogateescape")


def test_a_screen_gets_nothing_it_could_obey(screen: io.BytesIO) -> None:
    """The same answer is inert there, and lines remain lines."""
    show(events("one\n", EVIL, "\ttwo"), OutputOptions())
    shown = screen.getvalue().decode()
    assert shown == "one\n␛]0;owned␇␛[2J\\u202e\ttwo\n"


def test_an_answer_with_a_form_is_held_back(out: io.BytesIO, err: io.StringIO) -> None:
    """Into a pipe it comes whole or not at all; what there was goes beside it."""
    show(events("SEL", "ECT"), OutputOptions(whole=True))
    assert out.getvalue() == b"SELECT\n"

    def broken() -> Iterator[Event]:
        yield Delta("SEL")
        problem = ContractError("It does not match.")
        problem.partial = "SEL"
        raise problem

    for quiet in (False, True):
        with pytest.raises(ContractError):
            show(broken(), OutputOptions(whole=True, quiet=quiet))
    assert out.getvalue() == b"SELECT\n"
    assert err.getvalue() == "SEL\n"


@pytest.mark.parametrize("finish", ["cancelled", "timeout"])
def test_a_form_that_was_not_finished_is_not_written(out: io.BytesIO, finish: Finish) -> None:
    """A statement cut short must not be taken for one."""
    show(events("DELETE FROM t", finish=finish), OutputOptions(whole=True))
    assert out.getvalue().strip() == b""


def test_a_screen_sees_an_answer_with_a_form_as_it_comes(screen: io.BytesIO) -> None:
    """People may watch; a screen is no script."""
    seen = []

    def watched() -> Iterator[Event]:
        for part in ("SEL", "ECT"):
            yield Delta(part)
            seen.append(screen.getvalue())
        yield Done(answer("SELECT"))

    show(watched(), OutputOptions(whole=True))
    assert seen == [b"SEL", b"SELECT"]
    assert screen.getvalue() == b"SELECT\n"


def test_an_expert_with_a_grammar_holds_its_answer_back(out: io.BytesIO) -> None:
    """Who answers decides: a grammar in its package is a form as well."""
    profile = ExpertProfile("acme/x", "1.0.0", "id", None, "gbnf", Path("/x.gbnf"))
    seen = []

    def watched() -> Iterator[Event]:
        yield Planned(plan(ExpertChoice(Path("sql.gguf"), 1.0, profile)))
        yield Delta("SEL")
        seen.append(out.getvalue())
        yield Done(answer("SEL"))

    show(watched(), OutputOptions())
    assert seen == [b""]
    assert out.getvalue() == b"SEL\n"


def test_code_alone(out: io.BytesIO) -> None:
    """`--extract` writes the first block and nothing else; without one it is code 6."""
    show(events("Here:\n```sh\nls\n", "```\nDone."), OutputOptions("code"))
    assert out.getvalue() == b"ls\n"
    with pytest.raises(ContractError, match="no code block") as caught:
        show(events(f"no {EVIL} code"), OutputOptions("code"))
    assert "\x1b" not in str(caught.value)
    assert out.getvalue() == b"ls\n"


def test_reasoning_stays_beside(out: io.BytesIO, err: io.StringIO) -> None:
    """It goes to stderr, unless only the answer is wanted, and never into JSON's way."""

    def thinking() -> Iterator[Event]:
        yield Delta("first ", reasoning=True)
        yield Delta("Yes.")
        yield Done(answer("Yes."))

    show(thinking(), OutputOptions())
    assert (out.getvalue(), err.getvalue()) == (b"Yes.\n", "first ")
    show(thinking(), OutputOptions(quiet=True))
    show(thinking(), OutputOptions("json"))
    assert err.getvalue() == "first "


def test_notices(out: io.BytesIO, err: io.StringIO) -> None:
    """In a pipe only warnings are said; with --quiet nothing is."""
    said: list[Event] = [Notice("a hint"), Notice("a danger", "warning"), Done(answer("x"))]
    show(iter(said), OutputOptions())
    assert err.getvalue() == "expert: a danger\n"
    show(iter(said), OutputOptions(quiet=True))
    assert err.getvalue() == "expert: a danger\n"


@pytest.mark.parametrize(
    ("finish", "whole", "said"),
    [
        ("length", False, "expert: the answer was cut at its longest (--max-tokens)\n"),
        ("length", True, ""),
        ("timeout", False, "expert: the time limit ran out; the answer is not complete\n"),
        ("stop", False, ""),
        ("cancelled", False, ""),
    ],
)
def test_what_is_not_complete_is_said(
    out: io.BytesIO, err: io.StringIO, finish: Finish, whole: bool, said: str
) -> None:
    """Once, on stderr, and not with --quiet or JSON, which says it in its own field."""
    show(events("x", finish=finish), OutputOptions(whole=whole))
    assert err.getvalue() == said
    show(events("x", finish=finish), OutputOptions(quiet=True))
    show(events("x", finish=finish), OutputOptions("json"))
    assert err.getvalue() == said


def test_usage(out: io.BytesIO, err: io.StringIO) -> None:
    """One line of what it took, also with --quiet, for it was asked for."""
    show(events("x"), OutputOptions(quiet=True, usage=True))
    assert err.getvalue() == (
        "expert: 12 tokens in (4 cached), 21 out; load 0.50 s, prefill 0.25 s, "
        "10.0 tokens/s; seed 7\n"
    )
    assert "0.0 tokens/s" in usage_line(Answer("", "", "stop", Sampling(), Path("m"), Timings()))


def test_why(out: io.BytesIO, err: io.StringIO) -> None:
    """Who answers, why, and who else was considered; five of them at most."""
    show(events("x", experts=True), OutputOptions(why=True))
    assert err.getvalue().splitlines() == [
        "expert: sql (0.5): it fits",
        "expert: because it names a table",
        "expert: considered acme/sql 0.75, none 0.25",
    ]
    many = Route(tuple((f"e{n}", 0.1) for n in range(9)))
    lines = plan_lines(Plan(Sampling(), 1, (), "nobody fits", many))
    assert lines == [
        "no expert: nobody fits",
        "considered e0 0.10, e1 0.10, e2 0.10, e3 0.10, e4 0.10",
    ]


def test_json_is_one_line_that_says_everything(out: io.BytesIO) -> None:
    """A script finds the answer, who gave it, what repeats it, and where it was kept."""
    assert show(events("A", "\n", EVIL, STRAY), OutputOptions("json")) == 0
    (line,) = out.getvalue().splitlines()
    record = json.loads(line)
    assert record["text"] == f"A\n{EVIL}caf\ufffd"
    assert (record["conversation"], record["turn"]) == (3, 9)
    assert record["experts"] == [
        {"name": "acme/sql", "version": "1.0.0", "sha256": "ab", "scale": 0.5}
    ]
    assert record["model"] == {"name": "tiny", "path": "/m/tiny.gguf"}
    assert record["usage"] == {"prompt_tokens": 12, "cached_tokens": 4, "answer_tokens": 21}
    assert record["timings"]["prefill_tokens_per_s"] == 32.0
    assert (record["seed"], record["params"]["seed"], record["finish"]) == (7, 7, "stop")
    assert "logprobs" not in record


def test_logprobs_as_json() -> None:
    """Each token with its alternatives; bytes that are no character are shown as that."""
    other = TokenLogprob(5, b"b", -2.0)
    record = answer_record(answer("a", logprobs=(TokenLogprob(4, b"\xc3", -0.5, (other,)),)))
    assert record["logprobs"] == [
        {
            "token": 4,
            "text": "\ufffd",
            "logprob": -0.5,
            "alternatives": [{"token": 5, "text": "b", "logprob": -2.0, "alternatives": []}],
        }
    ]
    json.dumps(record)


def test_a_stream_of_json(out: io.BytesIO, err: io.StringIO) -> None:
    """Each event is a line of its own that says what it is; the deltas make the text."""
    said = [Notice("careful", "warning"), *events("Yes", STRAY, experts=True)]
    show(iter(said), OutputOptions("stream"))
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["event"] for row in rows] == ["notice", "plan", "delta", "delta", "done"]
    assert rows[0] == {"event": "notice", "level": "warning", "text": "careful"}
    assert rows[1]["experts"] == [{"name": "sql", "scale": 0.5}]
    assert rows[1]["candidates"] == [["acme/sql", 0.75], ["none", 0.25]]
    assert "".join(row["text"] for row in rows[2:4]) == rows[4]["text"] == "Yescaf\ufffd"
    assert err.getvalue() == "expert: careful\n"


def test_every_event_can_be_written_as_json() -> None:
    """Names from packages and paths from disks may hold anything."""
    choice = ExpertChoice(Path(f"{STRAY}{EVIL}.gguf"))
    for event in (Planned(plan(choice)), Notice(STRAY), Delta(STRAY, True), Done(answer(STRAY))):
        text = json.dumps(event_record(event), ensure_ascii=False)
        assert "\n" not in text
        text.encode("utf-8")
    assert plan_record(plan(choice))["max_tokens"] == 100
