"""What tells that the extra `train` is missing names every package that is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from expert.cli import main
from expert.cli.training import check_extra, installed, required
from expert.errors import UsageError
from support.songs import write_songs
from support.tiny_training import tiny_recipe

ROOT = Path(__file__).parents[2]
LISTED = """
msgspec>=0.19
torch; extra == 'train'
no-such-thing==2.13.0; extra == 'train'
Not.There_either [fast]>=1 ; python_version > "3" and extra == "train"
antlr4-cypher>=0.1.2; extra=='train'
missing-but-for-tests; extra == 'test'
missing-too; extra == 'trainer'
"""


def as_if_installed(folder: Path, listed: str = LISTED) -> None:
    """Write the metadata of a program with these requirements."""
    info = folder / "expert-99.dist-info"
    info.mkdir()
    lines = [f"Requires-Dist: {line}" for line in listed.split("\n") if line]
    head = ["Metadata-Version: 2.1", "Name: expert", "Version: 99"]
    (info / "METADATA").write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put metadata in front of the program's own."""
    as_if_installed(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("lacking")
def test_all_that_is_missing_is_named() -> None:
    """Of this extra alone; what is there is not."""
    assert required("train") == ["torch", "no-such-thing", "Not.There_either", "antlr4-cypher"]
    with pytest.raises(UsageError) as caught:
        check_extra()
    said = str(caught.value)
    assert "There is no no-such-thing, Not.There_either" in said and "torch" not in said
    assert "missing" not in said and "expert[train]" in said


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("command", ["train", "train dpo", "train distill", "eval"])
def test_every_command_tells_it_first(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it reads anything."""
    recipe, data = tiny_recipe(tmp_path / "songs"), write_songs(tmp_path / "data", 20)
    more = ["--teacher", "nobody"] if command == "train distill" else []
    assert main([*command.split(), str(recipe), "--data", str(data), *more]) == 2
    assert "no-such-thing, Not.There_either" in capsys.readouterr().err


def test_nothing_is_missing_here() -> None:
    """Where the tests run, everything is installed."""
    check_extra()
    assert installed("torch") and not installed("no-such-thing")


def test_an_unknown_installation_is_let_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata that lists nothing, and none at all, stop nobody."""
    as_if_installed(tmp_path, "")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert required("train") == []
    check_extra()
    monkeypatch.setattr(sys, "path", [])
    assert required("train") == []


def test_the_extra_lists_what_evaluation_imports() -> None:
    """The one list is the package's own; a build writes it into the metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {text.split("=")[0].rstrip("<>") for text in project["optional-dependencies"]["train"]}
    assert {"torch", "transformers", "tokenizers", "peft", "accelerate"} <= names
    assert {"sacrebleu", "antlr4-cypher"} <= names


def test_asking_imports_nothing() -> None:
    """Looking whether a package is there does not load it."""
    code = "import sys; from expert.cli.training import check_extra; check_extra(); "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'peft')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
