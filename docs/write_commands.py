"""Writes `docs/commands.md` from the commands' own help; `--print` prints it instead."""

import os
import subprocess
import sys
from pathlib import Path

from expert.cli import VERBS

HEAD = "# Commands\n\nWritten from `--help` by `docs/write_commands.py`.\n"


def help_of(*words: str) -> str:
    """Return what `expert WORDS --help` prints at 80 columns."""
    command = [sys.executable, "-m", "expert", *words, "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return f"```text\n{done.stdout.rstrip()}\n```\n"


def main() -> None:
    """Collect the help of every command."""
    parts = [HEAD, help_of()] + [f"## expert {verb}\n\n{help_of(verb)}" for verb in VERBS]
    text = "\n".join(parts)
    if "--print" in sys.argv:
        print(text, end="")
    else:
        Path(__file__).with_name("commands.md").write_text(text)


if __name__ == "__main__":
    main()
