"""Copying text to the clipboard: by the system's own tool, or by asking the terminal."""

import base64
import shutil
import subprocess
import sys

_TOOLS = (
    ("wl-copy",),
    ("xclip", "-selection", "clipboard"),
    ("xsel", "--clipboard", "--input"),
    ("pbcopy",),
    ("clip.exe",),
)


def copy(text: str) -> None:
    """Put *text* on the clipboard; a terminal does it where no tool can (OSC 52, xterm)."""
    raw = text.encode("utf-8", "surrogateescape")
    for tool in _TOOLS:
        if shutil.which(tool[0]):
            done = subprocess.run(
                tool, input=raw, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if done.returncode == 0:
                return
    code = base64.b64encode(raw).decode()
    sys.stdout.write(f"\x1b]52;c;{code}\x07")
    sys.stdout.flush()
