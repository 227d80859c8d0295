"""CSV, Parquet and data sets' folders, beside the libraries that write them."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from expert.dataset.reading import Source, places, read_rows
from expert.dataset.rows import Row
from expert.errors import NotFoundError, UsageError, VerificationError

ROWS = [
    {"prompt": f"question {n}", "answer": f'say "{n}",\nor ={n}', "source": "x"} for n in range(30)
]


def csv_file(path: Path, rows: list[list[str]]) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def parquet_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_csv_with_everything_quoted(tmp_path: Path) -> None:
    """Quotes, commas and line breaks inside cells are what they were, formulas too."""
    table = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    found = list(read_rows(Source(csv_file(tmp_path / "a.csv", table))))
    assert [row.fields() for row in found] == ROWS


def test_lines_of_bad_csv_rows(tmp_path: Path) -> None:
    """Too few or too many cells, empty ones, a NUL: each with the line it begins in."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'prompt,answer\n"two\nlines",b\nonly\n\na,b,c\nd,\ne,f\0\ng,h\n')
    found = [(place.number, place.problem) for place in places(Source(path))]
    assert found == [
        (2, ""),
        (4, "it has 1 cells, the header 2"),
        (6, "it has 3 cells, the header 2"),
        (7, "the answer is empty"),
        (8, "it holds a NUL character"),
        (9, ""),
    ]


def test_quotes_that_never_close(tmp_path: Path) -> None:
    """They swallow the rest of the file, which is one bad row and not a crash."""
    path = tmp_path / "a.csv"
    path.write_text('prompt,answer\na,b\n"c,d\n' + "x,y\n" * 1000)
    found = [(place.number, place.problem) for place in places(Source(path))]
    assert found[0] == (2, "")
    assert found[1][0] == 3
    assert found[1][1]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("header", "why"),
    [("prompt,answer,prompt", "'prompt' is there more than once"), ("prompt,,answer", "no name")],
)
def test_headers_that_cannot_be(header: str, why: str, tmp_path: Path) -> None:
    """Duplicate and nameless columns are refused as a whole."""
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\na,b,c\n")
    with pytest.raises(VerificationError) as told:
        list(read_rows(Source(path)))
    assert why in told.value.why


def test_other_delimiters(tmp_path: Path) -> None:
    """Tabs by the file's name, others by an option."""
    (tmp_path / "a.tsv").write_text("prompt\tanswer\na,b\tc\n")
    (tmp_path / "b.csv").write_text("prompt;answer\na,b;c\n")
    wanted = [Row("a,b", "c")]
    assert list(read_rows(Source(tmp_path / "a.tsv"))) == wanted
    assert list(read_rows(Source(tmp_path / "b.csv", delimiter=";"))) == wanted
    (tmp_path / "b.csv").write_text("prompt;answer\na b;c\n")
    with pytest.raises(UsageError, match="no form"):
        list(read_rows(Source(tmp_path / "b.csv")))


# Parquet ------------------------------------------------------------------------------------------


def test_parquet(tmp_path: Path) -> None:
    """Text, numbers, lists, missing values and dates; batch by batch."""
    from datetime import date

    rows = [
        {"prompt": f"p{n}", "answer": n, "tags": ["a", "b"], "day": date(2020, 1, 2), "x": None}
        for n in range(2500)
    ]
    found = list(read_rows(Source(parquet_file(tmp_path / "a.parquet", rows))))
    assert len(found) == 2500
    assert found[7] == Row("p7", "7", extra={"tags": ["a", "b"], "day": "2020-01-02", "x": None})


def test_chats_in_parquet(tmp_path: Path) -> None:
    """Lists of messages, as most data sets on a hub have them."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = parquet_file(tmp_path / "a.parquet", [{"messages": turns}] * 3)
    assert list(read_rows(Source(path))) == [Row("a", "b")] * 3


def test_damaged_parquet(tmp_path: Path) -> None:
    """Cut, emptied, or none at all: an error that says so."""
    path = parquet_file(tmp_path / "a.parquet", ROWS)
    raw = path.read_bytes()
    for bad in (raw[:-20], raw[:100], b"", b"PAR1", b"x" * 500):
        path.write_bytes(bad)
        with pytest.raises(VerificationError, match="damaged"):
            list(read_rows(Source(path)))


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    path = parquet_file(tmp_path / "a.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("expert.dataset.tables.find_spec", lambda name: None)
    with pytest.raises(UsageError) as told:
        list(read_rows(Source(path)))
    assert "expert[dataset]" in told.value.fix


# Folders ------------------------------------------------------------------------------------------


def test_a_folder_from_a_hub(tmp_path: Path) -> None:
    """Files named after their split, in order; train unless another is named."""
    for number, part in enumerate((ROWS[:20], ROWS[20:])):
        parquet_file(tmp_path / f"data/train-0000{number}-of-00002.parquet", part)
    parquet_file(tmp_path / "data/test-00000-of-00001.parquet", ROWS[:2])
    (tmp_path / "README.md").write_text("# A data set")
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert [row.fields() for row in read_rows(Source(tmp_path))] == ROWS
    assert len(list(read_rows(Source(tmp_path, split="test")))) == 2
    with pytest.raises(NotFoundError, match="'dev'") as told:
        list(read_rows(Source(tmp_path, split="dev")))
    assert "test, train" in told.value.why


def test_folders_of_splits(tmp_path: Path) -> None:
    """A folder a split, with numbered files."""
    parquet_file(tmp_path / "train/0000.parquet", ROWS[:3])
    parquet_file(tmp_path / "validation/0000.parquet", ROWS[3:5])
    assert len(list(read_rows(Source(tmp_path)))) == 3
    assert len(list(read_rows(Source(tmp_path, split="validation")))) == 2


def arrow_folder(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write what `datasets.Dataset.save_to_disk` writes: Arrow streams, and a state."""
    import pyarrow
    import pyarrow.ipc

    folder.mkdir(parents=True)
    names = []
    for number in range(2):
        part = rows[number::2]
        table = pyarrow.Table.from_pylist(part)
        names.append(f"data-{number:05d}-of-00002.arrow")
        with pyarrow.ipc.new_stream(str(folder / names[-1]), table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_what_save_to_disk_writes(tmp_path: Path) -> None:
    """One data set, or a dictionary of splits."""
    arrow_folder(tmp_path / "one", ROWS)
    assert len(list(read_rows(Source(tmp_path / "one")))) == len(ROWS)
    arrow_folder(tmp_path / "many/train", ROWS)
    arrow_folder(tmp_path / "many/test", ROWS[:4])
    (tmp_path / "many/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert len(list(read_rows(Source(tmp_path / "many")))) == len(ROWS)
    assert len(list(read_rows(Source(tmp_path / "many", split="test")))) == 4


def test_hostile_folders(tmp_path: Path) -> None:
    """A state that leads out of the folder, is damaged, or names files that are none."""
    folder = arrow_folder(tmp_path / "one", ROWS)
    secret = tmp_path / "secret.arrow"
    secret.write_bytes(b"secret")
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../secret.arrow"}]}')
    with pytest.raises(NotFoundError, match="does not exist"):
        list(read_rows(Source(folder)))
    for text in ("{", "[]", '{"_data_files": 3}', '{"_data_files": [{}]}', "[" * 100_000):
        (folder / "state.json").write_text(text)
        with pytest.raises((VerificationError, NotFoundError)):
            list(read_rows(Source(folder)))
    (folder / "state.json").write_text('{"_data_files": [{"filename": "bad.arrow"}]}')
    (folder / "bad.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(VerificationError, match="damaged"):
        list(read_rows(Source(folder)))
