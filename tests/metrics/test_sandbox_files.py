"""What a throw-away directory holds before and after a command, and what is compared of it."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from expert.metrics import sandbox
from expert.metrics.sandbox import FILES, Outcome, furnish, lines, same_effect, telling, tree
from expert.metrics.shell import Command, read_command

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="needs bash, sed, find and grep")


def command(text: str) -> Command:
    """Return a command's structure."""
    found = read_command(text)
    assert found is not None
    return found


def holding(tmp_path: Path, text: str) -> set[str]:
    """Return the files that a command's directory holds beside those of every one."""
    furnish(tmp_path, command(text))
    return {name for name, held in tree(tmp_path).items() if held != "/"} - set(FILES)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cat report.txt", {"report.txt", "sub/report.txt"}),
        ("cat logs/app.log", {"logs/app.log", "sub/logs/app.log"}),
        ("ls *.py", {"one.py", "sub/one.py"}),
        ("ls file?.txt", {"filex.txt", "sub/filex.txt"}),
        ("ls [ab].md", {"a.md", "sub/a.md"}),
        ("rm -r folder", {"folder/a.txt"}),
        ("echo hello", set()),
        ("mkdir new", set()),
        ("grep 'two words' .", set()),
        ("cat .profile", set()),
        ("cat ~/x", set()),
    ],
)
def test_what_a_command_names_is_there(tmp_path: Path, text: str, wanted: set[str]) -> None:
    """Files it names or matches exist, at the top and below; words and new names do not."""
    assert holding(tmp_path, text) == wanted


def test_a_name_that_is_also_a_folder_is_left_out(tmp_path: Path) -> None:
    """One argument is a file, another lies inside it: neither is an error."""
    assert "a.b" in holding(tmp_path, "cat a.b a.b/c.d")


def test_the_same_command_finds_the_same_files(tmp_path: Path) -> None:
    """Two directories for one command hold the same, so that only the command can differ."""
    trees = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        furnish(folder, command("cat x.txt | sort > y.txt"))
        trees.append(tree(folder))
    assert trees[0] == trees[1] and len(trees[0]) > len(FILES)


def test_a_tree_says_what_each_path_is(tmp_path: Path) -> None:
    """Contents by their hash, directories and everything else by a sign."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("missing")
    os.mkfifo(tmp_path / "pipe")
    assert tree(tmp_path) == {
        "file": sha256(b"content").hexdigest(),
        "folder": "/",
        "folder/inner": "/",
        "to-file": "?",
        "nowhere": "?",
        "pipe": "?",
    }


def test_lines_are_sorted_where_order_means_nothing() -> None:
    """A listing is a set; what was sorted is a list."""
    outcome = Outcome(0, "b\na\nc\n", {})
    assert lines(outcome, ordered=True) == ["b", "a", "c"]
    assert lines(outcome, ordered=False) == ["a", "b", "c"]
    assert lines(Outcome(0, "", {}), ordered=False) == []


@pytest.mark.parametrize(
    ("text", "code", "output"),
    [
        ("cat a.txt | head -n 2", 0, "one\ntwo\n"),
        ("grep -c two a.txt", 0, "2\n"),
        ("grep nothing a.txt", 1, ""),
        ("cat missing.txt || echo none", 0, "none\n"),
        ("printf 'a\\tb' | cut -f 2", 0, "b\n"),
        ("seq 3 | tac", 0, "3\n2\n1\n"),
        ("find . -name '*.log'", 0, "./sub/deep/d.log\n"),
        ("nothing-of-that-name", 127, ""),
    ],
)
def test_what_a_command_prints_and_returns(text: str, code: int, output: str) -> None:
    """It runs in its own directory, with the programs of the list."""
    found = sandbox.run(text, command("ls"))
    assert (found.code, found.output) == (code, output)


@pytest.mark.parametrize(
    ("text", "gone", "made"),
    [
        ("rm a.txt", {"a.txt"}, set()),
        ("mv a.txt z.txt", {"a.txt"}, {"z.txt"}),
        ("cp a.txt sub", set(), {"sub/a.txt"}),
        ("mkdir -p x/y", set(), {"x", "x/y"}),
        ("touch new", set(), {"new"}),
        ("rm -r sub", {"sub", "sub/c.txt", "sub/deep", "sub/deep/d.log", "sub/photo.jpg"}, set()),
        ("ls", set(), set()),
    ],
)
def test_what_a_command_leaves(text: str, gone: set[str], made: set[str]) -> None:
    """Every path that came or went, and the contents that moved with it."""
    about = command("ls")
    before, after = sandbox.run("true", about).tree, sandbox.run(text, about).tree
    assert (set(before) - set(after), set(after) - set(before)) == (gone, made)
    if "mv" in text:
        assert after["z.txt"] == before["a.txt"]


def test_nothing_of_a_run_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories are taken away, whether a command ends well, badly, or is ended."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o755)
    for text in ("ls", "rm -r sub; exit 3", "chmod 0 ."):
        sandbox.run(text, command("ls"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("cat a.txt b.txt", "cat b.txt a.txt", True),  # cat is no program of order
        ("sort -r a.txt | tac", "sort a.txt", True),
        ("sort -r a.txt", "sort a.txt", False),
        ("sort a.txt > out.txt", "sort a.txt -o out.txt", True),
        ("sort a.txt > out.txt", "sort a.txt > other.txt", False),
        ("grep -n foo notes.md", "grep foo notes.md", False),
        ("touch new; ls", "ls", False),
        ("uniq a.txt", "cat a.txt", True),
        ("false || ls", "ls", False),  # not a program of the list
    ],
)
def test_effects_by_hand(answer: str, reference: str, same: bool) -> None:
    """What is printed and what is left decide together."""
    assert same_effect(answer, reference) is same


def test_a_reference_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many answers are held against it."""
    telling.cache_clear()
    runs: list[str] = []
    real = sandbox.run

    def noted(text: str, about: Command) -> Outcome:
        runs.append(text)
        return real(text, about)

    monkeypatch.setattr(sandbox, "run", noted)
    for _ in range(3):
        assert same_effect("ls", "ls sub | sort") is False
    assert runs.count("ls sub | sort") == 1 and runs.count("ls") == 3
    telling.cache_clear()
