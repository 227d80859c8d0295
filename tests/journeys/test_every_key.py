"""Every key, command and screen of the chat, pressed and seen in the real program with pocket.

What the last tests count is read from the calls in these files, so a key that nobody presses, or
a screen that nobody waits for, is found; it is driven then, or removed.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.tui.app import HELP
from expert.tui.commands import NAMES
from support.journeys import Market
from support.program import expert
from support.terminal import PROGRAM, SIGNS, Terminal, bound, screens

JOURNEYS = sorted(Path(__file__).parent.glob("test_*.py"))


@pytest.fixture(name="chat")
def opened_chat(
    terminal: Terminal, market: Market, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """Return a chat with sql installed, opened in a terminal."""
    assert expert("install", "sql", "-y").code == 0
    terminal.enter(f"{PROGRAM} chat; echo code $?")
    terminal.on("ChatScreen")
    terminal.wait_for("· pocket ·")
    yield terminal


@pytest.mark.slow
def test_screens_open_and_close(chat: Terminal) -> None:
    """Help, palette, settings, models, experts, each by its keys."""
    chat.act("app.help")
    chat.on("HelpScreen")
    chat.act("help.close")
    chat.wait_until_gone("Everywhere")
    chat.press("C-p")
    chat.wait_for("Search for commands")
    chat.type("installed")
    chat.wait_for("Installed experts and those on offer")
    chat.press("Escape")
    chat.wait_until_gone("Installed experts and those on offer")
    chat.act("app.settings")
    chat.on("SettingsScreen")
    chat.press("Enter")
    chat.wait_for("theme: colours of the chat")
    chat.act("choose.leave")
    chat.wait_until_gone("theme: colours of the chat")
    chat.act("settings.back")
    chat.wait_until_gone("longest answer, in tokens")
    chat.act("app.models", "f5")
    chat.on("ModelsScreen")
    chat.act("models.back")
    chat.wait_until_gone("Base models")
    chat.act("app.models", "ctrl+o")
    chat.on("ModelsScreen")
    chat.press("Enter")
    chat.wait_for("pocket answers from now on.")
    chat.act("app.experts", "f4")
    chat.on("ExpertsScreen")
    chat.act("app.experts", "ctrl+e")
    chat.wait_until_gone("Stronger")
    chat.act("app.experts", "f4")
    chat.wait_for("expert/sql")
    chat.act("experts.toggle")
    chat.wait_for("expert/sql is disabled.")
    chat.act("experts.toggle")
    chat.wait_for("expert/sql is enabled.")
    chat.act("experts.stronger")
    chat.wait_for("expert/sql acts at 1.25.")
    chat.act("experts.weaker")
    chat.wait_for("expert/sql acts at 1.")
    chat.act("experts.install")
    chat.wait_for("It is installed already.")
    chat.act("experts.back")
    chat.wait_until_gone("Stronger")
    chat.act("app.interrupt")
    chat.wait_for("Press Ctrl+C again to quit.")
    chat.act("app.interrupt")
    chat.wait_for("code 0")


@pytest.mark.slow
def test_a_conversation_by_keys(chat: Terminal, tmp_path: Path) -> None:
    """Writing, sending, looking why, copying, asking again, stopping."""
    for text, newline in (("one", "ctrl+j"), ("two", "alt+enter"), ("three", "shift+enter")):
        chat.type(text)
        _newline(chat, newline)
    chat.type("four")
    chat.wait_for("four")
    chat.act("prompt.send")
    assert "two" in chat.wait_for("❯ one")
    chat.wait_for("tok/s")
    chat.act("chat.think")
    chat.wait_for("Thinking is on.")
    chat.act("chat.think")
    chat.wait_for("Thinking is off.")
    chat.act("app.route")
    chat.on("RouteScreen")
    chat.act("route.close")
    chat.wait_until_gone("Answered by")
    chat.act("chat.earlier")
    chat.wait_for("y Copy")
    chat.act("turn.why")
    chat.on("RouteScreen")
    chat.act("app.route")
    chat.wait_until_gone("Answered by")
    chat.act("turn.copy")
    chat.wait_for("The answer is copied.")
    chat.act("turn.retry")
    chat.on("Choose")
    chat.act("choose.leave")
    chat.wait_until_gone("Who is to answer?")
    chat.act("turn.edit")
    chat.wait_until_gone("❯ one")
    chat.act("prompt.send")
    chat.wait_for("❯ one")
    chat.wait_for("· ↑")
    chat.act("chat.earlier")
    chat.wait_for("y Copy")
    chat.act("turn.regenerate")
    chat.wait_until_gone("y Copy")
    chat.wait_for("· ↑")
    chat.act("chat.earlier")
    chat.wait_for("y Copy")
    chat.act("chat.later")
    chat.wait_until_gone("y Copy")
    chat.enter("Tell me a long story about a river.")
    chat.act("chat.stop")
    chat.wait_for("❯ Tell me")
    chat.wait_for("· ↑")
    chat.act("app.quit")
    chat.wait_for("code 0")


def _newline(chat: Terminal, key: str) -> None:
    """Begin a new line with one of the three keys that do."""
    if key == "ctrl+j":
        chat.act("prompt.newline", "ctrl+j")
    elif key == "alt+enter":
        chat.act("prompt.newline", "alt+enter")
    else:
        chat.act("prompt.newline", "shift+enter")


@pytest.mark.slow
def test_the_history_by_keys(chat: Terminal, tmp_path: Path) -> None:
    """Listed, renamed, deleted, brought back, searched, exported."""
    chat.enter("Who are you?")
    chat.wait_for("· ↑")
    chat.act("chat.history")
    chat.wait_for("Today")
    chat.press("Down")
    chat.act("sidebar.rename")
    chat.on("AskText")
    chat.act("text.leave")
    chat.wait_until_gone("New title")
    chat.act("sidebar.rename")
    chat.on("AskText")
    chat.enter("The river")
    chat.wait_for("▸ The river")
    chat.act("sidebar.delete")
    chat.wait_for("The conversation is deleted.")
    chat.act("sidebar.undo")
    chat.wait_for("The conversation is back.")
    chat.act("chat.history")
    chat.wait_until_gone("Search all conversations")
    chat.act("chat.search")
    chat.type("are")
    chat.wait_for("Today")
    chat.act("chat.export")
    chat.wait_for("Exported to conversation-1.md.")
    chat.act("app.quit")
    chat.wait_for("code 0")
    assert (tmp_path / "work" / "conversation-1.md").read_text().startswith("# The river\n")


@pytest.fixture(name="editor")
def some_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the editor of these tests add a word."""
    path = tmp_path / "editor"
    path.write_text('#!/bin/sh\nprintf " and houses" >> "$1"\n')
    path.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(path))
    monkeypatch.delenv("VISUAL", raising=False)


@pytest.mark.slow
def test_commands_and_mentions(editor: None, chat: Terminal, tmp_path: Path) -> None:
    """Every command, names and files completed by Tab, and the editor."""
    (tmp_path / "work" / "shopping list.txt").write_text("milk and bread\n")
    chat.enter("/help")
    chat.on("HelpScreen")
    chat.act("app.help")
    chat.wait_until_gone("Everywhere")
    chat.type("/expert s")
    chat.press("Tab")
    chat.wait_for("/expert sql")
    chat.press("Enter")
    chat.wait_for("● expert/sql")
    chat.enter("/scale sql 0.5")
    chat.wait_for("● expert/sql:0.5")
    chat.type("@shop")
    chat.wait_for('@"shopping list.txt"')
    chat.press("Tab")
    chat.type("is there milk?")
    chat.press("Enter")
    chat.wait_for('❯ @"shopping list.txt" is there milk?')
    chat.wait_for("expert/sql · ↑")
    chat.enter("/copy")
    chat.wait_for("The answer is copied.")
    chat.enter("/expert none")
    chat.wait_for("The base itself answers from now on.")
    chat.enter("/retry")
    chat.wait_for("base · ↑")
    chat.enter("/export")
    chat.wait_for("Exported to conversation-2.md.")
    assert "milk and bread" in (tmp_path / "work" / "conversation-2.md").read_text()
    chat.enter("/model pocket")
    chat.wait_for("pocket answers from now on.")
    chat.enter("/new")
    chat.wait_for("Ask anything. The right expert answers")
    chat.type("Of rivers")
    chat.act("chat.editor")
    chat.wait_for("Of rivers and houses")
    chat.press("Enter")
    chat.wait_for("❯ Of rivers and houses")
    chat.wait_for("base · ↑")
    chat.enter("/quit")
    chat.wait_for("code 0")


# What was driven ----------------------------------------------------------------------------------


def calls(name: str) -> Iterator[list[str]]:
    """Yield the texts given to each call of a terminal's method in these files."""
    for path in JOURNEYS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == name:
                constants = [one for one in node.args if isinstance(one, ast.Constant)]
                yield [str(one.value) for one in constants]


def test_every_key_is_pressed() -> None:
    """Each key of each binding of each screen and widget."""
    keys = bound()
    pressed = {(words[0], (words[1:] or keys[words[0]][:1])[0]) for words in calls("act") if words}
    assert pressed == {(name, key) for name, several in keys.items() for key in several}


def test_every_screen_is_seen() -> None:
    """Each screen is waited for by what only it shows."""
    assert {words[0] for words in calls("on") if words} == screens() == set(SIGNS)


def test_every_command_is_given() -> None:
    """Each command is sent at least once."""
    sent = {words[0].split()[0] for words in calls("enter") if words and words[0][:1] == "/"}
    typed = {words[0].split()[0] for words in calls("type") if words and words[0][:1] == "/"}
    assert {f"/{name}" for name in NAMES} <= sent | typed


def test_help_names_what_is_bound() -> None:
    """Every binding but those that leave a question is in help."""
    named = {row[0] for _, rows in HELP for row in rows}
    assert len({title for title, _ in HELP}) == len(HELP)
    for text in ("Ctrl+N", "F4, Ctrl+E", "Shift+Enter, Alt+Enter, Ctrl+J", "Alt+Up", "y", "+"):
        assert text in named
    assert os.linesep not in "".join(named)
