"""The examples of docs/routing.md run."""

import re
import shlex
from pathlib import Path

import pytest

from support.program import expert

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "routing.md").read_text()


def test_the_python_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """It works as written, from the repository's root."""
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})


def test_the_command() -> None:
    """The line after the $ works as written."""
    (line,) = re.findall(r"^\$ expert (.+)$", PAGE, re.MULTILINE)
    done = expert(*shlex.split(line))
    assert done.code == 0, done.message
