"""One spelling of commands: it does what the command did, and `find` itself is asked."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from expert.metrics.shell import same_structure
from expert.train.examples import Source
from expert.train.rows import read_rows
from expert.train.tasks.shell import LONGEST_COMMAND
from expert.train.tasks.spelling import one_spelling, repaired

SPELT = (
    ("find -name *bar", 'find . -name "*bar"'),
    ("find ./  -iname '*.MP3' -print | wc -l", 'find . -iname "*.MP3" | wc -l'),
    (
        "find . -name a -type f -exec rm '{}' ';'",
        'find . -type f -name "a" -exec rm {} \\;',
    ),
    ("find . -mtime +7 -name x -type d -maxdepth 2", ""),
    ("find . -not -name a -and \\! -empty", 'find . ! -name "a" ! -empty'),
    ("find . \\( -name a -or -name b \\)", 'find . \\( -name "a" -o -name "b" \\)'),
    ("find . -exec ls {} ;", "find . -exec ls {} \\;"),
    ("find  .  -exec ls  '{}' ;", "find . -exec ls {} \\;"),
    ("ps | head -5", "ps | head -n 5"),
    ("tail -n3 x", "tail -n 3 x"),
)
KEPT = (
    'find . ! -name "a" -type f',
    'find . -name "a" -o -name "b" -print',
    'find . -name "a" -prune -o -print',
    "find . -name '$x' -empty",
    "find . -name \\*.txt",
    "echo find -print",
    "grep -not x y",
    "echo 'a -or b -not c'",
    "awk '{print $1}'  x  # -print",
    "ls 'a   b'",
    "",
)


@pytest.mark.parametrize(("command", "spelling"), SPELT)
def test_one_spelling(command: str, spelling: str) -> None:
    """Whatever way it was written; what is written so stays so."""
    wanted = spelling or 'find . -maxdepth 2 -type d -mtime +7 -name "x"'
    assert one_spelling(command) == wanted == one_spelling(wanted)


@pytest.mark.parametrize("command", KEPT)
def test_what_would_mean_something_else_is_kept(command: str) -> None:
    """A type does not move past a negation, nor `-print` away from an alternative."""
    assert one_spelling(command) == command


WORDS = ("-name '*.txt'", "-iname A*", "-type f", "-type d", "-empty", "-size -1k", "-mtime -1")
BEFORE = ("", "", "", "! ", "-not ", "\\! ")
BETWEEN = (" ", " ", " -a ", " -and ", " -o ", " -or ")
AFTER = ("", " -print", " -print0", " -exec echo '{}' ';'", " -maxdepth 1", " | head -3")


@pytest.mark.parametrize("seed", range(60))
def test_find_finds_the_same(tmp_path: Path, seed: int) -> None:
    """Random commands on a real folder, with warnings about their order left out."""
    for name in ("a.txt", "b.log", "sub/a.txt", "sub/deep/c", "A"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "none").touch()
    draw = random.Random(seed)
    command = "find" + draw.choice(("", " .", " ./", " sub"))
    for place in range(draw.randint(1, 4)):
        between = draw.choice(BETWEEN) if place else " "
        test = draw.choice(BEFORE) + draw.choice(WORDS)
        if draw.random() < 0.3:
            test = f"\\( {test}{draw.choice(BETWEEN)}{draw.choice(WORDS)} \\)"
        command += between + test
    command += draw.choice(AFTER)
    before, after = (
        subprocess.run(
            ["sh", "-c", "set -f; " + text], cwd=tmp_path, capture_output=True, text=True
        )
        for text in (command, one_spelling(command))
    )
    found = [[os.path.normpath(w) for w in re.split(r"[\n\0]", d.stdout)] for d in (before, after)]
    assert found[0] == found[1] and before.returncode == after.returncode == 0, command


@pytest.mark.slow
def test_what_people_wrote_keeps_its_structure(data: Path) -> None:
    """Every row comes out in its last spelling; bash reads all that it read before."""
    rows = read_rows(Source(data).task("shell/nl2bash_train"))
    commands = [repaired(row["cmd"]) for row in rows if len(row["cmd"]) <= LONGEST_COMMAND]
    changed = [(text, new) for text in commands if (new := one_spelling(text)) != text]
    assert len(changed) > 3000
    assert [new for _, new in changed if one_spelling(new) != new] == []
    assert [pair for pair in changed if not same_structure(*pair)] == []
    assert [pair for pair in changed[::10] if bash_reads(pair[0]) and not bash_reads(pair[1])] == []


def bash_reads(text: str) -> bool:
    """Tell whether bash parses a command, which it does not run."""
    return subprocess.run(["bash", "-n", "-c", "--", text], capture_output=True).returncode == 0
