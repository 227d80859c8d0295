"""Shell commands by what they do: run in a throw-away directory, and only if they are harmless.

A command comes from a model, so most are never run: every program must be on a short list, every
path must stay inside, and nothing may expand to another command. What is run sees a PATH of those
programs alone, as nobody where we are root, with limits on time, memory and what it writes. Where
the kernel has Landlock, it refuses what would change anything outside that directory.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from expert.metrics.confinement import confined
from expert.metrics.shell import Command, Simple, read_command

LISTED = (
    "cat ls find grep egrep fgrep wc sort uniq head tail cut tr echo printf basename dirname sed "
    "paste join comm diff cmp nl rev tac fold seq touch mkdir rmdir rm mv cp xargs true"
)
SAFE = frozenset(LISTED.split())
ORDERED = frozenset(("sort", "head", "tail", "tac", "nl", "seq", "comm", "join", "paste", "cut"))
"""Programs whose output means its order; that of others is compared as a set of lines."""
EXPANDS = re.compile(r"[$`~\n\r\0]|<<")
OUTSIDE = re.compile(r"(?:^|[\s\"'=:,<>|;&({\\])/(?!dev/null(?:$|[\s\"']))|\.\.")
QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
BUILT = re.compile(
    r"\{[^{}\s]*(?:,|\.\.)|(?:^|[\s/])\.[^\s/]*[*?\[]|(?:^|[|&;(])\s*[A-Za-z_]\w*\+?="
)
"""Words that the shell makes of others, which can lead outside, and variables for a program."""
JOINED = re.compile(r"-\w+/")
"""An absolute path right behind the letter of its option."""
NAMING = frozenset(("find", "ls", "grep", "egrep", "fgrep", "sort", "uniq", "head", "tail"))
"""Programs that only pass on names which are there."""
SECONDS = 2
LIMITS = f"ulimit -t {SECONDS} -v 524288 -f 1024 -u 64"
"""Of processor time, memory (kB), what is written (kB), and processes."""
NOBODY = 65534
SCRATCH = "scratch"
"""Beside the directory of a command: where tac and sort put what they cannot keep in memory."""
FILES = {
    "a.txt": "one\ntwo\nthree\ntwo\n",
    "b.txt": "three\nfour\n",
    "notes.md": "# Notes\n\nfoo and bar\nerror: none\n",
    "main.py": "import os\nprint('foo')\n",
    "data.csv": "name,age\nanna,31\nbob,25\nanna,31\n",
    "script.sh": "echo hello\n",
    "index.html": "<p>foo</p>\n",
    ".hidden": "secret\n",
    "sub/c.txt": "five\nfoo\n",
    "sub/deep/d.log": "error one\nok\nerror two\n",
    "sub/photo.jpg": "\x01" * 3000,
    "empty.txt": "",
}
NAME = re.compile(r"[\w.,+@-]+(?:/[\w.,+@-]+)*")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    output: str
    tree: dict[str, str]
    """Paths to what they hold, `/` for a directory."""


def harmless(text: str) -> bool:
    """Tell whether a command may be run in a throw-away directory."""
    command = read_command(text)
    if command is None or EXPANDS.search(text) or OUTSIDE.search(text):
        return False
    if BUILT.search(QUOTED.sub("", text)) or not all(map(_stays, command.parts)):
        return False
    if not _told_apart(command):
        return False
    signs = [*command.operators, *(sign for p in command.parts for sign, _ in p.redirections)]
    if any(set(sign) & set("()") or sign == "&" for sign in signs):
        return False
    return all(part.program in SAFE or part == Simple() for part in command.parts)


def _stays(part: Simple) -> bool:
    """Tell whether no word of a command, its quotes taken off, leads out of where it runs."""
    words = [*part.flags, *part.arguments, *(name for _, name in part.redirections)]
    return not any(
        ".." in word
        or (word.startswith("/") and word != "/dev/null")
        or JOINED.match(word)
        or (len(word) > 2 and "--files0-from".startswith(word))
        or word == "-files0-from"
        for word in words
    )


def _told_apart(command: Command) -> bool:
    """Tell whether what xargs is given are names that exist, not ones that were just made up."""
    for place, part in enumerate(command.parts):
        if part.program != "xargs":
            continue
        if part.redirections or any(flag.startswith(("-a", "--a")) for flag in part.flags):
            return False
        for before in range(place - 1, -1, -1):
            fed = command.parts[before]
            made = any(flag.endswith("printf") for flag in fed.flags)
            if command.operators[before] != "|":
                break
            if fed.program not in NAMING or made or "<" in str(fed.redirections):
                return False
    return True


def same_effect(answer: str, reference: str) -> bool | None:
    """Tell whether two commands print and leave the same; None where the reference tells nothing:
    it may not be run, fails, or neither prints nor changes anything.
    """
    command, wanted = read_command(reference), telling(reference)
    if command is None or wanted is None:
        return None
    if not harmless(answer):
        return False
    found = run(answer, command)
    ordered = any(part.program in ORDERED for part in command.parts)
    return found.tree == wanted.tree and lines(found, ordered) == lines(wanted, ordered)


@cache
def telling(reference: str) -> Outcome | None:
    """Return what a command does, if it may be run, succeeds, and prints or changes anything."""
    command = read_command(reference)
    if command is None or not harmless(reference) or not available():
        return None
    outcome = run(reference, command)
    idle = not outcome.output and outcome.tree == run("true", command).tree
    return None if idle or outcome.code != 0 else outcome


def lines(outcome: Outcome, ordered: bool) -> list[str]:
    """Return what was printed, sorted where its order means nothing."""
    printed = outcome.output.splitlines()
    return printed if ordered else sorted(printed)


def available() -> bool:
    """Tell whether this system has what commands are run with."""
    return os.name == "posix" and all(map(shutil.which, ("bash", "sed", "find", "grep")))


def run(text: str, about: Command) -> Outcome:
    """Run a harmless command among some files, those that the command *about* names among them."""
    with tempfile.TemporaryDirectory(prefix="expert-shell.") as name, programs() as path:
        whole, folder = Path(name), Path(name, "here")
        furnish(folder, about)
        (whole / SCRATCH).mkdir()
        root = os.geteuid() == 0
        if root:
            hand_over(whole)
        process = confined(whole, lambda: _start(text, folder, path, as_nobody=root))
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            output = b""
        finally:
            _end(process)
        return Outcome(process.returncode, output.decode("utf-8", "replace"), tree(folder))


def _start(text: str, folder: Path, path: Path, *, as_nobody: bool) -> subprocess.Popen[bytes]:
    """Start a command in a folder, with the programs of another and limits on what it takes."""
    return subprocess.Popen(
        [str(shutil.which("bash")), "--norc", "--noprofile", "-c", f"{LIMITS}\n{text}"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
        env={
            "PATH": str(path), "HOME": str(folder), "TMPDIR": str(folder.parent / SCRATCH),
            "LC_ALL": "C", "TZ": "UTC",
        },
        user=NOBODY if as_nobody else None, group=NOBODY if as_nobody else None,
        extra_groups=[] if as_nobody else None,
    )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextmanager
def programs() -> Iterator[Path]:
    """Yield a folder that holds the safe programs alone; sed may run and write nothing itself."""
    with tempfile.TemporaryDirectory(prefix="expert-path.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for program in SAFE:
            found = shutil.which(program)
            if found and program == "sed":
                (folder / program).write_text(f'#!/bin/sh\nexec {found} --sandbox "$@"\n')
                (folder / program).chmod(0o755)
            elif found:
                (folder / program).symlink_to(found)
        yield folder


def furnish(folder: Path, about: Command) -> None:
    """Write a few files, and some that a command's arguments name or match."""
    wanted = dict(FILES)
    for part in about.parts:
        for argument in part.arguments:
            plain = re.sub(r"\[(.)[^\]]*\]", r"\1", argument).replace("*", "one").replace("?", "x")
            if not NAME.fullmatch(plain) or plain.startswith(".") and argument == plain:
                continue
            if "." in plain.split("/")[-1] or plain != argument:
                wanted[plain] = wanted[f"sub/{plain}"] = "foo\nbar 12\nfoo\n"
            elif part.program not in ("echo", "printf", "seq", "mkdir", "touch"):
                wanted[f"{plain}/a.txt"] = "one\ntwo\n"
    for name, content in wanted.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
        except OSError:  # one name is a folder of another
            continue


def hand_over(folder: Path) -> None:
    """Give a folder to nobody."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def tree(folder: Path) -> dict[str, str]:
    """Return what a folder holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():
            found[name] = "/" if path.is_dir() else "?"
        else:
            found[name] = sha256(path.read_bytes()).hexdigest()
    return found
