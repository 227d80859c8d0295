"""Options of `expert dataset`, each given to the real program, with what it promises.

One data set needs them all to be read: a folder with two splits, of CSV with semicolons, in Latin-1
and with foreign column names, one row of it broken.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from expert.dataset.reading import Source, read_rows
from support.program import Outcome, expert

COUNT = 12
"""Rows that can be used."""
READING = (
    "--form", "rows", "--map", "frage=prompt", "--map", "antwort=answer", "--map", "art=group",
    "--split", "test", "--encoding", "latin-1", "--delimiter", ";", "--json",
)  # fmt: skip
TOLD = "1 bad rows were left out"


@pytest.fixture(name="data")
def folder_of_splits(tmp_path: Path) -> Path:
    """Return the folder: `train` has nothing in it that can be read so, `test` the rows."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text("x\n1\n", encoding="latin-1")
    rows = [f"Zähle die Zeilen von Datei {n};wc -l {n}.txt;g{n % 3}" for n in range(COUNT)]
    text = "\n".join(["frage;antwort;art", *rows[:5], "broken", *rows[5:], ""])
    (folder / "test.csv").write_text(text, encoding="latin-1")
    return folder


def good(*arguments: str | Path) -> tuple[Any, Outcome]:
    """Run the program, which must succeed; return its JSON too."""
    done = expert(*arguments)
    assert done.code == 0, (arguments, done.message)
    return json.loads(done.out), done


def answers(path: Path) -> list[str]:
    """Return the answers in a file of rows."""
    return [row.answer for row in read_rows(Source(path))]


def test_counting(data: Path, tiny_path: Path) -> None:
    """The rows of the split are read as told, and the broken one is named."""
    found, done = good(
        "dataset", "stats", data, *READING, "--skip-bad", "--tokens", "-m", tiny_path
    )
    assert (found["rows"], found["skipped"], found["groups"]) == (COUNT, 1, 3)
    assert found["lengths"]["tokens"]
    assert TOLD in done.message
    refused = expert("dataset", "stats", data, *READING)
    assert (refused.code, json.loads(refused.err)["code"]) == (5, 5)


def test_converting_overwrites_when_told(data: Path, tmp_path: Path) -> None:
    """Umlauts and columns arrive; a file that is there stays without --force."""
    target = tmp_path / "rows.jsonl"
    target.write_text("mine")
    command = ("dataset", "convert", data, *READING, "--skip-bad", "-o", target)
    assert expert(*command).code == 2
    assert target.read_text() == "mine"
    found, done = good("dataset", "convert", data, *READING, "--skip-bad", "-o", target, "--force")
    assert (found["rows"], found["skipped"]) == (COUNT, 1)
    assert TOLD in done.message
    first = json.loads(target.read_text(encoding="utf-8").splitlines()[0])
    assert first["prompt"] == "Zähle die Zeilen von Datei 0"


def test_dropping_what_says_the_same(data: Path, tmp_path: Path) -> None:
    """By the prompts nearly all are alike, by equality none; the output is overwritten."""
    target = tmp_path / "rows.jsonl"
    command = ("dataset", "dedupe", data, *READING, "--skip-bad", "-o", target, "--force")
    equal, done = good(*command, "--exact")
    assert TOLD in done.message
    asked, _ = good(*command, "--by", "prompt", "--near", "0.5")
    assert len(answers(target)) == asked["kept"] < COUNT / 2
    answered, _ = good(*command, "--by", "answer", "--near", "1.0")
    assert equal["kept"] == answered["kept"] == len(answers(target)) == COUNT


def test_cutting_into_parts(data: Path, tmp_path: Path) -> None:
    """Groups stay whole by whichever field, and another seed cuts elsewhere."""
    whole: list[dict[str, int]] = []
    cuts = set()
    parts = ("--part", "one=0.5", "--part", "two=0.5")
    for number, seed in enumerate(("", "1", "2", "3", "4")):
        target = tmp_path / f"parts{number}"
        found, done = good(
            "dataset", "split", data, *READING, "--skip-bad", "-o", target, *parts,
            "--by", "answer", "--seed", seed,
        )  # fmt: skip
        whole.append(found["groups"])
        assert sum(found["rows"].values()) == COUNT
        cuts.add(tuple(answers(target / "one.jsonl.zst")) if found["rows"]["one"] else ())
    assert TOLD in done.message
    assert len(cuts) > 1
    assert all(sum(groups.values()) == COUNT for groups in whole)
    found, _ = good(
        "dataset", "split", data, *READING, "--skip-bad", "-o", tmp_path / "by", "--by", "group",
        "--part", "all=1",
    )  # fmt: skip
    assert found["groups"] == {"all": 3}


def test_how_hard_rows_are(data: Path, tmp_path: Path, tiny_path: Path) -> None:
    """With cuts that nothing reaches, every row is easy; the levels are written."""
    target = tmp_path / "rows.jsonl"
    target.write_text("mine")
    found, done = good(
        "dataset", "difficulty", data, *READING, "--skip-bad", "-o", target, "--force",
        "--cuts", "1e8,1e9", "-m", tiny_path,
    )  # fmt: skip
    assert found["levels"] == {"easy": COUNT}
    assert found["model"] == str(tiny_path)
    assert TOLD in done.message
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert {row["difficulty"] for row in rows} == {"easy"}


def test_how_varied_rows_are(data: Path, tmp_path: Path) -> None:
    """A sample is measured and the rest is thinned out; answers differ more than prompts."""
    target = tmp_path / "rows.jsonl"
    target.write_text("mine")
    alike = {}
    for by in ("prompt", "answer"):
        found, done = good(
            "dataset", "diversity", data, *READING, "--skip-bad", "-o", target, "--force",
            "--sample", "8", "--near", "0.8", "--by", by,
        )  # fmt: skip
        assert (found["rows"], found["sampled"]) == (COUNT, 8)
        assert len(answers(target)) == found["kept"]
        assert TOLD in done.message
        alike[by] = found["similarity"]
    assert alike["prompt"] > alike["answer"]


@pytest.mark.slow
def test_varied_by_meaning(data: Path, tmp_path: Path, minilm: Path) -> None:
    """An encoder as a GGUF file measures instead of words."""
    found, _ = good("dataset", "diversity", data, *READING, "--skip-bad", "--embedding", minilm)
    assert found["measured_by"] == str(minilm)


def test_checking_rows(data: Path, tmp_path: Path) -> None:
    """What is too long or broken is an error; what is left is written over the old file."""
    target = tmp_path / "rows.jsonl"
    target.write_text("mine")
    command = ("dataset", "validate", data, *READING, "--task", "shell", "-o", target)
    assert expert(*command).code == 2
    done = expert("dataset", "validate", data, *READING, "-o", target, "--force", "--longest", "40")
    assert done.code == 5
    found = json.loads(done.out)
    assert found["kinds"] == {"length": 2, "row": 1}
    assert len(answers(target)) == found["good"] == COUNT - 2
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    done = expert("dataset", "validate", data, *READING, "--task", "json", "--schema", schema)
    assert json.loads(done.out)["kinds"]["task"] == COUNT


def test_checking_sql_on_databases(tmp_path: Path) -> None:
    """Queries run on the database that their row names."""
    (tmp_path / "databases").mkdir()
    with closing(sqlite3.connect(tmp_path / "databases" / "pets.sqlite")) as database:
        database.execute("CREATE TABLE cat (name TEXT)")
    rows = [{"prompt": f"q{n}", "db": "pets", "answer": f"SELECT {n} FROM {t}"}
            for n, t in enumerate(("cat", "dog"))]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = expert(
        "dataset",
        "validate",
        path,
        "--task",
        "sql",
        "--databases",
        tmp_path / "databases",
        "--json",
    )
    (error,) = json.loads(done.out)["errors"]
    assert (done.code, error["line"]) == (5, 2)
    assert "dog" in error["text"]
