"""What is said beside an answer: inert on a screen, exact in a pipe, styled only where wanted."""

import io
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from expert.cli import messages
from expert.screen import one_line, printable, screen_text

EVIL = "\x1b[2J\x07\x9b31m\u202etxt\u2066"


class Screen(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def environment(patch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    """Set exactly these of the variables that styles depend on."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM"):
        patch.delenv(name, raising=False)
    for name, value in values.items():
        patch.setenv(name, value)


@pytest.mark.parametrize("say", [messages.tell, messages.say, messages.dim])
def test_a_screen_gets_nothing_it_could_obey(
    monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    """Escape sequences, bells and turned text are shown instead of done."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    environment(monkeypatch, {"NO_COLOR": "1"})
    say(EVIL)
    assert not set("\x1b\x07\x9b\u202e\u2066") & set(screen.getvalue())
    assert "␛[2J␇\\u009b31m\\u202etxt\\u2066" in screen.getvalue()


def test_a_pipe_gets_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log keeps every character."""
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    environment(monkeypatch, {})
    messages.tell(EVIL)
    messages.dim("dim")
    assert pipe.getvalue() == f"expert: {EVIL}\ndim"


@pytest.mark.parametrize(
    ("values", "screen", "styled"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, False),
    ],
)
def test_styles(
    monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str], screen: bool, styled: bool
) -> None:
    """As no-color.org and others say: NO_COLOR counts most, and an empty one is none."""
    monkeypatch.setattr(sys, "stderr", Screen() if screen else io.StringIO())
    environment(monkeypatch, values)
    assert messages.coloured() is styled
    assert messages.bold("x") == ("\x1b[1mx\x1b[0m" if styled else "x")
    messages.dim("y")
    assert isinstance(sys.stderr, io.StringIO)
    assert sys.stderr.getvalue() == ("\x1b[2my\x1b[0m" if styled else "y")


def test_bold_text_is_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suggested command cannot end the style and begin another."""
    environment(monkeypatch, {"FORCE_COLOR": "1"})
    assert messages.bold("a\x1b[0mb") == "\x1b[1ma␛[0mb\x1b[0m"


def test_an_output_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is never a reason to fail: there is no stream at all, or nobody reads it."""
    monkeypatch.setattr(sys, "stderr", None)
    messages.tell("nobody hears")
    messages.dim("nor this")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        messages.tell("x" * 100_000)
        messages.tell("again")  # goes nowhere by now, and fails no more


def test_a_full_disk_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full refuses every byte."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        messages.tell("x" * 100_000)


def test_every_character_is_harmless_or_whole() -> None:
    """Of all characters of the basic plane, a screen gets those that act on nothing as they are."""
    acting = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    acting -= {0x09, 0x0A}
    for code in range(0x10000):
        shown = screen_text(chr(code))
        if code in acting:
            assert shown != chr(code) and shown.isprintable(), hex(code)
        elif 0xD800 <= code < 0xE000:
            assert shown == "\ufffd", hex(code)
        else:
            assert shown == chr(code), hex(code)


def test_one_line_is_one_line() -> None:
    """Whatever breaks lines in Python or on a screen becomes a space or is shown."""
    for code in range(0x3000):
        if not 0xD800 <= code < 0xE000:
            assert len(one_line(f"a{chr(code)}b").splitlines()) == 1, hex(code)
    assert one_line("  a \t b\n\nc ") == "a b c"


def test_bytes_that_are_no_characters() -> None:
    """Each is shown once, and text around it stays."""
    text = b"caf\xe9 \xff\xfe ok \xf0\x9f".decode("utf-8", "surrogateescape")
    assert printable(text) == "caf\ufffd \ufffd\ufffd ok \ufffd"
    assert printable("\ud800x\udfff") == "\ufffdx\ufffd"
