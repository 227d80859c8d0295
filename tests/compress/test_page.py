"""What `docs/compress.md` shows runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.packages import make_package

PAGE = (Path(__file__).parents[2] / "docs" / "compress.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^expert .+$", PAGE.partition("```sh\n")[2].partition("```")[0], re.MULTILINE
)


@pytest.mark.slow
def test_the_examples_run(adapter: Path, tiny_path: Path, tmp_path: Path) -> None:
    """One after another, in a folder with an adapter, its package, its base and two rows."""
    contents = adapter.read_bytes()
    (tmp_path / "songs.gguf").write_bytes(contents)
    (tmp_path / "base.gguf").write_bytes(tiny_path.read_bytes())
    make_package(tmp_path, contents=contents, name="songs").rename(tmp_path / "songs.expert")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "play jazz", "answer": "jazz"}\n"stop"\n')
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "EXPERT_THREADS": "1", "EXPERT_MODEL": "base.gguf"}
    assert len(COMMANDS) == 6
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, stdin=subprocess.DEVNULL, text=True,
            env=environment, capture_output=True, errors="replace",  # random weights write bytes
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)


def test_the_page_speaks_of_every_method() -> None:
    """The table has a row for each."""
    from expert.cli.compress import METHODS

    rows = "".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert all(f"`{method}`" in rows for method in METHODS)
