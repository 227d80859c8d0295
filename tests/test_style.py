"""The code passes its own checks: ruff, mypy strict, sizes, and no debts."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = sorted((ROOT / "app").rglob("*.py")) + sorted((ROOT / "converters").rglob("*.py"))


@pytest.mark.parametrize("command", [("ruff", "check"), ("ruff", "format", "--check")])
def test_ruff(command: tuple[str, ...]) -> None:
    """Lint and format are clean."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "app", "converters", "tests"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_mypy_strict() -> None:
    """Every type checks."""
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file has at most 400 lines and a docstring, a function at most 60 lines."""
    text = path.read_text()
    assert text.count("\n") <= 400
    tree = ast.parse(text)
    if tree.body:
        assert ast.get_docstring(tree) or path.name == "_version.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= 60, f"{node.name} has {size} lines"


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_debts_and_no_bare_exceptions_to_the_rules(path: Path) -> None:
    """No reminders left behind; an ignored check names its code and its reason."""
    text = path.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    for line in text.splitlines():
        assert not re.search(r"# type: ignore(?!\[[\w-]+\]  # \w)", line), line
        assert not re.search(r"# noqa(?!: [A-Z]+\d+  \w)", line), line
