"""Endpoints that misbehave, runs that are killed, and disks that are full."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dataset.conftest import MakePlan
from dataset.test_generate import make, order, rows_of
from expert.dataset.generate.answers import objects
from expert.dataset.generate.client import retry_after
from expert.dataset.generate.journal import journal_of
from expert.dataset.generate.plan import read_plan
from expert.dataset.generate.providers import DIALECTS, Malformed, Reply, take_line
from expert.errors import NetworkNeededError, UsageError, VerificationError
from support.endpoint import KEY, Endpoint
from support.no_network import deny_internet, supported
from support.program import PROGRAM, expert, in_terminal

FAULTS = (
    "status 500", "status 503", "status 529", "wait 0.05", "date 1", "cut", "malformed",
    "prose", "empty", "fewer", "more", "twice", "fenced", "wrapped", "no usage",
    "negative usage", "plain", "error", "drop", "slow 0.01",
)  # fmt: skip


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_survived(
    fault: str, provider: str, endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """The rows come all the same, as many as wanted, each once and whole."""
    endpoint.faults = ["", fault, fault]
    made = make(read_plan(make_plan(provider=provider)), order(tmp_path / "rows.jsonl", 60))
    rows = rows_of(tmp_path / "rows.jsonl")
    assert len({row.prompt for row in rows}) == len(rows) == made.rows == 60
    assert all(row.answer.startswith("grep -c") for row in rows)
    if fault.startswith(("status", "wait", "date")):
        assert made.retries == 2
        assert made.used.total == made.requests * 600
    if fault in ("cut", "malformed", "error"):
        assert made.cut >= 1 or fault == "error"
    if fault in ("no usage", "negative usage", "cut"):
        assert made.used.received > made.requests * 400  # counted as the most it can have been


def test_all_faults_together(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """Every second reply is wrong in another way."""
    usual = [fault for fault in FAULTS if not fault.startswith("date")]
    endpoint.rule = lambda number: usual[number // 2 % len(usual)] if number % 2 else ""
    made = make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 300, parallel=8))
    assert made.rows == len(rows_of(tmp_path / "rows.jsonl")) == 300
    assert made.retries > 0
    assert made.cut > 0


def test_retry_after_is_honoured(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """No request at all is sent before the time the server names."""
    endpoint.faults = ["", "wait 1.5"]
    make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 200))
    later = [seen.at for seen in endpoint.seen[2:]]
    refused = endpoint.seen[1].at
    under_way = sum(at < refused + 1.4 for at in later)
    assert under_way <= 6 < len(later)  # begun beside it, or before its answer had come
    assert max(later) >= refused + 1.5


def test_forms_of_retry_after() -> None:
    """Seconds, milliseconds, a date, and what is none of them."""
    import httpx2

    assert retry_after(httpx2.Headers({"Retry-After": "3"})) == 3
    assert retry_after(httpx2.Headers({"Retry-After-Ms": "250"})) == 0.25
    assert retry_after(httpx2.Headers({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    for text in ("soon", "-5", ""):
        assert retry_after(httpx2.Headers({"Retry-After": text})) in (None, 0)


def test_a_server_that_keeps_refusing(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """After some tries, a clear error; so for one that asks to wait for hours, at once."""
    endpoint.rule = lambda _: "status 503"
    with pytest.raises(NetworkNeededError, match="gives no reply") as told:
        make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    assert "not now" in told.value.why
    assert len(endpoint.seen) == 6
    endpoint.rule = lambda _: "wait 99999"
    with pytest.raises(NetworkNeededError) as told:
        make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    assert "99999 seconds" in told.value.why


def test_nobody_there(make_plan: MakePlan, tmp_path: Path) -> None:
    """A port that nothing listens on is code 8."""
    path = make_plan()
    text = path.read_text()
    port = text.split("127.0.0.1:")[1].split("/")[0]
    path.write_text(text.replace(port, "9"))
    with pytest.raises(NetworkNeededError):
        make(read_plan(path), order(tmp_path / "rows.jsonl", 10))


def test_a_reply_without_end(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left when it is larger than any reply, and counted as cut."""
    from expert.dataset.generate import client

    monkeypatch.setattr(client, "LARGEST", 1 << 20)
    endpoint.faults = ["endless"]
    made = make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    assert (made.rows, made.cut) == (10, 1)


def test_a_reply_that_takes_too_long(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """The plan says how long a reply may take, however steadily it drips."""
    endpoint.faults = ["slow 0.4"]
    plan = read_plan(make_plan(model="seconds = 1.0"))
    made = make(plan, order(tmp_path / "rows.jsonl", 10))
    assert made.rows == 10
    assert made.cut == 1


@pytest.mark.parametrize(("status", "word"), [(401, "key"), (402, "empty"), (404, "model")])
def test_refusals_that_will_not_pass(
    status: int, word: str, endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """One request, one error that says what to do; nothing counts as spent."""
    endpoint.rule = lambda _: f"status {status}"
    with pytest.raises(UsageError) as told:
        make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 100))
    assert word in str(told.value)
    assert len(endpoint.seen) == 1
    endpoint.rule = lambda _: ""
    made = make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    assert made.used.total == made.requests * 600


def test_the_key_is_never_told(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the server says it, with escapes for the terminal around it, or in the log."""
    endpoint.rule = lambda _: "echo"
    arguments = ("dataset", "generate", make_plan(), "-o", tmp_path / "r.jsonl", "-y")
    limited = (*arguments, "--budget", "1")
    for extra in ((), ("--json",), ("--debug",)):
        done = expert(*limited, *extra)
        assert done.code in (1, 2)
        assert KEY not in done.message + done.text
        assert "\x1b" not in done.message
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0987654321")
    endpoint.rule = lambda _: ""
    done = expert(*limited)
    assert done.code == 2
    assert "sk-wrong" not in done.message
    assert "OPENAI_API_KEY" in done.message


# Kills --------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """Rows are kept, those under way count as spent, and nothing is asked twice."""
    endpoint.delay = 0.05
    plan, target = make_plan(), tmp_path / "rows.jsonl"
    arguments = ("dataset", "generate", plan, "-o", target, "--count", "300", "--budget", "9", "-y")
    command = [*PROGRAM, *map(str, arguments), "--parallel", "2", "--json"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while len(endpoint.seen) < 9:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    with journal_of(target).open("ab") as file:
        file.write(b'{"done": 99, "us')  # as a kill in the middle of a write leaves it
    endpoint.delay = 0
    before = len(endpoint.seen)
    done = expert(*arguments, "--json")
    assert done.code == 0, done.message
    record = json.loads(done.text)
    assert record["rows"] == len({row.prompt for row in rows_of(target)}) == 300
    assert len(endpoint.seen) - before < 26
    texts = [seen.body["messages"][-1]["content"] for seen in endpoint.seen]
    assert len(set(texts)) == len(texts)
    assert record["used"]["received"] >= 400 * (len(endpoint.seen) - 2)
    assert "are there from an earlier run" in done.message
    assert list(tmp_path.glob("*.partial*")) == []


def test_ctrl_c_keeps_what_was_made(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """Code 130 and no traceback; --finish writes the rows without asking anybody."""
    from support.program import start

    endpoint.delay = 0.05
    target = tmp_path / "rows.jsonl"
    arguments = ("dataset", "generate", make_plan(), "-o", target, "--budget", "9", "-y")
    with start(*arguments, "--parallel", "2") as process:
        while len(endpoint.seen) < 9:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    before = len(endpoint.seen)
    done = expert(*arguments, "--finish", "--json", OPENAI_API_KEY="")
    assert done.code == 0
    assert json.loads(done.text)["rows"] == len(rows_of(target)) >= 40
    assert len(endpoint.seen) == before


def test_another_plan_does_not_go_on(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """What is under way belongs to its plan; how much is wanted may change."""
    target = tmp_path / "rows.jsonl"
    first = read_plan(make_plan())
    journal_of(target).write_text(json.dumps({"plan": first.identity}) + "\n")
    other = read_plan(make_plan('topics = ["x"]'))
    with pytest.raises(UsageError, match="another plan"):
        make(other, order(target, 10))
    assert endpoint.seen == []
    assert make(first, order(target, 10)).rows == 10


def test_a_damaged_journal(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """Its line is named, and nothing is asked."""
    target = tmp_path / "rows.jsonl"
    plan = read_plan(make_plan())
    for line in ("{", "[]", '{"done": 1}', '{"done": 1, "rows": [{}], "used": [1, 1]}', "null"):
        journal_of(target).write_text(json.dumps({"plan": plan.identity}) + f"\n{line}\n")
        with pytest.raises(VerificationError, match="Line 2"):
            make(plan, order(target, 10))
    assert endpoint.seen == []


def test_two_processes_at_once(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """The second is refused, and the first is not disturbed."""
    from expert.dataset.generate.run import opened

    plan, wanted = read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10)
    with opened(plan, wanted):
        done = expert(
            "dataset", "generate", make_plan(), "-o", wanted.target, "--tokens", "9", "-y"
        )
    assert done.code == 2
    assert "another process" in done.message


def test_a_full_disk(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """No file may grow beyond a few kilobytes: code 9, no output, and it goes on later."""
    target = tmp_path / "rows.jsonl"
    arguments: list[str | Path] = ["dataset", "generate", make_plan(), "-o", target, "-y"]
    arguments += ["--count", "100", "--budget", "9", "--parallel", "1"]
    command = " ".join(map(str, [*PROGRAM, *arguments]))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 4; {command}"], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 9, done.stderr
    assert "free some disk space" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not target.exists()
    assert journal_of(target).stat().st_size <= 4096
    again = expert(*arguments)
    assert again.code == 0, again.message
    assert len(rows_of(target)) == 100


# The command --------------------------------------------------------------------------------------


def test_the_cost_is_shown_and_confirmed_first(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """On a terminal it asks; anything but yes asks nobody; without a terminal -y is needed."""
    arguments: list[str | Path] = ["dataset", "generate", make_plan(), "--budget", "5"]
    arguments += ["-o", tmp_path / "r.jsonl"]
    no = in_terminal([*arguments, "--count", "20"], typed=[(b"Begin?", b"n\n")])
    assert no.code == 1
    assert b"about 2 requests" in no.out
    assert b"at most" in no.out
    assert endpoint.seen == []
    yes = in_terminal([*arguments, "--count", "20"], typed=[(b"Begin?", b"y\n")])
    assert yes.code == 0
    assert len(rows_of(tmp_path / "r.jsonl")) == 20
    command = ["setsid", *PROGRAM, *map(str, arguments), "--force"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Add -y" in done.stderr


def test_a_dry_run_asks_nobody(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """It needs no key, writes nothing, and tells the cost."""
    target = tmp_path / "r.jsonl"
    arguments = ("dataset", "generate", make_plan(), "-o", target, "--dry-run", "--json")
    done = expert(*arguments, OPENAI_API_KEY="")
    assert done.code == 0
    found = json.loads(done.text)
    assert found["requests"] == 100
    assert 0 < found["cost"] < found["most"]
    assert endpoint.seen == []
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


def test_a_limit_is_needed_where_it_costs(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """A price without a budget is refused; an existing output too, before anything is asked."""
    done = expert("dataset", "generate", make_plan(), "-o", tmp_path / "r.jsonl", "-y")
    assert done.code == 2
    assert "--budget" in done.message
    (tmp_path / "there.jsonl").write_text("")
    limited = ("dataset", "generate", make_plan(), "--tokens", "9999", "-y", "-o")
    for name, word in (("there.jsonl", "exists"), ("x.csv", ".jsonl"), ("no/x.jsonl", "folder")):
        done = expert(*limited, tmp_path / name)
        assert done.code == 2
        assert word in done.message
    assert endpoint.seen == []


# Parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"prompt": "a", "answer": "b"}', 1),
        ('1. {"prompt": "a"}\n2. {"prompt": "b"}', 2),
        ('[{"prompt": "a"}, {"prompt": "b"}]', 2),
        ('{"rows": [{"prompt": "a"}, {"prompt": "b"}, 3]}', 2),
        ('{"rows": [{"prompt": "a"}, {"prompt": "b"}, {"pro', 2),
        ('{"prompt": "two\nlines"}', 1),
        ('{"prompt": "a", "answer": "b', 0),
        ("{" * 50_000, 0),
        ('{"a":' * 50_000, 0),
        ("", 0),
    ],
)
def test_objects_in_a_text(text: str, count: int) -> None:
    """Whatever is around them; what was cut in the middle is none."""
    start = time.monotonic()
    assert len(list(objects(text))) == count
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("provider", DIALECTS)
@pytest.mark.parametrize(
    "line",
    [
        "data: {", "data: []", "data: null", "data: 3", 'data: {"choices": 3}',
        'data: {"choices": [3]}', 'data: {"usage": {"prompt_tokens": -1}}',
        'data: {"usage": 1, "type": "message_delta"}', 'data: {"type": "message_start"}',
        "data: " + "[" * 100_000,
    ],
)  # fmt: skip
def test_events_that_make_no_sense(provider: str, line: str) -> None:
    """They end in one kind of error or change nothing."""
    reply = Reply()
    try:
        take_line(DIALECTS[provider], line, reply)
    except Malformed:
        return
    assert (reply.text, reply.usage) == ("", None)


@pytest.mark.skipif(not supported(), reason="needs seccomp on Linux")
def test_no_network_without_being_asked(make_plan: MakePlan, tmp_path: Path) -> None:
    """A filter that kills whoever opens an internet socket lets a dry run pass."""
    arguments = ("dataset", "generate", make_plan(), "-o", tmp_path / "r.jsonl", "--dry-run")
    done = subprocess.run([*PROGRAM, *map(str, arguments)], preexec_fn=deny_internet)
    assert done.returncode == 0
