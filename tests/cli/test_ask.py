"""`expert ask`: the real program in pipes and in a terminal, exact bytes and exit codes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.cli.interrupts import ending
from expert.collecting import Asked
from expert.engine import library
from expert.screen import screen_text
from support.program import PROGRAM, expert, in_terminal, start

GREEDY = ("--temperature", "0", "--max-tokens", "12")


def test_the_answer_alone_is_on_stdout(tiny_path: Path) -> None:
    """Same question, same bytes; a newline ends them; nothing else is written."""
    first = expert("ask", "-m", tiny_path, "-q", *GREEDY, "Hello")
    again = expert("ask", "-m", tiny_path, "-q", *GREEDY, "Hello")
    assert first.code == 0
    assert first.out == again.out
    assert first.out.endswith(b"\n")
    assert first.err == b""


def test_piped_text_comes_before_the_question(tiny_path: Path) -> None:
    """stdin alone, and stdin with a question, equal the same text as one argument."""
    as_argument = expert("ask", "-m", tiny_path, *GREEDY, "Hello there").out
    assert expert("ask", "-m", tiny_path, *GREEDY, stdin=b"Hello there\n").out == as_argument
    assert expert("ask", "-m", tiny_path, *GREEDY, "-", stdin=b"Hello there").out == as_argument
    both = expert("ask", "-m", tiny_path, *GREEDY, "there", stdin=b"Hello\n").out
    assert both == expert("ask", "-m", tiny_path, *GREEDY, "Hello\n\nthere").out


def test_no_stdin_leaves_it_alone(tiny_path: Path) -> None:
    """With --no-stdin what is piped does not count."""
    plain = expert("ask", "-m", tiny_path, *GREEDY, "Hello", stdin=None).out
    assert expert("ask", "-m", tiny_path, *GREEDY, "--no-stdin", "Hello", stdin=b"x").out == plain


def test_json_carries_what_is_needed_to_repeat_the_answer(tiny_path: Path) -> None:
    """The seed it reports gives the same text again."""
    options = ("ask", "-m", tiny_path, "--json", "--temperature", "1", "--max-tokens", "12")
    first = json.loads(expert(*options, "Hello").out)
    again = json.loads(expert(*options, "--seed", str(first["params"]["seed"]), "Hello").out)
    assert again["text"] == first["text"]
    assert first["finish"] in ("stop", "length")
    assert first["usage"]["answer_tokens"] <= 12
    assert first["model"]["path"] == str(tiny_path)


def test_json_log_probabilities(tiny_path: Path) -> None:
    """Each token has its own log-probability and as many alternatives as asked for."""
    options = ("ask", "-m", tiny_path, "--json", *GREEDY, "--logprobs", "3")
    record = json.loads(expert(*options, "Hello").out)
    tokens = record["logprobs"]
    assert len(tokens) == record["usage"]["answer_tokens"]
    for token in tokens:
        assert len(token["alternatives"]) == 3
        assert token["logprob"] == token["alternatives"][0]["logprob"]  # greedy takes the best


def test_a_system_prompt_and_sampling_change_the_answer(tiny_path: Path) -> None:
    """Options reach the model."""
    base = expert("ask", "-m", tiny_path, *GREEDY, "Hello").out
    assert expert("ask", "-m", tiny_path, *GREEDY, "-s", "Be odd.", "Hello").out != base
    hot = expert("ask", "-m", tiny_path, "--temperature", "5", "--seed", "1",
                 "--max-tokens", "12", "Hello").out  # fmt: skip
    assert hot != base


def test_cut_answers_say_so_on_stderr(tiny_path: Path) -> None:
    """An answer that reaches --max-tokens is not passed off as complete."""
    assert "cut" in expert("ask", "-m", tiny_path, *GREEDY, "Hello").message


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        (["ask"], b"", 2, "prompt is empty"),
        (["ask", "  \n "], b"", 2, "prompt is empty"),
        (["ask", "-"], b"\n", 2, "prompt is empty"),
        (["ask"], b"ab\xff\xfe", 2, "Byte 2 (0xff)"),
        (["ask", "ab\udcff"], b"", 2, "not valid UTF-8"),
        (["ask", "-s", "\udcff", "x"], b"", 2, "not valid UTF-8"),
        (["ask", "--temperature", "-1", "x"], b"", 2, "out of range"),
        (["ask", "--max-tokens", "0", "x"], b"", 2, "at least 1"),
        (["ask", "--frobnicate", "x"], b"", 2, "--frobnicate"),
        (["ask", "-m", "no-such-model", "x"], b"", 3, "no model 'no-such-model'"),
        (["aks", "x"], b"", 2, "Did you mean `expert ask`?"),
        ([], b"", 2, "usage: expert COMMAND"),
    ],
)
def test_mistakes_have_their_code_and_words(
    arguments: list[str], stdin: bytes, code: int, words: str, tiny_path: Path
) -> None:
    """Nothing is on stdout, the message is on stderr, and there is no traceback."""
    if arguments[:1] == ["ask"] and "-m" not in arguments:
        arguments = ["ask", "-m", str(tiny_path), *arguments[1:]]
    done = expert(*arguments, stdin=stdin)
    assert (done.code, done.out) == (code, b"")
    assert words in done.message
    assert "Traceback" not in done.message


def test_errors_as_json(tmp_path: Path) -> None:
    """With --json the error on stderr is an object with code, what, why and fix."""
    path = tmp_path / "damaged.gguf"
    path.write_bytes(b"GGUF" + bytes(50))
    done = expert("ask", "-m", path, "--json", "x")
    error = json.loads(done.err)
    assert done.code == error["code"] == 5
    assert set(error) == {"code", "what", "why", "fix"}


def test_input_longer_than_the_context(tiny_path: Path) -> None:
    """Exit 7 names tokens and limit before anything is generated; --truncate cannot split it."""
    long = b"word " * 3000
    done = expert("ask", "-m", tiny_path, stdin=long)
    assert done.code == 7
    assert "512" in done.message
    done = expert("ask", "-m", tiny_path, "--max-tokens", "600", "x")
    assert done.code == 7


def test_debug_shows_the_traceback(tiny_path: Path) -> None:
    """Only --debug does."""
    assert "Traceback" in expert("ask", "--debug", "-m", tiny_path, "").message


def test_a_reader_that_goes_away_ends_it_in_silence(slow_model: Path) -> None:
    """`expert ask … | head -1`: code 141, nothing on stderr."""
    hot = ("-q", "--temperature", "1", "--seed", "5")
    with start("ask", "-m", slow_model, *hot, "Hello") as process:
        assert process.stdout and process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_ctrl_c_keeps_what_was_written(slow_model: Path) -> None:
    """SIGINT ends the answer within a moment, code 130, and no traceback."""
    hot = ("-q", "--temperature", "1", "--seed", "5")
    with start("ask", "-m", slow_model, *hot, "Hello") as process:
        assert process.stdout and process.stderr
        first = process.stdout.read(1)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=30)
    assert time.monotonic() - asked < 5
    assert process.returncode == 130
    assert first + rest
    assert b"Traceback" not in err


def test_ctrl_c_while_reading_stdin(tiny_path: Path) -> None:
    """SIGINT before there is any input ends it with 130."""
    with start("ask", "-m", tiny_path, stdin=subprocess.PIPE) as process:
        time.sleep(3.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


def test_a_pipe_that_never_closes_gets_a_hint(tiny_path: Path) -> None:
    """After two seconds one line on stderr says what is being waited for."""
    with start("ask", "-m", tiny_path, *GREEDY, "Hello", stdin=subprocess.PIPE) as process:
        assert process.stderr
        assert b"--no-stdin" in process.stderr.readline()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out


def test_the_time_limit_keeps_what_came(slow_model: Path) -> None:
    """--timeout ends the answer with code 124 and says so."""
    done = expert("ask", "-m", slow_model, "--timeout", "0.5", "--temperature", "0", "Hello")
    assert done.code == 124
    assert "time limit" in done.message


def test_a_terminal_gets_harmless_characters(tiny_path: Path) -> None:
    """Control characters that the model makes up are visible, not obeyed."""
    hot = ("--temperature", "100", "--seed", "3", "--max-tokens", "200")
    done = in_terminal(["ask", "-m", tiny_path, *hot, "Hello"])
    assert done.code == 0
    raw = expert("ask", "-m", tiny_path, *hot, "Hello").out
    assert set(raw) & set(range(1, 9)), "this seed should make control characters"
    assert not set(done.out) & (set(range(1, 9)) | {0x1B, 0x7F})


def test_screen_text_shows_what_a_terminal_would_obey() -> None:
    """Escape, C1 and bidirectional controls come out as visible text."""
    assert screen_text("a\x1b[31mb\x07\tc\n") == "a␛[31mb␇\tc\n"
    assert screen_text("\x9b31m\u202e") == "\\u009b31m\\u202e"


def test_a_home_that_cannot_be_written_still_answers(tiny_path: Path, tmp_path: Path) -> None:
    """Nothing `ask` needs is written to the home; a blocked one costs only the cache."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = expert("ask", "-m", tiny_path, *GREEDY, "Hello", EXPERT_HOME=str(blocked))
    assert done.code == 0
    assert done.out == expert("ask", "-m", tiny_path, *GREEDY, "Hello").out


def test_a_full_disk_ends_with_a_message(tiny_path: Path) -> None:
    """Writing the answer to a full device is code 9, not a traceback."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, "ask", "-m", str(tiny_path), *GREEDY, "Hello"],
            stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert done.returncode == 9
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_outputs_do_not_hang(tiny_path: Path) -> None:
    """With stdout closed from the start the program still ends by itself."""
    command = " ".join([*PROGRAM, "ask", "-m", str(tiny_path), "Hello"]) + " >&- </dev/null"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


def test_no_socket_is_opened(tiny_path: Path) -> None:
    """With every internet socket denied it answers all the same, and none was tried."""
    code = (
        "import socket, sys\n"
        "real = socket.socket.__init__\n"
        "def guard(self, family=-1, *rest, **more):\n"
        "    if family in (-1, socket.AF_INET, socket.AF_INET6): print('SOCKET', file=sys.stderr)\n"
        "    real(self, family, *rest, **more)\n"
        "socket.socket.__init__ = guard\n"
        "from expert.cli import main\n"
        f"sys.exit(main(['ask', '-m', {str(tiny_path)!r}, '-q', '--max-tokens', '3', 'Hi']))\n"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.6])
def test_ctrl_c_at_any_phase(slow_model: Path, delay: float) -> None:
    """Whenever SIGINT comes, the code is 130 and no traceback is shown."""
    with start("ask", "-m", slow_model, "-q", "--temperature", "0", "Hello") as process:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    if process.returncode == 130:
        assert b"Traceback" not in err
    else:  # Python itself was still starting or importing, and ends in its own way
        assert b", in main\n" not in err


@pytest.fixture
def heard() -> Iterator[None]:
    """Let Ctrl-C interrupt, which whoever started the tests in the background has had ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_in_the_log_of_llama_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops what is raised in a callback of C, so the signal is sent once more after it."""
    library.load()
    seen: list[bool] = []

    def interrupted(*_: object) -> bool:
        signal.raise_signal(signal.SIGINT)
        seen.append(True)  # it was not raised here
        return False

    monkeypatch.setattr(library.log, "isEnabledFor", interrupted)
    asked = Asked(iter(()))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ending(asked):
        library._on_log(2, b"text", None)
        time.sleep(100)  # it wakes whoever waits
    assert time.monotonic() - start < 50
    assert seen and asked._stopper.stopped
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_dry_run_shows_the_prompt_and_answers_nothing(tiny_path: Path, tmp_path: Path) -> None:
    """Files, templates, holes and piped text are all in it; --json adds the plan."""
    file = tmp_path / "notes.txt"
    file.write_text("a note")
    template = tmp_path / "t.toml"
    template.write_text('system = "Speak {{tongue}}."\nprompt = "Well: {{input}}"')
    options = ("ask", "-m", tiny_path, "--dry-run", "-f", file, "-t", template, "-p", "tongue", "C")
    done = expert(*options, "why?", stdin=b"piped\n", EXPERT_HISTORY="1")
    assert done.code == 0
    for text in ("Speak C.", f"{file}:\n```\na note\n```\n\nWell: piped\n\nwhy?"):
        assert text in done.text
    assert "tokens" in done.message
    record = json.loads(expert(*options, "--json", "why?").out)
    assert record["experts"] == []
    assert record["tokens"] > 10
    assert expert("log", "--json").out == b"[]\n"
    assert expert("ask", "-p", "a", "b", "x").code == 2
    assert expert("ask", "-m", tiny_path, "-f", tmp_path / "none", "x").code == 3


def test_events_stream_as_json(tiny_path: Path) -> None:
    """One object a line: the plan, the deltas, and the end with everything."""
    done = expert("ask", "-m", tiny_path, "--stream-json", *GREEDY, "Hello")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["plan", "done"]
    deltas = "".join(event["text"] for event in events if event["event"] == "delta")
    assert deltas == events[-1]["text"]
    assert events[0]["params"] == events[-1]["params"]


def test_usage_and_reasons_are_on_stderr(tiny_path: Path) -> None:
    """With -u and --why, and never on stdout."""
    plain = expert("ask", "-m", tiny_path, *GREEDY, "Hello").out
    done = expert("ask", "-m", tiny_path, "-u", "--why", *GREEDY, "Hello")
    assert done.out == plain
    assert "tokens in" in done.message
    assert "the base model answers" in done.message


def test_code_alone(tiny_path: Path) -> None:
    """-x without a code block is code 6 with nothing on stdout; the answer is in the history."""
    done = expert("ask", "-m", tiny_path, "-x", *GREEDY, "Hello")
    assert (done.code, done.out) == (6, b"")
    assert "no code block" in done.message
    assert len(json.loads(expert("log", "--json").out)) == 1
    assert expert("ask", "-m", tiny_path, "-x", "--json", "Hello").code == 2
