"""From a command line to an exit code: errors become messages, whatever goes wrong below."""

import errno
import json
import re
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from expert import cli
from expert.cli import VERBS, main, options, usage
from expert.errors import (
    ContractError,
    ExpertError,
    InputTooLongError,
    NetworkNeededError,
    NotFoundError,
    ResourceError,
    TimeLimitError,
    UsageError,
    VerificationError,
    WrongBaseError,
)

Captured = pytest.CaptureFixture[str]
Verb = Callable[[Callable[[list[str]], int]], None]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Verb:
    """Return what makes `expert version` do something else."""

    def become(run: Callable[[list[str]], int]) -> None:
        module = ModuleType("expert.cli.version")
        module.run = run  # type: ignore[attr-defined]  # as a verb's module has it
        monkeypatch.setitem(sys.modules, "expert.cli.version", module)
        monkeypatch.setattr(cli, "version", module, raising=False)

    return become


def failing(error: BaseException) -> Callable[[list[str]], int]:
    """Return a verb that raises."""

    def run(_: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ExpertError, 1), (UsageError, 2), (NotFoundError, 3), (WrongBaseError, 4),
        (VerificationError, 5), (ContractError, 6), (InputTooLongError, 7),
        (NetworkNeededError, 8), (ResourceError, 9), (TimeLimitError, 124),
    ],
)  # fmt: skip
def test_each_error_has_its_code(
    verb: Verb, capsys: Captured, kind: type[ExpertError], code: int
) -> None:
    """With what, why and fix on stderr, a line each; parts that are empty are left out."""
    verb(failing(kind("It broke.", "A reason.", "Mend it.")))
    assert main(["version"]) == code
    assert capsys.readouterr() == ("", "expert: It broke.\nWhy: A reason.\nFix: Mend it.\n")
    verb(failing(kind("It broke.")))
    assert main(["version"]) == code
    assert capsys.readouterr() == ("", "expert: It broke.\n")


@pytest.mark.parametrize("flag", ["--json", "--stream-json"])
def test_errors_as_json(verb: Verb, capsys: Captured, flag: str) -> None:
    """One line on stderr, whatever stands in the error; stdout stays empty."""
    problem = ContractError("a\nb", '"quoted"', "caf\udce9 \x1b")
    problem.partial = "SELECT"
    verb(failing(problem))
    assert main(["version", flag]) == 6
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert json.loads(err) == {
        "code": 6, "what": "a\nb", "why": '"quoted"', "fix": "caf\udce9 \x1b", "partial": "SELECT",
    }  # fmt: skip


def test_debug_shows_where(verb: Verb, capsys: Captured) -> None:
    """The traceback comes first, then the message."""
    verb(failing(NotFoundError("Nothing there.")))
    assert main(["version", "--debug"]) == 3
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("expert: Nothing there.\n")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "No space left on device"), (errno.EACCES, "Permission denied"),
     (errno.EIO, "Input/output error"), (errno.EROFS, "Read-only file system")],
)  # fmt: skip
def test_a_disk_that_gives_up(
    verb: Verb, capsys: Captured, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """Code 9 with the system's words and the file, and no traceback."""
    monkeypatch.setattr(cli, "_discard_output", lambda: None)  # this process writes on
    verb(failing(OSError(number, words, "/some/file")))
    assert main(["version"]) == 9
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"expert: Reading or writing failed: {words}."
    assert lines[1] == "Why: /some/file"


def test_interrupted_and_unread(
    verb: Verb, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is 130, a reader that went away 141, both without a word."""
    monkeypatch.setattr(cli, "_discard_output", lambda: None)
    verb(failing(KeyboardInterrupt()))
    assert main(["version"]) == 130
    verb(failing(BrokenPipeError()))
    assert main(["version"]) == 141
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_the_program_is_not_hidden(verb: Verb) -> None:
    """What nobody foresaw keeps its traceback, for a report."""
    verb(failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["version"])


def test_the_code_is_the_verbs(verb: Verb) -> None:
    """And the verb gets what stands after it, unchanged."""
    seen: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        seen.append(arguments)
        return 37

    verb(run)
    assert main(["version", "", "-x", "caf\udce9"]) == 37
    assert seen == [["", "-x", "caf\udce9"]]


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"], ["help", "nonsense"]])
def test_help(capsys: Captured, words: list[str]) -> None:
    """On stdout with code 0; a line for each verb, at most 100 characters wide."""
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (usage(), "")
    for name, sentence in VERBS.items():
        assert re.search(rf"(?m)^  {name}\s*{re.escape(sentence)}$", out), name
    assert max(map(len, out.splitlines())) <= 100


def test_no_command_in_a_pipe(capsys: Captured) -> None:
    """The usage goes to stderr, with code 2."""
    assert main([]) == 2
    assert capsys.readouterr() == ("", usage())


@pytest.mark.parametrize(
    ("word", "hint"),
    [("instal", "install"), ("lits", "list"), ("ASK", ""), ("xyzzy", ""), ("--jason", ""),
     ("bnech", "bench"), ("\x1b[2J", ""), ("modell", "model")],
)  # fmt: skip
def test_unknown_commands(capsys: Captured, word: str, hint: str) -> None:
    """Code 2; a near one is offered, and escape sequences are quoted."""
    assert main([word, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "\x1b" not in err
    first, fix = err.splitlines()
    assert first.startswith(f"expert: there is no command {word!r}.")
    assert first.endswith(f" Did you mean `expert {hint}`?") is bool(hint)
    assert fix == "Fix: see `expert --help`."


@pytest.mark.parametrize("name", [name for name in VERBS if name not in ("version", "paths")])
def test_unknown_options_of_every_verb(capsys: Captured, name: str) -> None:
    """Code 2 with the verb's usage, nothing on stdout, and nothing is done."""
    with pytest.raises(SystemExit) as left:
        main([name, "--no-such-option"])
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert err.startswith(f"usage: expert {name}")


def test_asking_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that needs a person says which flag answers it."""
    real = open

    def no_terminal(file: object, *more: object) -> object:
        if file == "/dev/tty":
            raise OSError(errno.ENXIO, "No such device or address")
        return real(file, *more)  # type: ignore[call-overload]  # as it came

    monkeypatch.setattr("builtins.open", no_terminal)
    with pytest.raises(UsageError, match="no terminal to ask on") as caught:
        options.confirmed("Go on?")
    assert caught.value.fix == "Add -y to go on without asking."


@pytest.mark.parametrize(
    ("typed", "agreed"),
    [("y\n", True), ("yes\n", True), (" YES \n", True), ("Y\n", True), ("n\n", False),
     ("\n", False), ("", False), ("yep\n", False), ("no, yes\n", False), ("\x1b[A\n", False)],
)  # fmt: skip
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    """Anything else is no, an empty line and the end of input included."""
    import io

    shown = io.StringIO()
    monkeypatch.setattr(shown, "close", lambda: None)

    def terminal(file: object, mode: str = "r") -> io.StringIO:
        assert file == "/dev/tty"
        return shown if mode == "w" else io.StringIO(typed)

    monkeypatch.setattr("builtins.open", terminal)
    assert options.confirmed("Go on?") is agreed
    assert shown.getvalue() == "Go on? [y/N] "


def test_an_interrupt_that_python_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a class is made Python 3.11 turns it into an error of its own; it is still Ctrl-C."""

    def interrupted(*_: object) -> int:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main(["version"]) == 130

    def broken(*_: object) -> int:
        raise RuntimeError("something else")

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(RuntimeError, match="something else"):
        cli.main(["version"])
