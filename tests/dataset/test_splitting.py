"""Parts of a data set: whole groups, the same every time."""

import json
from collections import Counter
from pathlib import Path

import pytest

from dataset.conftest import Write
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.splitting import Parts, split
from expert.errors import NotFoundError, UsageError, VerificationError

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def rows(count: int = 2000, groups: int = 200) -> list[dict[str, str]]:
    """Return rows of some groups."""
    return [{"prompt": f"p{n}", "answer": f"a{n}", "group": f"g{n % groups}"} for n in range(count)]


def parts_of(folder: Path) -> dict[str, list[Row]]:
    """Return the rows of every part."""
    return {path.name.partition(".")[0]: list(read_rows(Source(path))) for path in folder.iterdir()}


def test_no_group_is_in_two_parts(write: Write, tmp_path: Path) -> None:
    """Every row is somewhere, once; shares are about those wanted."""
    done = split(Source(write("a.jsonl", rows())), tmp_path / "parts", Parts(SHARES))
    parts = parts_of(tmp_path / "parts")
    groups = {name: {row.group for row in found} for name, found in parts.items()}
    assert groups["train"].isdisjoint(groups["test"] | groups["validation"])
    assert groups["test"].isdisjoint(groups["validation"])
    prompts = Counter(row.prompt for found in parts.values() for row in found)
    assert len(prompts) == prompts.total() == 2000
    assert done.rows == {name: len(found) for name, found in parts.items()}
    assert sum(done.groups.values()) == 200
    assert 140 <= done.groups["train"] <= 180


def test_the_same_every_time_and_stable(write: Write, tmp_path: Path) -> None:
    """More rows move no earlier one; another seed does."""
    few, many = write("few.jsonl", rows(500, 100)), write("many.jsonl", rows(2000, 400))
    split(Source(few), tmp_path / "one", Parts(SHARES))
    split(Source(few), tmp_path / "two", Parts(SHARES))
    split(Source(many), tmp_path / "three", Parts(SHARES))
    split(Source(few), tmp_path / "four", Parts(SHARES, seed="other"))
    one, two, three, four = (
        {row.group: name for name, found in parts_of(tmp_path / folder).items() for row in found}
        for folder in ("one", "two", "three", "four")
    )
    assert one == two
    assert one.items() <= three.items()
    assert one != four


def test_rows_that_ask_the_same_are_one_group(write: Write, tmp_path: Path) -> None:
    """Without groups, no question of a test part was ever asked in training."""
    made = [{"prompt": f"Question {n % 100}", "answer": str(n)} for n in range(400)]
    made += [{"prompt": f"question  {n % 100}", "answer": "x"} for n in range(100)]
    split(Source(write("a.jsonl", made)), tmp_path / "parts", Parts(SHARES))
    asked = {
        name: {" ".join(row.prompt.lower().split()) for row in found}
        for name, found in parts_of(tmp_path / "parts").items()
    }
    assert asked["train"].isdisjoint(asked["test"] | asked["validation"])


def test_by_any_field(write: Write, tmp_path: Path) -> None:
    """Numbers and texts alike; a row without the field is an error."""
    made = [{"prompt": f"p{n}", "answer": "a", "db": n % 50} for n in range(500)]
    split(Source(write("a.jsonl", made)), tmp_path / "parts", Parts(SHARES, by="db"))
    found = {
        n: {row.extra["db"] for row in part} for n, part in parts_of(tmp_path / "parts").items()
    }
    assert found["train"].isdisjoint(found["test"])
    with pytest.raises(UsageError, match="no field 'page'"):
        split(Source(tmp_path / "a.jsonl"), tmp_path / "other", Parts(SHARES, by="page"))
    assert not (tmp_path / "other").exists()


def test_parts_are_drawn_evenly() -> None:
    """Ten thousand groups fall into parts as the shares say, within what chance allows."""
    for shares in ({"a": 1.0}, {"a": 3, "b": 1}, SHARES):
        parts = Parts(shares)
        counts = Counter(parts.part(f"group {n}") for n in range(10_000))
        for name, share in shares.items():
            assert counts[name] / 10_000 == pytest.approx(share / sum(shares.values()), abs=0.02)


def test_nothing_is_left_behind(write: Write, tmp_path: Path) -> None:
    """A bad row, an existing folder, an empty part: no folder is made or touched."""
    path = write("a.jsonl", [*rows(100), "{"])
    with pytest.raises(VerificationError):
        split(Source(path), tmp_path / "parts", Parts(SHARES))
    one = write("b.jsonl", rows(10, 1))
    with pytest.raises(NotFoundError, match="no row in"):
        split(Source(one), tmp_path / "parts", Parts(SHARES))
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists"):
        split(Source(one), tmp_path / "there", Parts(SHARES))
    assert {found.name for found in tmp_path.iterdir()} == {"a.jsonl", "b.jsonl", "there"}
    done = split(Source(path), tmp_path / "parts", Parts(SHARES), Skipped())
    assert done.skipped == 1
    assert sum(done.rows.values()) == 100


def test_fields_survive(write: Write, tmp_path: Path) -> None:
    """What a row carries is what is written."""
    row = {"prompt": "é", "answer": "b", "system": "s", "history": [["x", "y"]], "note": {"z": 1}}
    split(Source(write("a.jsonl", [row])), tmp_path / "parts", Parts({"all": 1}))
    (found,) = parts_of(tmp_path / "parts")["all"]
    assert json.loads(found.line()) == row
