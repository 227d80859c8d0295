"""What the documents say is what the program does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from expert.cli import VERBS
from support.program import expert

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", README, re.MULTILINE)


def test_the_readme_has_its_two_lines() -> None:
    """Each is one shell line that does all its own set-up, and CI runs the second as it stands."""
    ask, check = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert re.search(r'pip install -q \. && \.venv/bin/expert ask ".+"$', ask)
    assert check in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_run(command: str, pocket: Path, tmp_path: Path) -> None:
    """Every line after a $ works as written, with the embedded base."""
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_command_is_in_the_reference() -> None:
    """`docs/commands.md` is what `--help` prints; `docs/write_commands.py` writes it anew."""
    command = [sys.executable, str(ROOT / "docs" / "write_commands.py"), "--print"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "commands.md").read_text() == done.stdout
    for verb in VERBS:
        assert f"## expert {verb}\n" in done.stdout


def test_the_tour_names_files_that_exist() -> None:
    """Every path in the tour is there."""
    tour = (ROOT / "docs" / "tour.md").read_text()
    names = set(re.findall(r"`([\w/]+(?:\.py|/))`", tour))
    files = [f"/{path.relative_to(ROOT)}" for path in ROOT.glob("[a-z]*/**/*.py")]
    for name in names:
        found = [file for file in files if file.endswith(f"/{name}") or f"/{name}" in file]
        assert found, name


def test_links_between_documents_lead_somewhere() -> None:
    """Relative links in the Markdown files point to files."""
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("module", ["expert.assistant", "expert.conversation"])
def test_the_python_examples_run(module: str, pocket: Path) -> None:
    """The five lines in each docstring work as they stand."""
    import importlib

    example = (importlib.import_module(module).__doc__ or "").partition("\n\n")[2]
    assert len([line for line in example.splitlines() if line]) <= 6
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_help_of_the_whole_command_names_the_way_on() -> None:
    """A newcomer is told where to look next."""
    assert "--help" in expert("--help").text
