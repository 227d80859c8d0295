"""Writes `docs/commands.md` from the commands' own help; `--print` prints it instead."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from expert.cli import MODULES, VERBS

HEAD = "# Commands\n\nWritten from `--help` by `docs/write_commands.py`.\n"


def help_of(*words: str) -> str:
    """Return what `expert WORDS --help` prints at 80 columns."""
    command = [sys.executable, "-m", "expert", *words, "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return f"```text\n{done.stdout.rstrip()}\n```\n"


def main() -> None:
    """Collect the help of every command."""
    parts = [HEAD, help_of()]
    for verb in VERBS:
        forms = getattr(import_module(f"expert.cli.{MODULES.get(verb, verb)}"), "ALSO", {})
        for words in ((verb,), *((verb, form) for form in forms)):
            parts.append(f"## expert {' '.join(words)}\n\n{help_of(*words)}")
    text = "\n".join(parts)
    if "--print" in sys.argv:
        print(text, end="")
    else:
        Path(__file__).with_name("commands.md").write_text(text)


if __name__ == "__main__":
    main()
