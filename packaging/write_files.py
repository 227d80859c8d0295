"""Writes what packages carry beside the program: completions and the manual.

`--print NAME` prints one of them instead.
"""

import sys
from pathlib import Path

from expert.cli.commands import commands
from expert.cli.completions import SHELLS
from expert.cli.man import manual

FOLDER = Path(__file__).parent
NAMES = {
    "bash": "completions/expert.bash",
    "zsh": "completions/_expert",
    "fish": "completions/expert.fish",
    "man": "man/expert.1",
}


def main() -> None:
    """Write every file that is not what the commands say now."""
    found = commands()
    texts = {shell: write(found) for shell, write in SHELLS.items()} | {"man": manual(found)}
    if sys.argv[1:2] == ["--print"]:
        print(texts[sys.argv[2]], end="")
        return
    for name, text in texts.items():
        path = FOLDER / NAMES[name]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
