"""The real program in a real terminal: a tmux server of its own, with keys by what they do."""

import importlib
import pkgutil
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

import expert.tui
from support.no_network import supported

PROGRAM = Path(sys.executable).with_name("expert")
TMUX = shutil.which("tmux")
_NAMES = {
    "escape": "Escape", "enter": "Enter", "tab": "Tab", "delete": "DC", "plus": "+", "minus": "-",
    "up": "Up", "down": "Down", "shift+enter": "S-Enter",
}  # fmt: skip
_KITTY = {"S-Enter": b"\x1b[13;2u"}
"""What only newer terminals send, as they send it (the keyboard protocol of kitty)."""


@dataclass(frozen=True)
class Terminal:
    """A tmux server with one window, in which a shell runs."""

    socket: Path
    seen: list[str] = field(default_factory=list)
    """The screens that were waited for."""

    def tmux(self, *words: str) -> str:
        """Run a tmux command on it."""
        command = ["tmux", "-S", str(self.socket), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self.tmux("send-keys", *keys)

    def act(self, binding: str, key: str = "") -> None:
        """Press a key by what it does: its binding's id, and which key if it has several."""
        keys = bound()[binding]
        assert not key or key in keys
        name = tmux_name(key or keys[0])
        if name in _KITTY:
            self.tmux("send-keys", "-H", *(f"{byte:x}" for byte in _KITTY[name]))
        else:
            self.press(name)

    def type(self, text: str) -> None:
        """Type text."""
        self.tmux("send-keys", "-l", text)

    def enter(self, text: str) -> None:
        """Type a line and press Enter."""
        self.type(text)
        self.press("Enter")

    @property
    def screen(self) -> str:
        """The characters on the screen."""
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text: str, seconds: float = 240) -> str:
        """Return the screen as soon as it shows *text*."""
        return self._wait(text, True, seconds)

    def wait_until_gone(self, text: str, seconds: float = 240) -> str:
        """Return the screen as soon as it does not show *text* any more."""
        return self._wait(text, False, seconds)

    def on(self, screen: str) -> str:
        """Return the screen as soon as it is one of the program's, by its class's name."""
        return self.wait_for(SIGNS[screen])

    def _wait(self, text: str, there: bool, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while (text in (screen := self.screen)) is not there:
            assert time.monotonic() < deadline, f"{text!r}: {not there} on\n{screen}"
            time.sleep(0.15)
        self.seen.append(screen)
        return screen


SIGNS = {
    "ChatScreen": "New conversation ·",
    "ExpertsScreen": "Stronger",
    "ModelsScreen": "Base models",
    "SettingsScreen": "longest answer, in tokens",
    "RouteScreen": "Answered by",
    "HelpScreen": "Everywhere",
    "Choose": "Who is to answer?",
    "AskText": "New title",
}
"""What each screen of the program is known by."""


@dataclass
class Opened:
    """Opens terminals, and closes them."""

    folder: Path
    cut: tuple[str, ...] = ()
    """What runs a command without a network."""

    def terminal(
        self, environment: dict[str, str], size: tuple[int, int] = (100, 30)
    ) -> Iterator[Terminal]:
        """Yield a terminal with a shell in *folder*."""
        found = Terminal(self.folder / "tmux")
        shell = " ".join([*self.cut, "bash", "--norc"])
        command = ["tmux", "-S", str(found.socket), "-f", "/dev/null", "new-session", "-d"]
        command += ["-x", str(size[0]), "-y", str(size[1]), "-c", str(self.folder), shell]
        subprocess.run(command, env={**environment, "PS1": "$ "}, check=True)
        try:
            yield found
        finally:
            kill = ["tmux", "-S", str(found.socket), "kill-server"]
            subprocess.run(kill, check=False, capture_output=True)


def network_cut() -> tuple[str, ...] | None:
    """Return what runs a command without a network; None: this system has no way.

    A network namespace of its own (man 1 unshare), which has not even a loopback; else a filter
    that ends whoever opens an internet socket.
    """
    for command in (("unshare", "-n"), ("unshare", "-rn")):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "true"], capture_output=True)
            if done.returncode == 0:
                return command
    if supported():
        return (sys.executable, str(Path(__file__).with_name("no_network.py")))
    return None


def parts() -> list[type[DOMNode]]:
    """Return every screen and widget of the program, and the program itself."""
    found: list[type[DOMNode]] = []
    for module in pkgutil.walk_packages(expert.tui.__path__, "expert.tui."):
        for value in vars(importlib.import_module(module.name)).values():
            ours = isinstance(value, type) and value.__module__ == module.name
            if ours and issubclass(value, DOMNode):
                found.append(value)
    return found


def bound() -> dict[str, list[str]]:
    """Return the keys of every binding of the program's own, by the binding's id."""
    keys: dict[str, list[str]] = {}
    for part in parts():
        for binding in vars(part).get("BINDINGS", ()):
            assert isinstance(binding, Binding) and binding.id, f"{part.__name__}: {binding}"
            keys.setdefault(binding.id, []).extend(binding.key.split(","))
    return keys


def screens() -> set[str]:
    """Return the names of the program's screens."""
    return {part.__name__ for part in parts() if issubclass(part, Screen)}


def tmux_name(key: str) -> str:
    """Return a key of Textual as tmux calls it."""
    if key in _NAMES:
        return _NAMES[key]
    *held, last = key.split("+")
    mark = "".join({"ctrl": "C-", "alt": "M-", "shift": "S-"}[one] for one in held)
    return mark + _NAMES.get(last, last.upper() if last[0] == "f" and last[1:].isdigit() else last)
