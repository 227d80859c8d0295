"""What a question mentions, and what is offered while it is written."""

from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.tui.commands import COMMANDS, called, number, place
from expert.tui.completing import Completion, Known, completions
from expert.tui.mentions import files_like, read_mentions, written

EXPERTS = ("expert/sql", "acme/json")


@pytest.fixture(name="folder")
def some_files(tmp_path: Path) -> Path:
    """Return a folder of files with all kinds of names."""
    for name in ("notes.txt", "two words.txt", "sql", "data/users.csv", ".secret"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "read", "files"),
    [
        ("sum up @notes.txt", "sum up notes.txt", ["notes.txt"]),
        ("@notes.txt", "notes.txt", ["notes.txt"]),
        ("see @notes.txt, please", "see notes.txt, please", ["notes.txt"]),
        ('(in @"two words.txt")', "(in two words.txt)", ["two words.txt"]),
        ("@notes.txt and @notes.txt", "notes.txt and notes.txt", ["notes.txt"]),
        ("@data/users.csv @notes.txt", "data/users.csv notes.txt", ["data/users.csv", "notes.txt"]),
        ("@./sql is a file", "./sql is a file", ["./sql"]),
        ("me@notes.txt", "me@notes.txt", []),
        ("@nobody knows @data", "@nobody knows @data", []),
        ("@property\ndef x", "@property\ndef x", []),
        ("@" + "x" * 5000, "@" + "x" * 5000, []),
        ("@\0 @~nobody/x", "@\0 @~nobody/x", []),
        ("", "", []),
    ],
)
def test_files_are_attached(folder: Path, text: str, read: str, files: list[str]) -> None:
    """Files that are there, once each, under the names they have in the question."""
    found = read_mentions(text, EXPERTS, folder)
    assert (found.text, [file.name for file in found.files]) == (read, files)
    assert not found.names_expert
    for file in found.files:
        assert file.text == f"text of {file.name.removeprefix('./')}\n"


@pytest.mark.parametrize("name", ["sql", "expert/sql", "json", "base", "none"])
def test_experts_are_left_to_the_router(folder: Path, name: str) -> None:
    """The name stays in the question, even where a file is called so."""
    found = read_mentions(f"@{name} how many users?", EXPERTS, folder)
    assert found.names_expert and found.files == ()
    assert found.text == f"@{name} how many users?"


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    """The question is not asked without it."""
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    with pytest.raises(UsageError, match=r"picture\.png is not text"):
        read_mentions("what is in @picture.png?", (), folder)


@pytest.mark.parametrize("path", ["notes.txt", "two words.txt", "a@b", "what?", "ü.md", "end."])
def test_what_is_completed_is_read_again(tmp_path: Path, path: str) -> None:
    """A file that was completed is the file that is attached."""
    (tmp_path / path).write_text("x")
    found = read_mentions(f"see {written(path)} now", (), tmp_path)
    assert [file.name for file in found.files] == [path]
    assert found.text == f"see {path} now"


def test_files_are_listed(folder: Path) -> None:
    """By the beginning of their path; hidden ones, and what is no folder, only as one means it."""
    assert list(files_like("", folder, 9)) == ["data/", "notes.txt", "sql", "two words.txt"]
    assert list(files_like("no", folder, 9)) == ["notes.txt"]
    assert list(files_like("data/", folder, 9)) == ["data/users.csv"]
    assert list(files_like(".s", folder, 9)) == [".secret"]
    assert list(files_like("", folder, 2)) == ["data/", "notes.txt"]
    for odd in ("none/", "notes.txt/", "~nobody/", "\0/", "x" * 5000 + "/"):
        assert list(files_like(odd, folder, 9)) == []
    (folder / "a\x1b[31m.txt").touch()
    assert list(files_like("a", folder, 9)) == []


def texts(before: str, folder: Path, models: tuple[str, ...] = ("pocket", "big")) -> list[str]:
    """Return what is offered after *before*."""
    known = Known(lambda: EXPERTS, lambda: models, folder)
    return [one.text for one in completions(before, known)[1]]


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("/ex", ["/expert", "/export"]),
        ("/new", []),
        ("/expert ", ["sql", "json", "none"]),
        ("/expert sql j", ["json"]),
        ("/scale s", ["sql"]),
        ("/retry j", ["json"]),
        ("/model b", ["big"]),
        ("/copy ", []),
        ("/nothing s", []),
        ("ask @s", ["@sql", "@sql"]),
        ("ask @b", ["@base"]),
        ("ask @no", ["@notes.txt"]),
        ('ask @"tw', ['@"two words.txt"']),
        ("ask @tw", ['@"two words.txt"']),
        ("ask @data/", ["@data/users.csv"]),
        ("ask @da", ["@data/"]),
        ("mail me@no", []),
        ("a question", []),
        ("", []),
    ],
)
def test_what_is_offered(folder: Path, before: str, offered: list[str]) -> None:
    """What fits what was begun, nothing else."""
    assert texts(before, folder) == offered


def test_every_command_is_offered(tmp_path: Path) -> None:
    """With what it does."""
    known = Known(lambda: (), lambda: (), tmp_path)
    begun, found = completions("/", known)
    assert begun == "/"
    assert found == [Completion(f"/{one.name}", one.about) for one in COMMANDS]


def test_names_that_two_publishers_use(tmp_path: Path) -> None:
    """They are offered whole."""
    known = Known(lambda: ("a/sql", "b/sql", "b/json"), lambda: (), tmp_path)
    assert [one.text for one in completions("/expert ", known)[1]] == [
        "a/sql", "b/sql", "json", "none",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/new", ("new",)),
        ("/expert sql:0.5  json", ("expert", "sql:0.5", "json")),
        ("/nothing", ("nothing",)),
        ("/", ("",)),
        ("/etc/hosts: what is it?", None),
        ("a /new", None),
        ("//", None),
        ("/New", None),
    ],
)
def test_commands_are_told_from_questions(text: str, words: tuple[str, ...] | None) -> None:
    """A slash and one word of small letters; a path is no command."""
    found = called(text)
    assert (found and (found.name, *found.words)) == words


@pytest.mark.parametrize(
    ("word", "at"),
    [("1", 0), ("2", 1), ("3", None), ("0", None), ("sql", 0), ("acme/json", 1), ("x", None)],
)
def test_experts_are_numbered_or_named(word: str, at: int | None) -> None:
    """Numbers begin at 1; a name may stand without its publisher."""
    assert place(word, EXPERTS) == at


@pytest.mark.parametrize(
    ("text", "scale"),
    [("0.5", 0.5), ("-1", -1.0), ("2", 2.0), ("nan", None), ("inf", None), ("x", None), ("", None)],
)
def test_scales_are_finite_numbers(text: str, scale: float | None) -> None:
    """Anything else is no scale."""
    assert number(text) == scale
