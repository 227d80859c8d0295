"""Questions changed in an editor."""

from pathlib import Path

import pytest

from expert.editor import edited
from expert.errors import ExpertError, NotFoundError, UsageError


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> Path:
    """Let EDITOR be a script of the shell, and return where it lies."""
    editor = folder / "my editor"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"'{editor}' --wait")
    return editor


def test_the_text_is_what_the_editor_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It gets the text in a file, behind its own options; the last line's end does not count."""
    use(monkeypatch, tmp_path, f'cp "$2" {tmp_path}/seen; echo "$1 ünd more" >> "$2"')
    assert edited("one\n") == "one\n--wait ünd more"
    assert (tmp_path / "seen").read_text() == "one\n"


def test_visual_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As for other programs."""
    use(monkeypatch, tmp_path, "exit 1")
    monkeypatch.setenv("VISUAL", "true")
    assert edited("as it was") == "as it was"


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("exit 3", ExpertError, "ended with code 3"),
        ('rm "$2"', UsageError, "was not changed"),
        ('printf "\\377" > "$2"', UsageError, "was not changed"),
    ],
)
def test_editors_that_fail(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    error: type[ExpertError],
    words: str,
) -> None:
    """Nothing is changed, and it is said why."""
    use(monkeypatch, tmp_path, script)
    with pytest.raises(error, match=words):
        edited("text")


def test_no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is set, or it is not there, or it is no command line at all."""
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    with pytest.raises(UsageError, match="no editor"):
        edited("text")
    for name in ("/nowhere/editor", "'unclosed"):
        monkeypatch.setenv("EDITOR", name)
        with pytest.raises(NotFoundError, match="cannot be started"):
            edited("text")
