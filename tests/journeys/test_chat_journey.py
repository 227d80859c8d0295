"""The journey of a person: the real program in a terminal, pocket and the experts, no network."""

import os
from pathlib import Path

import pytest

from support.journeys import NAMES, QUESTIONS, Market
from support.program import expert
from support.terminal import PROGRAM, Terminal

pytestmark = pytest.mark.slow
RECORD = os.environ.get("EXPERT_RECORD", "")
"""A folder for what a person saw on the way, screen by screen."""


def ask(terminal: Terminal, question: str, who: str = "base") -> str:
    """Ask in the chat, and return the screen once *who* has answered."""
    terminal.act("chat.new")
    terminal.wait_for("Ask anything. The right expert answers")
    terminal.enter(question)
    terminal.wait_for(f"❯ {question[:40]}")
    terminal.wait_for("○ base" if who == "base" else f"● {who} (")
    return terminal.wait_for(f"{who} · ↑")


def recording(screens: list[str]) -> str:
    """Return each screen once, without its empty lines; `docs/screens/journey.txt` is one."""
    rule = "\n" + "─" * 100 + "\n"
    full = ("\n".join(filter(str.strip, screen.splitlines())) for screen in screens)
    return rule.join(dict.fromkeys(full)).replace(str(PROGRAM), "expert") + "\n"


def test_from_opening_to_leaving(terminal: Terminal, market: Market, tmp_path: Path) -> None:
    """Open, ask each expert and none, switch by hand, search, export, quit."""
    done = expert("install", *NAMES, "-y")
    assert done.code == 0, done.message
    terminal.enter(f"{PROGRAM} chat; echo code $?")
    terminal.on("ChatScreen")
    terminal.wait_for("· pocket ·")
    for name in ("sql", "json", "shell", "regex", "commit"):
        ask(terminal, QUESTIONS[name], f"expert/{name}")
    ask(terminal, QUESTIONS[""])
    terminal.enter("/expert sql")
    terminal.wait_for("expert/sql answers from now on.")
    terminal.enter("And what can you do?")
    terminal.wait_for("❯ And what can you do?")
    terminal.wait_for("expert/sql · ↑")
    terminal.act("chat.search")
    terminal.wait_for("Search all conversations")
    terminal.type("singers")
    terminal.wait_for("Today")
    terminal.press("Tab", "Down", "Enter")
    terminal.wait_for("❯ Schema: singer")
    terminal.act("chat.export")
    terminal.wait_for("Exported to conversation-1.md.")
    terminal.act("app.quit")
    terminal.wait_for("code 0")
    written = (tmp_path / "work" / "conversation-1.md").read_text()
    assert QUESTIONS["sql"] in written and "## pocket + expert/sql@" in written
    if RECORD:
        Path(RECORD, "journey.txt").write_text(recording(terminal.seen))


def test_an_expert_is_installed_in_the_chat(terminal: Terminal, market: Market) -> None:
    """Found on the experts' screen, installed after a yes, and it answers at once."""
    terminal.enter(f"{PROGRAM}; echo code $?")
    terminal.on("ChatScreen")
    terminal.wait_for("· pocket ·")
    terminal.act("app.experts")
    terminal.on("ExpertsScreen")
    first = "expert/commit"
    terminal.wait_for(f"{first} 0")
    terminal.act("experts.install")
    terminal.wait_for(f"Install {first}")
    terminal.press("Down", "Enter")
    terminal.wait_for(f"{first} is installed.")
    terminal.act("experts.back")
    terminal.wait_until_gone("Stronger")
    ask(terminal, QUESTIONS["commit"], first)
    terminal.act("app.quit")
    terminal.wait_for("code 0")
