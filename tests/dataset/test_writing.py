"""Rows and their files: one line a row, read back as it was, and never half a file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from expert.dataset.reading import Source, read_rows
from expert.dataset.rows import KEYS, Row, checked, digest, normal
from expert.dataset.writing import check_target, row_file
from expert.errors import ResourceError, UsageError

ROWS = [
    Row("p", "a"),
    Row("Straße", "naïve\n日本 🚀", system="s", group="g"),
    Row("p", "a", history=(("q", "b"), ("r", "c"))),
    Row("p", "good", rejected="bad"),
    Row(text="plain\ttext"),
    Row("p", "a", extra={"schema": {"type": "object"}, "n": 1.5, "none": None}),
]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.zst"])
def test_rows_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    """Packed or not, whatever they hold."""
    kinds = {"conversation": ROWS[:3] + ROWS[5:], "preference": ROWS[3:4], "text": ROWS[4:5]}
    for kind, rows in kinds.items():
        path = tmp_path / f"{kind}-{name}"
        with row_file(path) as write:
            for row in rows:
                write(row)
        assert list(read_rows(Source(path))) == rows
        assert {row.kind for row in rows} == {kind}


def test_a_packed_file_is_what_others_read(tmp_path: Path) -> None:
    """Ordinary zstd, one JSON object a line."""
    with row_file(tmp_path / "rows.jsonl.zst") as write:
        for row in ROWS:
            write(row)
    packed = (tmp_path / "rows.jsonl.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read().decode()
    assert [json.loads(line) for line in plain.splitlines()] == [row.fields() for row in ROWS]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.zst"])
def test_an_error_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    """Nothing half-written, and no draft beside it."""
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), row_file(path) as write:
        write(ROWS[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As an error, not as a traceback."""
    with pytest.raises(ResourceError), row_file(tmp_path / "none" / "rows.jsonl") as write:
        write(ROWS[0])


def test_targets_are_checked_before_any_work(tmp_path: Path) -> None:
    """Their name, what is there already, and their folder."""
    there = tmp_path / "rows.jsonl"
    there.write_bytes(gzip.compress(b""))
    (tmp_path / "folder.jsonl").mkdir()
    for target, force, why in (
        (tmp_path / "rows.csv", False, "cannot hold rows"),
        (tmp_path / "rows.jsonl.gz", False, "cannot hold rows"),
        (there, False, "exists"),
        (tmp_path / "folder.jsonl", True, "exists"),
        (tmp_path / "none" / "rows.jsonl", False, "is no folder"),
    ):
        with pytest.raises(UsageError, match=why):
            check_target(target, force=force)
    check_target(there, force=True)
    check_target(tmp_path / "new.jsonl.zst", force=False)


BAD = [
    (Row("", "a"), "prompt is empty"),
    (Row("p", " \n"), "answer is empty"),
    (Row("p", "a", rejected=""), "rejected answer is empty"),
    (Row(text=" "), "text is empty"),
    (Row("p\0", "a"), "NUL"),
    (Row("p", "a", system="\0"), "NUL"),
    (Row("p", "a", history=(("q\0", "b"),)), "NUL"),
    (Row("p", "a\ud800"), "half a Unicode"),
    (Row("p", "a", group="\udfff"), "half a Unicode"),
]


@pytest.mark.parametrize(("row", "why"), BAD)
def test_rows_that_cannot_be_learnt_from(row: Row, why: str) -> None:
    """In a few words."""
    with pytest.raises(ValueError, match=why):
        checked(row)


def test_good_rows_pass() -> None:
    """As they are."""
    assert [checked(row) for row in ROWS] == ROWS


def test_what_is_asked_makes_the_group() -> None:
    """Equal but for case and spaces; a group of its own comes first, history is part of it."""
    one, other = Row("List  all\n", "ls"), Row("list ALL", "dir")
    assert one.key == other.key and one.key.startswith("asked:")
    assert Row("list all", "ls", history=(("a", "b"),)).key != one.key
    assert Row("list all", "ls", system="s").key != one.key
    assert Row("list all", "ls", group="g").key == "g"
    assert Row(text="x").key != Row(text="y").key


def test_everything_in_a_row_is_its_content() -> None:
    """In order: what was asked, the answer, the worse one."""
    row = Row("p", "a", system="s", history=(("q", "b"),), rejected="r")
    assert row.content == "s\nq\nb\np\na\nr" and row.asked == "s\nq\nb\np"
    assert Row(text="t").content == "t"


def test_further_fields_are_kept_beside(tmp_path: Path) -> None:
    """And written after our own, which they cannot stand for."""
    row = Row("p", "a").with_extra(difficulty="hard").with_extra(n=2)
    assert list(row.fields()) == ["prompt", "answer", "difficulty", "n"]
    assert set(row.fields()) & set(KEYS) == {"prompt", "answer"}
    assert json.loads(row.line()) == row.fields() and row.line().endswith(b"\n")


def test_hashes_do_not_change() -> None:
    """Groups that are in files elsewhere keep their names."""
    assert normal(" A\t B\n") == "a b"
    assert digest("list all") == digest(" LIST   all ") == "d1b19593e8dfb122"
