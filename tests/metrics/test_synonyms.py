"""Commands that mean the same: `find` and `grep` themselves say so."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from expert.metrics.shell import read_command, same_command, same_structure
from expert.metrics.synonyms import one_form

SAME = (
    ("find . -name x -print", "find -name x"),
    ("find / -perm -u+s", "find / -perm -u+s -print"),
    ("find ./ -type f | wc -l", "find -type f -print | wc -l"),
    ("find . -name a -and -type f", "find . -name a -type f"),
    ("find . -not -name a", "find . ! -name a"),
    ("find . \\( -name a -or -name b \\) -print", "find . '(' -name a -o -name b ')'"),
    ("find /tmp -mount -empty", "find /tmp -xdev -empty"),
    ("find . -name a -prune -print", "find . -name a -prune"),
    ("/bin/ls -l", "ls -l"),
    ("LANG=C /usr/bin/sort x", "LANG=C sort x"),
    ("egrep -v 'a|b' x", "grep -vE 'a|b' x"),
    ("gunzip x.gz", "gzip -d x.gz"),
    ("head -5 x", "head -n 5 x"),
    ("tail -n5 x", "tail -5 x"),
    ("sort -rnk2 x", "sort -n -r -k 2 x"),
    ("cut -d- -f2", "cut -d '-' -f 2"),
    ("cut -d' ' -f2", 'cut -d " " -f2'),
    ("awk -F: '{print $1}'", "awk -F : '{print $1}'"),
    ("xargs -n1 grep -A3 x", "xargs -n 1 grep -A 3 x"),
    ("sudo head -3 x", "sudo /usr/bin/head -n3 x"),
    ("find -exec head -3 {} \\;", "find . -exec head -n 3 {} ';'"),
    ("tar czf a b", "tar -czf a b"),
)
OTHER = (
    ("find . -name a -o -name b -print", "find . -name a -o -name b"),
    ("find . -name a -prune -o -print", "find . -name a -prune -o -type f"),
    ("find . -print -name a", "find . -name a"),
    ("find . -print -print", "find . -print"),
    ("find . -name a -exec ls {} \\; -print", "find . -name a -exec ls {} \\;"),
    ("find . -delete -print", "find . -delete"),
    ("find . ! -print", "find . !"),
    ("find . -name -print", "find . -name"),
    ("find . -exec ls -a {} \\;", "find . -exec ls {} \\;"),
    ("find a b", "find a"),
    ("find a", "find"),
    ("find link/ -type f", "find link -type f"),
    ("./bin/ls", "ls"),
    ("/home/me/bin/ls", "ls"),
    ("grep -not x", "grep ! x"),
    ("ls -print", "ls"),
    ("egrep x y", "grep x y"),
    ("head -c5 x", "head -n5 x"),
    ("cut -d-f2", "cut -d -f 2"),
    ("sort -- -k2", "sort -- -k 2"),
    ("echo -n5", "echo -n 5"),
    ("xargs echo -n5", "xargs echo -n 5"),
    ("grep -n5 x", "grep -n 5 x"),
    ("tar x y", "tar -y x"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same(one: str, other: str) -> None:
    """Missing paths, actions and operators are written out or left out."""
    assert same_command(one, other) and same_structure(one, other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_only_looks_the_same(one: str, other: str) -> None:
    """A `-print` that changes what is printed counts, and so do words of other programs."""
    assert not same_command(one, other)


def test_reading_leaves_every_word() -> None:
    """Only the comparison knows synonyms: what decides whether a command may run sees it all."""
    command = read_command("/bin/ls -a && find . -and -print")
    assert command is not None
    assert [part.words for part in command.parts] == [
        ["/bin/ls", "-a"],
        ["find", ".", "-and", "-print"],
    ]


@pytest.fixture(scope="module", name="tree")
def some_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files, folders, hidden files and a link."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("a.txt", "b.txt", ".hidden", "sub/a.txt", "sub/deep/c.log", "other/b"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name * len(name))
    (tree / "empty").touch()
    (tree / "link").symlink_to("a.txt")
    return tree


TESTS = (
    ["-name", "*.txt"],
    ["-iname", "A*"],
    ["-type", "f"],
    ["-type", "d"],
    ["-empty"],
    ["-size", "-1k"],
    ["-mtime", "-1"],
    ["-path", "*sub*"],
    ["-wholename", "*deep*"],
    ["-newer", "a.txt"],
    ["-prune"],
)
LAST: tuple[list[str], ...] = (
    [],
    ["-print"],
    ["-print"],
    ["-print0"],
    ["-exec", "echo", "-a", "{}", ";"],
    ["-ls", "-print"],
)


def expression(draw: random.Random, depth: int = 0) -> list[str]:
    """Return a random expression of `find`."""
    words: list[str] = []
    for place in range(draw.randint(1, 3)):
        if place:
            words += draw.choice(([], ["-a"], ["-and"], ["-o"], ["-or"]))
        words += draw.choice(([], [], ["!"], ["-not"]))
        if depth < 2 and draw.random() < 0.25:
            words += ["(", *expression(draw, depth + 1), ")"]
        else:
            words += draw.choice(TESTS)
    return words


@pytest.mark.parametrize("seed", range(120))
def test_find_finds_the_same(tree: Path, seed: int) -> None:
    """What a command prints does not change when it is written in its one form."""
    draw = random.Random(seed)
    paths = draw.choice(([], ["."], ["./"], ["sub/", "other"], ["-L", "."], ["-P"]))
    limits = draw.choice(([], ["-maxdepth", "2"], ["-mount"]))
    words = ["find", *paths, *limits, *expression(draw), *draw.choice(LAST)]
    other = one_form(words)
    assert other[0] == "find" and one_form(other) == other
    outputs = [
        subprocess.run(line, cwd=tree, capture_output=True, text=True) for line in (words, other)
    ]
    assert outputs[0].returncode == outputs[1].returncode == 0, outputs[0].stderr
    before, after = (re.split(r"[\s\0]+", done.stdout) for done in outputs)
    assert [os.path.normpath(word) for word in before] == [os.path.normpath(word) for word in after]
