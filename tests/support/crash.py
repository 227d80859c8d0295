"""A disk that fails at a chosen step: the process dies there, and unsynchronised writes are lost.

Every change to the file system, and every begin and commit in the database, is a step. What SQLite
has committed with full synchronisation counts as safe; files count as safe once synchronised, names
once their folder is.
"""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from expert.store.files import Files

Lost = Literal["nothing", "contents", "names"]


class CrashingFiles(Files):
    """Kills this process before step *at*; *sync* False is a program that forgot to synchronise."""

    def __init__(self, at: int, lost: Lost = "nothing", *, sync: bool = True) -> None:
        self.at, self.lost, self.does_sync = at, lost, sync
        self.steps = 0
        self.safe: set[Path] = set()
        self.renamed: dict[Path, Path] = {}

    def step(self) -> None:
        """Count a step, or die."""
        self.steps += 1
        if self.steps == self.at:
            self.lose()
            os.kill(os.getpid(), signal.SIGKILL)

    def lose(self) -> None:
        """Take away what a power cut may take away."""
        for new, old in self.renamed.items():
            if not new.exists():
                continue
            if self.lost == "names":
                old.parent.mkdir(parents=True, exist_ok=True)
                new.rename(old)
            elif self.lost == "contents" and new not in self.safe:
                new.chmod(0o644)
                os.truncate(new, new.stat().st_size // 2)
                new.chmod(0o444)

    def make_folder(self, path: Path) -> None:
        self.step()
        super().make_folder(path)

    def sync(self, path: Path) -> None:
        self.step()
        if self.does_sync:
            super().sync(path)
            self.safe.add(path)

    def sync_folder(self, path: Path) -> None:
        self.step()
        if self.does_sync:
            super().sync_folder(path)
            self.renamed = {
                new: old
                for new, old in self.renamed.items()
                if new.parent != path or (self.lost == "contents" and new not in self.safe)
            }

    def protect(self, path: Path) -> None:
        self.step()
        super().protect(path)

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        super().rename(old, new)
        self.renamed[new] = old
        if old in self.safe:
            self.safe.add(new)

    def remove(self, path: Path) -> None:
        self.step()
        super().remove(path)

    def remove_folder(self, path: Path) -> None:
        self.step()
        super().remove_folder(path)


def run_until(files: CrashingFiles, work: Callable[[Files], object]) -> bool:
    """Run *work* in a forked process with a failing disk; tell whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            _count_statements(files)
            work(files)
            if not files.does_sync:
                files.lose()
            os._exit(0)
        except BaseException:  # noqa: B036  a forked test must not go on as the test runner
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return True


def _count_statements(files: CrashingFiles) -> None:
    class Counting(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            # Between these two nothing reaches the database that a crash would keep.
            if arguments[0].startswith(("BEGIN", "COMMIT")):
                files.step()
            return super().execute(*arguments)

    connect = sqlite3.connect

    def counting(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=Counting, **options)

    sqlite3.connect = counting  # type: ignore[assignment]  # only in the forked process
