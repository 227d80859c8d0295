"""The house rules, checked: layers, lazy imports, one package a root."""

import subprocess
import sys
from pathlib import Path

import pytest

from expert.cli import VERBS

ROOT = Path(__file__).parents[1]
HEAVY = (
    "llama_cpp", "numpy", "textual", "rich", "torch", "sqlite_utils", "huggingface_hub", "jinja2",
    "msgspec", "gguf",
)  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def imported(code: str) -> set[str]:
    """Return which heavy packages are loaded after running code in a fresh interpreter."""
    watch = f"import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = run(sys.executable, "-c", f"{code}\n{watch}")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


def test_layers_point_down() -> None:
    """import-linter's contracts hold."""
    done = run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()")
    assert done.returncode == 0, done.stdout


def test_the_command_imports_nothing_heavy() -> None:
    """`import expert.cli` is only a dispatch table."""
    assert imported("import expert, expert.cli") == set()


@pytest.mark.parametrize("verb", VERBS)
def test_help_imports_nothing_heavy(verb: str) -> None:
    """Help for any verb loads neither llama.cpp nor numpy nor a template engine."""
    code = f"import expert.cli\ntry: expert.cli.main([{verb!r}, '--help'])\nexcept SystemExit: pass"
    assert imported(code) - {"msgspec"} == set()


def test_each_root_holds_one_package() -> None:
    """Any other module there would become a top-level import of every user."""
    for root, package in (("app", "expert"), ("converters", "expert_converters")):
        names = {path.name for path in (ROOT / root).iterdir() if path.name != "__pycache__"}
        assert names == {package}


def test_packaging_is_no_package() -> None:
    """An __init__ there would shadow the library of that name."""
    assert not (ROOT / "packaging" / "__init__.py").exists()
