"""The real program in a real terminal (tmux), with the embedded base."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import PROGRAM, TMUX, Opened, Terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TMUX is None, reason="needs tmux, a terminal to look at"),
]


@pytest.fixture(name="terminal")
def opened_terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    yield from Opened(tmp_path).terminal(dict(os.environ))


def test_a_conversation_from_start_to_end(terminal: Terminal, tmp_path: Path) -> None:
    """Open, ask twice, search, export, quit; the shell gets its screen and an exit code of 0."""
    terminal.type(f"{PROGRAM} chat; echo code $?")
    terminal.press("Enter")
    terminal.wait_for("pocket")
    terminal.type("Repeat: green house")
    terminal.press("Enter")
    terminal.wait_for("tok/s")
    terminal.press("C-n")
    terminal.type("size=large; colour=green; size?")
    terminal.press("Enter")
    terminal.wait_for("❯ size=large")
    terminal.wait_for("base · ↑")
    terminal.press("C-r")
    terminal.type("green house")
    terminal.wait_for("Repeat: green house")
    terminal.press("Tab")
    terminal.press("Down")
    terminal.press("Enter")
    terminal.wait_for("❯ Repeat: green house")
    terminal.press("F9")
    terminal.wait_for("Exported to conversation-1.md")
    assert "Repeat: green house" in (tmp_path / "conversation-1.md").read_text()
    terminal.press("C-q")
    terminal.wait_for("code 0")
    terminal.type(f"{PROGRAM} log list")
    terminal.press("Enter")
    assert "size=large" in terminal.wait_for("Repeat: green house")


def test_stopping_and_leaving_by_ctrl_c(terminal: Terminal) -> None:
    """`expert` alone opens the chat; Esc ends an answer and Ctrl-C twice the program."""
    terminal.type(f"{PROGRAM}; echo code $?")
    terminal.press("Enter")
    terminal.wait_for("pocket")
    terminal.type("Tell me a long story about a river.")
    terminal.press("Enter")
    terminal.press("Escape")
    terminal.wait_for("base · ↑")
    terminal.press("C-c")
    terminal.wait_for("Press Ctrl+C again to quit.")
    terminal.press("C-c")
    terminal.wait_for("code 0")
