"""The lock: one process at a time, freed by death, refused where there are no locks."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from expert.errors import ResourceError
from expert.store.locks import exclusive

HOLD = """
import sys, time
from pathlib import Path
from expert.store.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from expert.store.locks import exclusive
for _ in range(20):
    with exclusive(Path(sys.argv[1])):
        counter = Path(sys.argv[2])
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def hold(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds the lock, and wait until it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_held_lock_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    """The refusal comes after the timeout and says what to do."""
    process = hold(tmp_path / ".lock")
    try:
        start = time.monotonic()
        with (
            pytest.raises(ResourceError, match="Another Expert"),
            exclusive(tmp_path / ".lock", 0.3),
        ):
            pass
        assert time.monotonic() - start >= 0.3
    finally:
        process.kill()
        process.communicate()


def test_a_killed_process_frees_the_lock(tmp_path: Path) -> None:
    """Nothing has to be cleaned up after a crash."""
    process = hold(tmp_path / ".lock")
    process.kill()
    process.communicate()
    with exclusive(tmp_path / ".lock", 5):
        pass


def test_only_one_process_is_inside(tmp_path: Path) -> None:
    """Four processes count to eighty without losing one."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / ".lock"), str(counter)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert counter.read_text() == "80"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ResourceError, match="cannot be locked"),
        exclusive(tmp_path / "file" / ".lock"),
    ):
        pass


def test_the_holder_may_take_it_again(tmp_path: Path) -> None:
    """Setting the database up inside a change does not wait for the change to end."""
    with exclusive(tmp_path / ".lock", 1), exclusive(tmp_path / ".lock", 1):
        pass
    process = hold(tmp_path / ".lock")
    process.kill()
    process.communicate()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    """Two threads of one process are as good as two processes."""
    refused = []

    def other() -> None:
        try:
            with exclusive(tmp_path / ".lock", 0.1):
                pass
        except ResourceError as error:
            refused.append(error)

    thread = threading.Thread(target=other)
    with exclusive(tmp_path / ".lock"):
        thread.start()
        thread.join()
    assert len(refused) == 1
