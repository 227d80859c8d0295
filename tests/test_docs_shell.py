"""Every command of `docs/shell.md` works as written, one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from expert.prompts import load_template

PAGE = (Path(__file__).parents[1] / "docs" / "shell.md").read_text()


def test_the_page_runs_from_top_to_bottom(pocket: Path, tmp_path: Path) -> None:
    """With the embedded base; each line ends with code 0."""
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    commands = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
    assert len(commands) > 15
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)


def test_the_template_is_one(tmp_path: Path) -> None:
    """As printed on the page, with the value of the example."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "explain.toml"
    path.write_text(text)
    system, prompt = load_template(str(path)).fill("a chord", {"subject": "music"})
    assert system == "You teach music."
    assert prompt == "Explain in one sentence: a chord"
