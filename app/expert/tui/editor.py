"""Changing a text in the editor of one's own choice."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, UsageError


def edited(text: str) -> str:
    """Return *text* as it is after the user's editor, which takes the terminal meanwhile.

    Raises:
        UsageError: there is no editor, or what it left is not text.
        NotFoundError: the editor cannot be started.
        ExpertError: the editor failed, so that nothing is changed.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("There is no editor.", "Neither VISUAL nor EDITOR is set.", "Set EDITOR.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "question.md")
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        try:
            code = subprocess.run([*shlex.split(editor), str(file)]).returncode
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise NotFoundError(
                f"The editor {editor!r} cannot be started.", f"{why}.", "Set EDITOR."
            ) from error
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
