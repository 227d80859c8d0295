"""The real program in a real terminal (tmux), with the embedded base."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, a terminal to look at"),
]
PROGRAM = Path(sys.executable).with_name("expert")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A tmux server of its own with one window."""

    socket: Path

    def tmux(self, *words: str) -> str:
        """Run a tmux command on it."""
        command = ["tmux", "-S", str(self.socket), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text."""
        self.tmux("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        """The characters on the screen."""
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Return the screen as soon as it shows *text*."""
        deadline = time.monotonic() + seconds
        while text not in (screen := self.screen):
            assert time.monotonic() < deadline, f"no {text!r} on\n{screen}"
            time.sleep(0.1)
        return screen


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Return a terminal in which a shell runs, in an empty home."""
    found = Terminal(tmp_path / "tmux")
    environment = {**os.environ, "EXPERT_HOME": str(tmp_path / "home"), "PS1": "$ "}
    command = ["tmux", "-S", str(found.socket), "-f", "/dev/null", "new-session", "-d"]
    command += ["-x", "100", "-y", "30", "-c", str(tmp_path), "bash --norc"]
    subprocess.run(command, env=environment, check=True)
    yield found
    subprocess.run(["tmux", "-S", str(found.socket), "kill-server"], check=False)


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
