"""Rows of every common form, brought into ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset.conftest import Write
from expert.dataset.formats import recognise, to_row
from expert.dataset.reading import Skipped, Source, places, read_rows
from expert.dataset.rows import Row
from expert.errors import NotFoundError, UsageError, VerificationError


def row_of(fields: dict[str, Any]) -> Row:
    """Return what a row of a form that is told by its fields becomes."""
    form = recognise(fields)
    assert form is not None
    return to_row(form, fields)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"prompt": "a", "completion": "b"}, Row("a", "b")),
        ({"prompt": "a", "answer": {"x": [1, "é"]}}, Row("a", '{"x": [1, "é"]}')),
        ({"prompt": "a", "response": 3}, Row("a", "3")),
        ({"instruction": "a", "input": "b", "output": "c"}, Row("a\n\nb", "c")),
        ({"instruction": "a", "input": "", "output": "c"}, Row("a", "c")),
        ({"instruction": "a", "response": "c"}, Row("a", "c")),
        (
            {"instruction": "a", "output": "c", "system": "s", "history": [["x", "y"]]},
            Row("a", "c", "s", (("x", "y"),)),
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "s"},
                    {"from": "human", "value": "a"},
                    {"from": "gpt", "value": "b"},
                    {"from": "human", "value": "c"},
                    {"from": "gpt", "value": "d"},
                ]
            },
            Row("c", "d", "s", (("a", "b"),)),
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                ]
            },
            Row("a", "b"),
        ),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, Row("a", "b", rejected="c")),
        (
            {
                "chosen": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                ],
                "rejected": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "c"},
                ],
            },
            Row("a", "b", rejected="c"),
        ),
        ({"text": "t"}, Row(text="t")),
        ({"text": "t", "src": "x"}, Row(text="t", extra={"src": "x"})),
        (
            {"prompt": "a", "answer": "b", "group": "g", "schema": {"x": 1}, "none": None},
            Row("a", "b", group="g", extra={"schema": {"x": 1}, "none": None}),
        ),
    ],
)  # fmt: skip
def test_forms(fields: dict[str, Any], wanted: Row) -> None:
    """Each is known by its fields; what is written is read back as the same row."""
    row = row_of(fields)
    assert row == wanted
    again = json.loads(row.line())
    assert row_of(again) == row


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"prompt": " ", "answer": "b"}, "the prompt is empty"),
        ({"prompt": "a", "answer": ""}, "the answer is empty"),
        ({"prompt": "a", "answer": None}, "the answer is empty"),
        ({"prompt": "a", "answer": float("nan")}, "the answer is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "rejected answer is empty"),
        ({"prompt": "a\0", "answer": "b"}, "NUL"),
        ({"prompt": "a", "answer": "\ud800"}, "half a Unicode"),
        ({"prompt": "a", "answer": "b", "note": "\udfff"}, "half a Unicode"),
        ({"prompt": "a", "answer": b"b"}, "bytes"),
        ({"prompt": "a", "answer": "b", "x": {"y": float("inf")}}, "JSON"),
        ({"prompt": "a", "answer": "b", "history": [["x"]]}, "history"),
        ({"prompt": "a", "answer": "b", "history": "x"}, "history"),
        ({"conversations": "x"}, "no list"),
        ({"conversations": []}, "pairs"),
        ({"conversations": [3]}, "no object"),
        ({"conversations": [{"from": "gpt", "value": "a"}]}, "pairs"),
        ({"messages": [{"role": "user", "content": "a"}]}, "pairs"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "'tool'"),
        ({"messages": [{}]}, "role"),
        ({"text": "  "}, "the text is empty"),
    ],
)
def test_rows_that_cannot_be_learnt(fields: dict[str, Any], why: str) -> None:
    """Each is refused in a few words."""
    with pytest.raises(ValueError, match=why):
        row_of(fields)


def test_a_form_is_told_by_the_first_row(write: Write) -> None:
    """A later row without its fields is bad, not of another form."""
    path = write("a.jsonl", [{"instruction": "a", "output": "b"}, {"text": "c"}])
    found = list(places(Source(path)))
    assert found[0].row == Row("a", "b")
    assert found[1].problem == "the prompt is empty"


def test_a_chosen_form_needs_its_fields(write: Write) -> None:
    """The missing one is named."""
    path = write("a.jsonl", [{"prompt": "a", "answer": "b"}])
    (found,) = places(Source(path, "preference"))
    assert "'chosen'" in found.problem


def test_fields_of_any_name(write: Write) -> None:
    """A mapping says which is which; without one, the error names what there is."""
    path = write("a.jsonl", [{"question": "a", "sql": "b", "db": "x"}])
    with pytest.raises(UsageError) as told:
        list(read_rows(Source(path)))
    assert "question, sql, db" in told.value.why
    columns = {"question": "prompt", "sql": "answer", "db": "group"}
    assert list(read_rows(Source(path, columns=columns))) == [Row("a", "b", group="x")]


def test_one_bad_row_among_many(write: Write) -> None:
    """Its line is named; it ends the reading, or is left out and counted."""
    rows: list[Any] = [{"prompt": f"p{n}", "answer": "a"} for n in range(1000)]
    rows[700] = '{"prompt": "p", "answer": '
    path = write("a.jsonl", rows)
    with pytest.raises(VerificationError, match="Line 701 of") as told:
        list(read_rows(Source(path)))
    assert "--skip-bad" in told.value.fix
    skipped = Skipped()
    assert len(list(read_rows(Source(path), skipped))) == 999
    assert skipped.count == 1
    assert skipped.first[0].startswith("line 701: it is not JSON")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.json", "a.jsonl.gz"])
def test_nothing_in_it(name: str, tmp_path: Path) -> None:
    """An empty file has no rows, whatever its kind."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises((NotFoundError, VerificationError)):
        list(read_rows(Source(tmp_path / name)))


def test_what_is_not_there(tmp_path: Path) -> None:
    """Missing files, kinds that nobody knows, encodings that nobody knows."""
    with pytest.raises(NotFoundError):
        list(read_rows(Source(tmp_path / "none.jsonl")))
    with pytest.raises(NotFoundError):
        list(read_rows(Source(tmp_path / "none.parquet")))
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises(UsageError, match="no known kind"):
        list(read_rows(Source(tmp_path / "a.xyz")))
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(NotFoundError, match="encoding"):
        list(read_rows(Source(tmp_path / "a.jsonl", encoding="klingon")))
