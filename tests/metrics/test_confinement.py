"""Programs that can change nothing outside their folder, asked of the real kernel."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.metrics import confinement, sandbox
from expert.metrics.confinement import confined
from expert.metrics.shell import read_command

landlock = pytest.mark.skipif(not confinement.version(), reason="this kernel has no Landlock")


def sh(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command that is confined to *folder*, there."""
    return confined(
        folder,
        lambda: subprocess.run(
            ["bash", "-c", text], cwd=folder, capture_output=True, text=True, timeout=60
        ),
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder to work in and one outside, which holds a file."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    return inside, outside


@pytest.fixture
def anyones() -> Iterator[Path]:
    """Yield a folder that everybody can reach and write."""
    with tempfile.TemporaryDirectory(prefix="expert-test.") as name:
        Path(name).chmod(0o777)
        yield Path(name)


INSIDE = (
    "echo a > a", "mkdir -p b/c && mv a b/c/a && cat b/c/a", "cp -r b d && rm -r b", "ln -s d e",
    "mkfifo p", "echo x > /dev/null", "truncate -s 0 d/c/a && touch f && rm f",
    "cat ../outside/kept", "sort < /etc/passwd | head -1",
)  # fmt: skip


@landlock
def test_work_goes_on_inside(folders: tuple[Path, Path]) -> None:
    """Files are made, moved, linked, cut and removed; what is outside can still be read."""
    for text in INSIDE:
        done = sh(folders[0], text)
        assert (done.returncode, done.stderr) == (0, ""), text


OUTSIDE = (
    "echo a > {}/new", "echo a >> {}/kept", ": > {}/kept", "rm {}/kept", "mv {}/kept {}/moved",
    "mv {}/kept .", "touch {}/new", "mkdir {}/new", "ln -s x {}/new", "ln {}/kept linked",
    "mkfifo {}/new", "cp /etc/hostname {}/new", "truncate -s 0 {}/kept", "rmdir {}",
    "ln -s {} way && echo a > way/new", "(bash -c 'bash -c \"rm {}/kept\"')",
    "find {} -name kept -delete", "sed -i s/k/x/ {}/kept", "echo a | tee {}/new",
    "python3 -c 'open(\"{}/new\", \"w\")'", "sh -c 'cd {} && echo a > new'",
)  # fmt: skip


@landlock
@pytest.mark.parametrize("text", OUTSIDE)
def test_nothing_outside_changes(folders: tuple[Path, Path], text: str) -> None:
    """Whatever program tries it, however deep, by link or by path: the file and its folder stay."""
    inside, outside = folders
    done = sh(inside, text.format(*[outside] * text.count("{}")))
    assert done.returncode != 0
    assert [file.name for file in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"


@pytest.mark.parametrize("text", OUTSIDE)
def test_the_same_changes_something_without(
    folders: tuple[Path, Path], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a kernel without Landlock nothing is confined, so the commands above are real."""
    inside, outside = folders
    monkeypatch.setattr(confinement, "version", lambda: 0)
    before = os.stat(outside / "kept").st_ino
    sh(inside, text.format(*[outside] * text.count("{}")))
    names = sorted(file.name for file in outside.iterdir()) if outside.exists() else []
    linked = (inside / "linked").exists()
    assert linked or "rmdir" in text or names != ["kept"] or changed(outside / "kept", before)


def changed(file: Path, inode: int) -> bool:
    """Tell whether a file is another one or says something else."""
    return file.stat().st_ino != inode or file.read_text() != "kept"


@pytest.mark.skipif(confinement.version() < 4, reason="this kernel's Landlock knows no TCP")
def test_no_connection_is_made(tmp_path: Path) -> None:
    """A server on this machine is not reached from inside, and is from outside."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        assert sh(tmp_path, text).returncode != 0
        assert subprocess.run(["bash", "-c", text], timeout=60).returncode == 0


@pytest.mark.skipif(confinement.version() < 6, reason="this kernel's Landlock knows no signals")
def test_others_are_not_signalled(tmp_path: Path) -> None:
    """A program outside lives on; those inside can end each other."""
    with subprocess.Popen(["sleep", "60"]) as other:
        assert sh(tmp_path, f"kill {other.pid}").returncode != 0
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    assert sh(tmp_path, "sleep 60 & kill $!; wait $!").returncode == 128 + signal.SIGTERM


@landlock
def test_only_what_is_started_is_confined(folders: tuple[Path, Path]) -> None:
    """This thread and later ones stay as they were, after an error too."""
    inside, outside = folders
    with pytest.raises(ZeroDivisionError):
        confined(inside, lambda: 1 // 0)
    (outside / "mine").write_text("mine")
    done = confined(outside, lambda: subprocess.run(["touch", outside / "other"], timeout=60))
    assert done.returncode == 0


@landlock
def test_a_missing_folder_starts_nothing(tmp_path: Path) -> None:
    """What cannot be confined is not run."""
    ran: list[int] = []
    with pytest.raises(FileNotFoundError):
        confined(tmp_path / "gone", lambda: ran.append(1))
    assert not ran


@landlock
def test_no_handle_is_left_open(tmp_path: Path) -> None:
    """A thousand commands do not use the descriptors up."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        confined(tmp_path, lambda: None)
    assert len(os.listdir("/proc/self/fd")) == before


@landlock
@pytest.mark.skipif(not sandbox.available(), reason="no bash, sed, find or grep")
def test_the_sandbox_is_confined(monkeypatch: pytest.MonkeyPatch, anyones: Path) -> None:
    """A command that the filter of texts let through by mistake still changes nothing."""
    outside = anyones
    command = read_command(f"touch {outside}/new")
    assert command is not None
    assert sandbox.run(f"touch {outside}/new", command).code != 0
    assert not list(outside.iterdir())
    monkeypatch.setattr(confinement, "version", lambda: 0)
    assert sandbox.run(f"touch {outside}/new", command).code == 0
    assert [file.name for file in outside.iterdir()] == ["new"]
