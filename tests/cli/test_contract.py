"""The contract with shells: the real program in pipes and terminals, exact bytes and codes.

Whatever is closed, full, silent or interrupted: no hang, no traceback, nothing but the answer on
stdout, and what was answered is in the history.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from expert.history.history import user_history
from expert.history.records import Recorded
from support.no_network import deny_internet, supported
from support.program import PROGRAM, Outcome, expert, in_terminal, start

GREEDY = ("--temperature", "0", "--max-tokens", "6")
LONG = ("-q", "--temperature", "1", "--seed", "5")
ENDLESS = ("-q", "--temperature", "0")
"""Greedy, random weights repeat themselves and never end."""


def shell(script: str, timeout: float = 180, **environment: str) -> Outcome:
    """Run a line of bash in which $EXPERT is the program."""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL,
        env={**os.environ, "EXPERT": " ".join(PROGRAM), **environment},
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def recorded() -> list[Recorded]:
    """Return all turns of the history."""
    history = user_history()
    return [turn for one in history.conversations() for turn in history.all_turns(one.id)]


def quiet(done: Outcome) -> None:
    """Check that nothing went wrong in Python's own words."""
    assert b"Traceback" not in done.err
    assert b"Exception ignored" not in done.err


# Pipes --------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_models_bytes(tiny_path: Path) -> None:
    """Exactly what was recorded, one newline after it, and not a byte more anywhere."""
    done = expert("ask", "-m", tiny_path, "-q", *GREEDY, "Hello")
    (turn,) = recorded()
    raw = turn.turn.answer.encode("utf-8", "surrogateescape")
    assert done.out == raw + (b"" if raw.endswith(b"\n") else b"\n")
    assert (done.code, done.err) == (0, b"")


def test_head_ends_it_in_silence(slow_model: Path) -> None:
    """`| head -c1`: 141, nothing on stderr, and what was made is recorded as cut short."""
    script = f"$EXPERT ask -m {slow_model} {' '.join(LONG)} Hello | head -c1 >/dev/null"
    done = shell(f"{script}; echo ${{PIPESTATUS[0]}}")
    assert done.text == "141\n"
    assert done.err == b""
    (turn,) = recorded()
    assert (turn.turn.finish, turn.partial) == ("cancelled", True)
    assert turn.turn.answer


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        ("0<&-", 0),  # closed stdin
        ("2>&-", 0),  # closed stderr
        ("2>/dev/full", 0),  # messages that cannot be written
        ("0<&- 2>&-", 0),
        ("1>&-", 9),  # closed stdout
        ("1>&- 2>&-", 9),
        ("1>/dev/full", 9),
    ],
)
def test_closed_and_full_streams(tiny_path: Path, redirection: str, code: int, home: Path) -> None:
    """Only stdout matters; no file takes a closed stream's place."""
    script = f"$EXPERT ask -m {tiny_path} {' '.join(GREEDY)} --why -u Hello {redirection}"
    done = shell(script)
    assert done.code == code
    quiet(done)
    plain = expert("ask", "-m", tiny_path, "-n", "-q", *GREEDY, "Hello").out
    assert done.out == (plain if code == 0 else b"")
    assert expert("log", "--json").code == 0  # the database is whole


def test_stdin_that_never_ends(tiny_path: Path) -> None:
    """A hint after two seconds, and --timeout ends the waiting with 124."""
    arguments = ("ask", "-m", tiny_path, "--timeout", "3", "Hello")
    began = time.monotonic()
    with start(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stderr and process.stdout
        assert process.wait(120) == 124
        err = process.stderr.read()
        assert process.stdout.read() == b""
    assert time.monotonic() - began < 100
    assert b"--no-stdin" in err
    assert b"time limit" in err
    assert b"Traceback" not in err


def test_endless_input_is_refused(tiny_path: Path) -> None:
    """`yes | expert ask` ends by itself: code 7."""
    done = shell(f"yes | $EXPERT ask -m {tiny_path}")
    assert (done.code, done.out) == (7, b"")
    assert "longer than 64 MiB" in done.message


def test_too_long_an_input_is_an_error_unless_truncated(tiny_path: Path) -> None:
    """Code 7 with both numbers; with --truncate the end of it is answered, with a warning."""
    long = b"word " * 3000
    done = expert("ask", "-m", tiny_path, *GREEDY, "last?", stdin=long)
    assert (done.code, done.out) == (7, b"")
    assert "512" in done.message
    done = expert("ask", "-m", tiny_path, *GREEDY, "--truncate", "last?", stdin=long)
    assert done.code == 0
    assert "characters of the input were dropped" in done.message


def test_a_terminal_that_hangs_up(slow_model: Path) -> None:
    """SIGHUP ends it as it ends other programs."""
    with start("ask", "-m", slow_model, *LONG, "Hello") as process:
        assert process.stdout
        process.stdout.read(1)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == -signal.SIGHUP


# Interrupts ---------------------------------------------------------------------------------------


def interrupted(
    arguments: tuple[object, ...],
    when: Callable[[subprocess.Popen[bytes]], bytes],
    stdin: int = subprocess.DEVNULL,
) -> Outcome:
    """Start the program, wait until *when* returns what it read, press Ctrl-C, and see."""
    with start(*map(str, arguments), stdin=stdin) as process:
        read = when(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, read + out, err)


def _first_byte(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    return os.read(process.stdout.fileno(), 1)


def _first_delta(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    read = b""
    while b'"delta"' not in read:
        read += os.read(process.stdout.fileno(), 65536)
    return read


def _pause(seconds: float) -> Callable[[subprocess.Popen[bytes]], bytes]:
    def wait(_: subprocess.Popen[bytes]) -> bytes:
        time.sleep(seconds)
        return b""

    return wait


def test_ctrl_c_while_stdin_is_read(tiny_path: Path) -> None:
    """130, nothing on stdout, nothing recorded."""
    done = interrupted(("ask", "-m", tiny_path), _pause(2.5), subprocess.PIPE)
    assert (done.code, done.out) == (130, b"")
    quiet(done)
    assert recorded() == []


@pytest.mark.parametrize("pause", [0.3, 0.6, 0.9, 1.3])
def test_ctrl_c_while_it_loads_or_reads_the_prompt(slow_model: Path, pause: float) -> None:
    """130 and no traceback, whenever it comes; what is on stdout is the beginning of an answer."""
    prompt = "word " * 1500
    done = interrupted(("ask", "-m", slow_model, *LONG, prompt), _pause(pause))
    if done.code != 130:  # Python itself was still starting, and ends in its own way
        assert b", in main\n" not in done.err
        return
    quiet(done)


def test_ctrl_c_keeps_the_partial_answer(slow_model: Path) -> None:
    """130 within a moment; what was written is the beginning of what is recorded."""
    began = []

    def first(process: subprocess.Popen[bytes]) -> bytes:
        read = _first_byte(process)
        began.append(time.monotonic())
        return read

    done = interrupted(("ask", "-m", slow_model, *LONG, "Hello"), first)
    assert time.monotonic() - began[0] < 60
    assert (done.code, done.err) == (130, b"")
    (turn,) = recorded()
    raw = turn.turn.answer.encode("utf-8", "surrogateescape")
    assert turn.turn.finish == "cancelled"
    assert done.out == raw + (b"" if raw.endswith(b"\n") else b"\n")
    assert turn.turn.timings.answer_tokens > 0


def test_ctrl_c_still_prints_the_json(slow_model: Path) -> None:
    """A script gets the partial answer, marked, and the code 130."""
    done = interrupted(("ask", "-m", slow_model, *LONG, "--stream-json", "Hello"), _first_delta)
    last = json.loads(done.out.splitlines()[-1])
    assert done.code == 130
    assert (last["event"], last["finish"]) == ("done", "cancelled")
    assert last["turn"] == recorded()[0].id


def test_the_time_limit_keeps_what_came(slow_model: Path) -> None:
    """124, the beginning of the answer on stdout, and it is recorded as cut short."""
    done = expert("ask", "-m", slow_model, "--timeout", "1.5", *ENDLESS, "Hello")
    assert done.code == 124
    turns = recorded()
    if turns:  # else the model was still loading, on a busy machine
        assert turns[0].turn.finish == "timeout"


# Homes and disks ----------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written(tiny_path: Path, tmp_path: Path) -> None:
    """The answer comes, with a warning that it is not kept; lists still work."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = expert("ask", "-m", tiny_path, *GREEDY, "Hello", EXPERT_HOME=str(blocked))
    assert done.code == 0
    assert done.out == expert("ask", "-m", tiny_path, "-n", *GREEDY, "Hello").out
    assert "not kept in the history" in done.message
    assert expert("log", EXPERT_HOME=str(blocked)).code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home(tiny_path: Path, home: Path) -> None:
    """As above, where the history itself is there but may not be changed."""
    expert("ask", "-m", tiny_path, *GREEDY, "Hello")
    for path in (home / "data", *(home / "data").iterdir()):
        path.chmod(path.stat().st_mode & ~0o222)
    done = expert("ask", "-m", tiny_path, *GREEDY, "Hello")
    assert (done.code, b"not kept" in done.err) == (0, True)
    assert expert("log").code == 0


def test_a_full_disk(tiny_path: Path, home: Path) -> None:
    """No file may grow (as on a full disk): the answer comes, with a warning."""
    script = f"ulimit -f 0; $EXPERT ask -m {tiny_path} {' '.join(GREEDY)} Hello | cat"
    done = shell(f"set -o pipefail; {script}")
    assert done.code == 0
    assert done.out == expert("ask", "-m", tiny_path, "-n", *GREEDY, "Hello").out
    assert "not kept in the history" in done.message
    quiet(done)


# Screens ------------------------------------------------------------------------------------------


def test_a_screen_gets_nothing_it_could_obey(tiny_path: Path, tmp_path: Path) -> None:
    """Not from the model, a file's name, an error, or a notice."""
    evil = tmp_path / "a\x1b[31m\x07b.txt"
    evil.write_text("text")
    hot = ("--temperature", "100", "--seed", "3", "--max-tokens", "100")
    runs: list[list[str | Path]] = [
        ["ask", "-m", tiny_path, *hot, "--why", "-u", "-f", evil, "Hello"],
        ["ask", "-m", tiny_path, "--dry-run", "-f", evil, "Hello"],
        ["ask", "-m", tiny_path, "-f", f"{evil}x", "Hello"],
        ["ask", "-m", evil, "Hello"],
        ["ask", "-m", "\x1b]0;x\x07", "Hello"],
        ["ask", "-t", "\x1b[2J", "Hello"],
        ["\x1b[2J"],
        ["log", "show", "\x1b[2J"],
    ]
    for arguments in runs:
        done = in_terminal(arguments)
        styled = done.out.replace(b"\x1b[2m", b"").replace(b"\x1b[0m", b"").replace(b"\x1b[1m", b"")
        assert not set(styled) & (set(range(1, 9)) | {0x1B, 0x7F}), arguments


def test_styles_follow_the_conventions(tiny_path: Path) -> None:
    """A screen may be styled; not with NO_COLOR or on a dumb terminal; stdout never is."""
    from expert.cli import messages

    done = in_terminal(["ask", "-m", tiny_path, *GREEDY, "--why", "Hello"], NO_COLOR="1")
    assert b"\x1b" not in done.out
    assert not messages.coloured()  # a test's stderr is no screen


# Network ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not supported(), reason="needs seccomp on Linux")
def test_the_internet_is_never_tried(tiny_path: Path, tmp_path: Path) -> None:
    """With a filter that kills whoever opens an internet socket, everything works."""
    control = [sys.executable, "-c", "import socket; socket.socket(socket.AF_INET)"]
    assert subprocess.run(control, preexec_fn=deny_internet).returncode == -signal.SIGSYS
    file = tmp_path / "note.txt"
    file.write_text("hello")
    model = ("-m", str(tiny_path))
    for arguments in (
        ["ask", *model, *GREEDY, "-f", str(file), "--why", "Hello"],
        ["ask", *model, *GREEDY, "-c", "--json", "More"],
        ["chat", "--plain", *model, "--max-tokens", "3"],
        ["log", "search", "hello"],
        ["log", "export"],
        ["config", "list"],
        ["list"],
        ["search"],
        ["model", "list"],
        ["doctor", *model],
        ["completions", "bash"],
        ["version"],
    ):
        done = subprocess.run(
            [*PROGRAM, *arguments], input=b"Hi\n" if arguments[0] == "chat" else b"",
            capture_output=True, timeout=180, preexec_fn=deny_internet,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
