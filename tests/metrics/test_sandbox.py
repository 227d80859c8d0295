"""Commands are compared by what they do, and only harmless ones are ever run."""

import os
from pathlib import Path

import pytest

from expert.metrics import sandbox
from expert.metrics.sandbox import harmless, same_effect, telling
from expert.metrics.shell import read_command

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="needs bash, sed, find and grep")

HARMLESS = [
    "ls -la",
    "find . -name '*.py' | wc -l",
    "grep -r foo sub > found.txt",
    "cat a.txt 2>/dev/null",
    "find . -name x -exec rm {} \\;",
    "sort a.txt | uniq -c",
    "rm a.txt && ls",
]
DANGEROUS = [
    "", "sudo ls", "rm -rf /", "rm -rf /*", "cat /etc/passwd", "cat ../../etc/passwd", "ls ~",
    "echo $HOME", "echo `id`", "echo $(id)", "kill -9 -1", "\\kill -9 -1", "'ki'll 1",
    "{ kill 1; }", "! kill 1", "A=b kill 1", "(kill 1)", "echo a >(kill 1)", "cat <(kill 1)",
    "ls & kill 1", "ls &", "ls\nkill 1", "if true; then kill 1; fi", "echo a > /tmp/x",
    "cat << E", "eval ls", "exec ls", "bash -c ls", "awk 1 a.txt", "python -c 1", "curl x.org",
    "find . -exec /bin/sh {} \\;", "time kill 1", "coproc kill 1", "echo a >/dev/tcp/x/1",
    "echo a >\\/dev/tcp/x/1", "ls; echo a>/tmp/x", "echo 'a", "cat a.txt | sh",
    ". a.txt", "source a.txt", "ln -s sub x", "kill() ls",
]  # fmt: skip


@pytest.mark.parametrize("command", HARMLESS)
def test_harmless_commands(command: str) -> None:
    """Programs that only read and write where they are told, in the directory they run in."""
    assert harmless(command)


@pytest.mark.parametrize("command", DANGEROUS)
def test_dangerous_commands_are_never_run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs, paths outside, and everything that expands to more than it shows."""
    monkeypatch.setattr(sandbox, "run", lambda *_: pytest.fail("it was run"))
    assert not harmless(command)
    assert telling(command) is None and same_effect("ls", command) is None


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("ls | wc -l", "ls | wc -l", True),
        ("find . -type f -name '*.txt'", "find -name '*.txt' -type f | sed 's/x/x/'", True),
        ("grep -c foo notes.md", "grep foo notes.md | wc -l", True),
        ("sort -u a.txt", "sort a.txt | uniq", True),
        ("sort -r a.txt", "sort a.txt", False),
        ("head -n 1 a.txt", "head -n 2 a.txt", False),
        ("rm a.txt", "find . -name a.txt -delete", False),
        ("rm a.txt b.txt", "rm b.txt a.txt", True),
        ("cp a.txt new.txt", "cat a.txt > new.txt", True),
        ("cat /etc/passwd", "cat a.txt", False),
        ("cat report.txt", "cat report.txt | head -n 99", True),
        ("find . -name '*.xyz'", "find . -iname '*.xyz'", True),
    ],
)
def test_commands_with_the_same_effect(answer: str, reference: str, same: bool) -> None:
    """What is printed counts, in order where a program makes one, and what is left behind."""
    assert same_effect(answer, reference) is same


@pytest.mark.parametrize("reference", ["cat nothing-here.zzz/q", "true", "sudo ls", "ls -Q --bad"])
def test_a_reference_that_tells_nothing_decides_nothing(reference: str) -> None:
    """It fails, does nothing, or may not be run."""
    assert same_effect("ls", reference) is None


def test_only_listed_programs_are_found() -> None:
    """Even where a command gets past the reading of it, its PATH holds nothing else."""
    with sandbox.programs() as folder:
        names = {path.name for path in folder.iterdir()}
    assert names <= sandbox.SAFE and {"ls", "sed", "find"} <= names
    command = read_command("ls")
    assert command is not None
    assert sandbox.run("python3 -c 'print(1)' || perl -e 1 || curl x", command).code == 127
    assert sandbox.run("echo 1 | sed 's/1/id/e'", command).code != 0
    assert sandbox.run("sed -n 'w out.txt' a.txt", command).code != 0


def test_what_runs_too_long_or_writes_too_much_is_ended() -> None:
    """Time and the size of files are limited, and nothing is left running."""
    command = read_command("cat a.txt")
    assert command is not None
    assert sandbox.run("while true; do true; done", command).code != 0
    outcome = sandbox.run("seq 1 9999999 > big.txt", command)
    assert outcome.code != 0 and "big.txt" in outcome.tree


def test_root_hands_its_rights_over(tmp_path: Path) -> None:
    """A command that root would be allowed to run is refused to nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root has rights to hand over")
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    command = read_command("cat a.txt")
    assert command is not None
    assert sandbox.run(f"cat {secret}", command).output == ""
    assert sandbox.run("cat a.txt", command).output.startswith("foo")
