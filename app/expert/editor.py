"""Changing a text in the editor of one's own choice."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, UsageError


def find_editor(otherwise: str = "Set EDITOR.") -> list[str]:
    """Return the words that start the user's editor; *otherwise* is what to do if there is none.

    Raises:
        UsageError: there is none.
        NotFoundError: its quotes do not close.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("There is no editor.", "Neither VISUAL nor EDITOR is set.", otherwise)
    try:
        return shlex.split(editor)
    except ValueError as error:
        raise NotFoundError(
            f"The editor {editor!r} cannot be started.", f"{error}.", "Set EDITOR."
        ) from error


def run_editor(editor: list[str], file: Path) -> int:
    """Let the user change a file, and return the editor's exit code.

    Raises:
        NotFoundError: the editor cannot be started.
    """
    try:
        return subprocess.run([*editor, str(file)]).returncode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotFoundError(
            f"The editor {shlex.join(editor)!r} cannot be started.", f"{why}.", "Set EDITOR."
        ) from error


def edited(text: str) -> str:
    """Return *text* as it is after the user's editor, which takes the terminal meanwhile.

    Raises:
        UsageError: there is no editor, or what it left is not text.
        NotFoundError: the editor cannot be started.
        ExpertError: the editor failed, so that nothing is changed.
    """
    editor = find_editor()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "question.md")
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        code = run_editor(editor, file)
        if code:
            raise ExpertError(
                "The question was not changed.", f"The editor ended with code {code}.", "Try again."
            )
        try:
            return file.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, ValueError) as error:
            raise UsageError(
                "The question was not changed.", f"What the editor left: {error}.", "Try again."
            ) from error
