"""Parts of `expert sh` and its neighbours: the command in an answer, the clipboard, the choice."""

import base64
import io
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from markdown_it import MarkdownIt

from expert.assistant import Assistant
from expert.cli import clipboard, sh
from expert.cli.code import extract_code
from expert.cli.sh import command_in


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ("ls\n\n\nIt lists.", "ls"),
        ("\n\n  ls -l  \n\nmore", "ls -l"),
        ("```\n\n  ls\n\n```", "ls"),
        ("```bash\n$ ls\n```", "ls"),
        ("~~~\nls\n~~~", "ls"),
        ("find . \\\n  -name x\n\nFinds.", "find . \\\n  -name x"),
        ("Try:\n\n```\nfor i in 1; do\n  echo $i\ndone\n```", "for i in 1; do\n  echo $i\ndone"),
        ("```\nls", "ls"),
        ("```\n```", ""),
        ("`` ls ``", " ls "),
        ("echo '$ x'", "echo '$ x'"),
        ('ls | wc -l; echo "$(date)"', 'ls | wc -l; echo "$(date)"'),
    ],
)
def test_the_command_in_an_answer(answer: str, command: str) -> None:
    """Without the words around it, its fence, its prompt and its marks of code."""
    assert command_in(answer) == command


def test_code_blocks_are_those_of_a_markdown_parser() -> None:
    """Random lines of fences, half fences and text: the first block beside markdown-it."""
    source = random.Random(9)
    lines = ["```", "~~~", "````", "``", "text", "``` py", "~~~ a`b", "", " ```", "x ```", "  ~~~~",
             "   ```", "``` ```", "~~", "code # x", "```\tsh"]  # fmt: skip
    blocks = 0
    for _ in range(800):
        text = "".join(source.choice(lines) + "\n" for _ in range(source.randrange(1, 9)))
        fences = [t for t in MarkdownIt("commonmark").parse(text) if t.type == "fence"]
        wanted = fences[0].content if fences else None
        assert extract_code(text) == wanted, text
        blocks += wanted is not None
    assert 200 < blocks < 800


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_keep_their_bytes(end: str) -> None:
    """Line ends, tabs and blank lines of a block come out as they are."""
    code = end.join(["\tone", "", "  two  ", "\x1b[1mthree\udce9", ""])
    assert extract_code(f"Look:{end}```{end}{code}```{end}end") == code


# The clipboard ------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what the terminal is told."""
    shown = io.StringIO()
    monkeypatch.setattr(clipboard, "sys", SimpleNamespace(stdout=shown))
    return shown


def tool(folder: Path, name: str, script: str) -> None:
    """Write a program of the shell that takes the place of a tool for the clipboard."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_terminal_is_asked_where_no_tool_is(
    monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO, tmp_path: Path
) -> None:
    """By OSC 52; the text itself, whatever it holds, stands in it as base64 alone."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for text in ("", "ls", "a\nb\x07\x1b\\ 日", "x" * 10_000):
        terminal.seek(0)
        terminal.truncate()
        clipboard.copy(text)
        said = terminal.getvalue()
        assert said.startswith("\x1b]52;c;") and said.endswith("\x07")
        code = said.removeprefix("\x1b]52;c;").removesuffix("\x07")
        assert base64.b64decode(code, validate=True).decode() == text


def test_a_tool_gets_the_bytes(
    monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO, tmp_path: Path
) -> None:
    """The first that is there and works; the terminal is left in peace."""
    bin_folder, kept = tmp_path / "bin", tmp_path / "kept"
    tool(bin_folder, "wl-copy", "exit 1")
    tool(bin_folder, "xclip", f'echo "$@" > {kept}.arguments; cat > {kept}; echo noise')
    tool(bin_folder, "xsel", f"touch {tmp_path}/second")
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    clipboard.copy("ls\n\x1b é")
    assert kept.read_bytes() == "ls\n\x1b é".encode()
    assert Path(f"{kept}.arguments").read_text() == "-selection clipboard\n"
    assert not (tmp_path / "second").exists()
    assert terminal.getvalue() == ""


def test_tools_that_all_fail(
    monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO, tmp_path: Path
) -> None:
    """Leave the terminal."""
    for name in ("wl-copy", "xclip", "xsel", "pbcopy", "clip.exe"):
        tool(tmp_path / "bin", name, "exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    clipboard.copy("x")
    assert terminal.getvalue() == "\x1b]52;c;eA==\x07"


# Running ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [("true", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("nonsense", 127),
     ("test 'a b' = \"a b\"", 0), ("set -- x; test $# = 1", 0)],
)  # fmt: skip
def test_a_command_runs_in_the_users_shell(
    monkeypatch: pytest.MonkeyPatch, command: str, code: int
) -> None:
    """As one argument of `$SHELL -c`; its exit code comes back as a shell would say it."""
    for shell in ("/bin/sh", "/bin/bash", ""):
        monkeypatch.setenv("SHELL", shell)
        assert sh._execute(command) == code


class Keyboard:
    """Answers to the menu's questions, and what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
        self.asked: list[str] = []
        self._typed: Iterator[str] = iter(typed)
        monkeypatch.setattr("builtins.input", self._input)

    def _input(self, prompt: str = "") -> str:
        self.asked.append(prompt)
        try:
            return next(self._typed)
        except StopIteration:
            raise EOFError from None


def choose(command: str) -> str | None:
    """Let the user choose what happens to a command; nothing here needs a model."""
    return sh._choose(cast(Assistant, None), command)


@pytest.mark.parametrize("typed", [["e"], ["execute"], [" E "], ["what?", "e"], ["x" * 99, "e"]])
def test_executing_is_chosen(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    """By its letter or its word; what is neither asks again."""
    keyboard = Keyboard(monkeypatch, *typed)
    assert choose("ls -l") == "ls -l"
    assert keyboard.asked == [sh.MENU] * len(typed)


@pytest.mark.parametrize("typed", [[""], ["a"], ["abort"], ["A"], [], ["z"], ["c", "a"]])
def test_aborting_is_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: list[str]
) -> None:
    """Enter, its letter, its word, and the end of input."""
    monkeypatch.setattr(clipboard, "copy", lambda text: None)
    Keyboard(monkeypatch, *typed)
    assert choose("ls") is None
    assert ("copied" in capsys.readouterr().out) is ("c" in typed)


@pytest.mark.parametrize(
    ("word", "runs"),
    [("yes", True), (" yes ", True), ("y", False), ("", False), ("YES", False), ("yes!", False)],
)
def test_danger_needs_the_whole_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str, runs: bool
) -> None:
    """What is dangerous is named first; anything but `yes` goes back to the menu."""
    keyboard = Keyboard(monkeypatch, "e", word, "a")
    assert choose("rm -r old") == ("rm -r old" if runs else None)
    assert keyboard.asked[:2] == [sh.MENU, "Type yes to run it all the same: "]
    assert capsys.readouterr().err.startswith(
        "  careful: this deletes whole folders\n  careful: this deletes files\n"
    )


def test_a_changed_command_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A harmless one that becomes dangerous asks; an empty line keeps what there was."""
    Keyboard(monkeypatch, "m", "rm x", "e", "no", "m", "", "e", "yes")
    assert choose("ls") == "rm x"
    out, err = capsys.readouterr()
    assert out.count("\n  rm x\n") == 3 and out.count("\n  ls\n") == 1
    assert err.count("deletes files") == 3


def test_what_is_shown_is_inert(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the suggested command nor a wrong choice acts on the screen."""
    Keyboard(monkeypatch, "\x1b[2J\x07", "a")
    assert choose("ls \x1b[2K\u202e") is None
    out, err = capsys.readouterr()
    assert not set("\x1b\x07\u202e") & set(out + err)
    assert "ls ␛[2K\\u202e" in out and "cannot be seen" in err
