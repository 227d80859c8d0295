"""The program without Python: how it is built, and that it runs where there is none.

Building takes a minute of two cores, so it happens only with EXPERT_STANDALONE=build; a folder
that was built already is looked at with EXPERT_STANDALONE=FOLDER.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from expert._version import __version__
from support.terminal import TMUX, Opened

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "packaging" / "build_standalone.py"
WANTED = os.environ.get("EXPERT_STANDALONE", "")


def told(folder: Path) -> list[str]:
    """Return what PyInstaller is told."""
    command = [sys.executable, str(BUILD), "-o", str(folder), "--print"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def after(words: Sequence[str], option: str) -> list[str]:
    """Return every value of an option."""
    return [value for word, value in zip(words, words[1:], strict=False) if word == option]


def test_everything_is_taken_along(tmp_path: Path) -> None:
    """Every package of ours, the data folders, and each library that the program needs."""
    words = told(tmp_path)
    assert after(words, "--distpath") == [str(tmp_path)]
    assert {"expert", "expert_converters"} <= set(after(words, "--collect-submodules"))
    assert "llama_cpp" in after(words, "--collect-all")
    data = dict(pair.rsplit(":", 1) for pair in after(words, "--add-data"))
    assert set(data.values()) == {"expert/data/experts", "expert/data/grammars"}
    assert all(Path(source).is_dir() for source in data)
    assert "_cffi_backend" in after(words, "--hidden-import")
    assert {"llguidance", "textual", "sqlite-utils"} <= set(after(words, "--copy-metadata"))
    assert Path(words[-1]).is_file()


def test_training_is_left_out(tmp_path: Path) -> None:
    """Nothing that the program itself needs is; torch and its company are."""
    left_out = set(after(told(tmp_path), "--exclude-module"))
    assert {"torch", "transformers", "pyarrow", "pytest"} <= left_out
    needed = {"numpy", "textual", "llama_cpp", "llguidance", "nacl", "zstandard", "msgspec"}
    assert not needed & left_out


def test_without_pyinstaller_it_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is built, and the message names the package."""
    script = (
        "import importlib.util as u, runpy, sys; u.find_spec = lambda name: None; "
        f"sys.argv = ['build', '-o', {str(tmp_path)!r}]; "
        f"runpy.run_path({str(BUILD)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, "pip install pyinstaller" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


# What was built -----------------------------------------------------------------------------------


@pytest.fixture(name="program", scope="module")
def built_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program, built now or before."""
    if not WANTED:
        pytest.skip("set EXPERT_STANDALONE to `build`, or to a folder that was built")
    folder = Path(WANTED)
    if WANTED == "build":
        folder = tmp_path_factory.mktemp("dist")
        subprocess.run([sys.executable, str(BUILD), "-o", str(folder)], check=True)
    return folder / "expert" / "expert"


@pytest.fixture(name="bare")
def bare_machine(program: Path, tmp_path: Path) -> list[str]:
    """Return what runs the program where nothing else is: its folder and the C library."""
    if os.geteuid() or not shutil.which("chroot"):
        pytest.skip("needs root, to change the root folder")
    root = tmp_path / "root"
    shutil.copytree(program.parent, root / "opt" / "expert", symlinks=True)
    found = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)
    for word in (*found.stdout.split(), *SYSTEM):
        if word.startswith("/") and Path(word).is_file():
            target = root / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(word, target)
            target.chmod(0o755)
    (root / "tmp").mkdir()
    (root / "dev").mkdir()
    (root / "dev" / "null").touch()
    return [str(shutil.which("chroot")), str(root), "/opt/expert/expert"]


SYSTEM = [
    str(path)
    for name in ("libm.so.6", "librt.so.1", "libutil.so.1", "libresolv.so.2")
    for path in Path("/lib").glob(f"*/{name}")
]
"""Parts of the C library that are loaded later."""


def run(command: list[str], *arguments: str, home: str = "/tmp") -> str:
    """Run it with nothing in its environment but a home."""
    done = subprocess.run(
        [*command, *arguments], env={"HOME": home, "PATH": "/nonexistent"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def test_it_answers_where_nothing_else_is(bare: list[str]) -> None:
    """With another root folder, in which there is no Python, no shell and no library but C's."""
    assert run(bare, "version") == f"expert {__version__}\n"
    assert run(bare, "ask", "-q", "size=large; colour=green; size?").strip()
    schema = '{"enum": ["red", "green"]}'
    assert run(bare, "ask", "-q", "--schema", schema, "colour=green; colour?").strip() in (
        '"red"', '"green"',
    )  # fmt: skip
    assert "colour=green" in run(bare, "log", "list")
    assert "pocket" in run(bare, "model", "list")
    assert "llama.cpp" in run(bare, "doctor")
    assert json.loads(run(bare, "search", "--json")) is not None
    assert "csv" in run(bare, "grammar", "list")


def test_the_chat_opens(program: Path, tmp_path: Path) -> None:
    """The screens are in it as well."""
    if TMUX is None:
        pytest.skip("needs tmux, a terminal to look at")
    clean = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "screen-256color"}
    for terminal in Opened(tmp_path).terminal({**clean, "LANG": "C.UTF-8"}):
        terminal.enter(f"{program} chat; echo code $?")
        terminal.on("ChatScreen")
        terminal.wait_for("· pocket ·")
        terminal.enter("size=large; colour=green; size?")
        terminal.wait_for("base · ↑")
        terminal.act("app.quit")
        terminal.wait_for("code 0")
