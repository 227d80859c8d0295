"""`expert sh` with the embedded base, in a terminal and in pipes: nothing runs unless chosen."""

from pathlib import Path

import pytest

from support.program import expert, in_terminal

REQUEST = "list all files in the current directory"
MENU = b"[A]bort? "
LINE = b"command: "


def choose(folder: Path, *typed: tuple[bytes, bytes], **environment: str) -> tuple[int, str]:
    """Ask for a command in a terminal, type, and return code and screen."""
    environment = {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **environment}
    done = in_terminal(["sh", "-n", REQUEST], 180, typed, **environment)
    return done.code, done.text


def instead(command: bytes) -> list[tuple[bytes, bytes]]:
    """Return what is typed to put another command in place of the suggested one."""
    return [(MENU, b"m\r"), (LINE, b"\x15" + command + b"\r")]


def test_a_pipe_gets_the_command_alone(pocket: Path) -> None:
    """One command with its newline, whatever stdin is; it is recorded as asked by sh."""
    done = expert("sh", REQUEST)
    assert done.code == 0
    assert done.err == b""
    assert done.text.strip()
    assert expert("sh", "--no-stdin", "-n", REQUEST, stdin=b"x").out == done.out
    assert b'"origin": "sh"' in expert("log", "show", "--json").out


def test_nothing_is_the_default(pocket: Path, tmp_path: Path) -> None:
    """Enter, a, and the end of input abort with code 1; an unknown choice asks again."""
    for typed in (b"\r", b"a\r", b"\x04"):
        code, _ = choose(tmp_path, *instead(b"touch %s/made" % str(tmp_path).encode()),
                         (MENU, b"yes\r"), (MENU, typed))  # fmt: skip
        assert code == 1
        assert not (tmp_path / "made").exists()


def test_executing_passes_the_code_on(pocket: Path, tmp_path: Path) -> None:
    """The command runs in the user's shell, and its exit code is the program's."""
    code, screen = choose(tmp_path, *instead(b"echo $((40 + 2)); exit 7"), (MENU, b"e\r"))
    assert code == 7
    assert "\r\n42" in screen


def test_danger_needs_a_whole_word(pocket: Path, tmp_path: Path) -> None:
    """What looks dangerous is said, and runs only after `yes`."""
    target = tmp_path / "precious"
    target.touch()
    command = instead(b"rm " + str(target).encode())
    code, screen = choose(tmp_path, *command, (MENU, b"e\r"), (b"all the same: ", b"y\r"),
                          (MENU, b"\r"))  # fmt: skip
    assert (code, target.exists()) == (1, True)
    assert "careful: this deletes files" in screen
    code, _ = choose(tmp_path, *command, (MENU, b"e\r"), (b"all the same: ", b"yes\r"))
    assert (code, target.exists()) == (0, False)


def test_describing_and_copying(pocket: Path, tmp_path: Path) -> None:
    """Both come back to the menu; without a tool the terminal is asked to copy (OSC 52)."""
    code, screen = choose(tmp_path, (MENU, b"c\r"), (MENU, b"d\r"), (MENU, b"\r"), PATH="/none")
    assert code == 1
    assert "\x1b]52;c;" in screen
    assert "copied" in screen


def test_ctrl_c_at_the_menu(pocket: Path, tmp_path: Path) -> None:
    """130, and nothing has run."""
    code, screen = choose(tmp_path, (MENU, b"\x03"))
    assert code == 130
    assert "Traceback" not in screen


@pytest.mark.parametrize(("arguments", "code"), [(["sh"], 2), (["sh", "  "], 2)])
def test_mistakes(pocket: Path, arguments: list[str], code: int) -> None:
    """Nothing asked is code 2."""
    done = expert(*arguments)
    assert (done.code, done.out) == (code, b"")
