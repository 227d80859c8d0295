"""Prompts: attached files, and what is dropped when they are too long."""

from pathlib import Path

import pytest

from expert.assistant import Assistant
from expert.attachments import LONGEST, read_attachment
from expert.errors import InputTooLongError, NotFoundError, UsageError
from expert.grammar.sql.read import read_text
from expert.rendering import with_attachments
from expert.tables import with_tables
from expert.types import Attachment, Message


def test_files_stand_fenced_before_the_question() -> None:
    """Named, in order, in fences that they cannot close; the question is last."""
    turns = [Message("system", "S"), Message("user", "What is it?")]
    files = [Attachment("a.py", "x = 1"), Attachment("b\n\x1b.md", "```\ncode\n```\n")]
    _, last = with_attachments(turns, files)
    assert last.content == (
        "a.py:\n```\nx = 1\n```\n\nb ␛.md:\n````\n```\ncode\n```\n````\n\nWhat is it?"
    )
    assert with_attachments(turns, []) == turns


def test_tables_stand_before_the_question() -> None:
    """The model sees what its answer is held to, in the notation of the training data."""
    tables = read_text("CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT)")
    turns = [Message("system", "s"), Message("user", "how many singers?")]
    system, last = with_tables(turns, tables)
    assert system == turns[0]
    assert last.content == "singer(id number pk, name)\n\nhow many singers?"
    assert with_tables([last], tables) == [last], "it shows them already"
    assert with_tables(turns, None) == turns


def test_reading_a_file(tmp_path: Path) -> None:
    """As text, without a byte order mark or carriage returns."""
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_attachment(path) == Attachment(str(path), "one\ntwo")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\xff", UsageError), (b"a\0b", UsageError), (None, NotFoundError)],
)
def test_what_is_no_text(tmp_path: Path, data: bytes | None, kind: type[Exception]) -> None:
    """Is refused with the reason."""
    path = tmp_path / "x"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(kind):
        read_attachment(path)


def test_what_has_no_end() -> None:
    """Neither a folder nor an endless device is read for ever."""
    with pytest.raises(NotFoundError):
        read_attachment(Path("/"))
    with pytest.raises(InputTooLongError, match=f"{LONGEST >> 20} MiB"):
        read_attachment(Path("/dev/zero"))


def test_an_attachment_reaches_the_model(tiny_path: Path) -> None:
    """From Python as from the command line."""
    with Assistant(tiny_path, history=False) as assistant:
        _, rendered = assistant.preview("Why?", attachments=(Attachment("a.txt", "because"),))
    assert "a.txt:\n```\nbecause\n```\n\nWhy?" in rendered.text
