"""What is shipped: the built wheel holds both packages and the data, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel and return the names inside."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_both_packages_are_in_it(names: set[str]) -> None:
    """The product and the converters, each under its own name."""
    assert {"expert/__init__.py", "expert/cli/ask.py", "expert_converters/__init__.py"} <= names


def test_the_embedded_base_is_in_it(names: set[str], pocket: Path) -> None:
    """A user has a model without any download."""
    assert f"expert/data/experts/pocket/{pocket.name}" in names


def test_nothing_else_is(names: set[str]) -> None:
    """Neither tests nor caches nor another top-level name."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "expert",
        "expert_converters",
    }
    assert not [
        name for name in names if "__pycache__" in name or Path(name).stem.startswith("test")
    ]
