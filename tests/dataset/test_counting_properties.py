"""What is counted, compared and cut, done again by plain sets, numpy and SQLite."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from expert.dataset import tasks
from expert.dataset.dedupe import Sameness, dedupe, fingerprint
from expert.dataset.minhash import GROUP, HASHES, MISSED, MinHash, bands_for, jaccard
from expert.dataset.reading import Source, read_rows
from expert.dataset.rows import Row, normal
from expert.dataset.splitting import Parts
from expert.dataset.stats import Lengths, stats
from expert.dataset.tasks import Needs, checker

WORDS = [
    "list", "show", "all", "the", "files", "of", "a", "folder", "by", "size", "with", "date",
    "newest", "first", "and", "count", "them",
]  # fmt: skip


def sentence(rng: random.Random) -> str:
    """Return some words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 14)))


def groups(text: str) -> set[str]:
    """Return a text's groups of characters."""
    plain = normal(text).ljust(GROUP)
    return {plain[at : at + GROUP] for at in range(len(plain) - GROUP + 1)}


@pytest.mark.parametrize("seed", range(4))
def test_likeness_is_that_of_the_sets(seed: int) -> None:
    """Jaccard's coefficient of hashed groups is that of the groups themselves."""
    rng = random.Random(seed)
    hashing = MinHash(0.8)
    for _ in range(60):
        one = sentence(rng)
        two = rng.choice((one.upper(), one + " " + sentence(rng), sentence(rng), f"  {one}\n"))
        first, second = groups(one), groups(two)
        found = jaccard(hashing.groups(one), hashing.groups(two))
        assert found == pytest.approx(len(first & second) / len(first | second))
    assert jaccard(hashing.groups(""), hashing.groups(" \n")) == 1.0


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_bands_are_the_longest_that_miss_few(threshold: float) -> None:
    """By trying every number of rows a band may have."""
    able = [
        rows for rows in range(1, HASHES + 1)
        if rows == 1 or (1 - threshold**rows) ** (HASHES // rows) <= MISSED
    ]  # fmt: skip
    bands = bands_for(threshold)
    assert bands.rows == max(able) and bands.count == HASHES // bands.rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(3))
def test_exact_duplicates_are_those_of_a_set(tmp_path: Path, seed: int) -> None:
    """The first of each stays, whatever case and spacing the others have."""
    rng = random.Random(seed)
    rows = []
    for _ in range(200):
        prompt, answer = " ".join(rng.choices("ab", k=3)), rng.choice(("ls", "du"))
        rows.append({"prompt": rng.choice((prompt, prompt.upper(), f" {prompt}  ")),
                     "answer": answer})  # fmt: skip
    source = Source(write(tmp_path / "rows.jsonl", rows))
    for by, fields in (("all", ("prompt", "answer")), ("prompt", ("prompt",))):
        target = tmp_path / f"{by}.jsonl"
        done = dedupe(source, target, Sameness(by, None))  # type: ignore[arg-type]  # both are names
        first: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            first.setdefault(tuple(normal(row[name]) for name in fields), row)
        kept = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
        assert kept == list(first.values()) and done.kept == len(kept)
        assert done.exact == len(rows) - len(kept) and not done.near


@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_near_duplicates_are_those_of_comparing_each_with_each(
    tmp_path: Path, threshold: float
) -> None:
    """None is dropped that is not so alike; hardly any is kept that is."""
    rng = random.Random(threshold)
    texts = [sentence(rng) + " " + sentence(rng) for _ in range(50)]
    texts += [text + rng.choice((" ", " x", " soon")) for text in texts for _ in range(2)]
    rng.shuffle(texts)
    rows = [{"prompt": text, "answer": "ls"} for text in texts]
    source = Source(write(tmp_path / "rows.jsonl", rows))
    target = tmp_path / "kept.jsonl"
    done = dedupe(source, target, Sameness("prompt", threshold))
    kept = [row.prompt for row in read_rows(Source(target))]

    def alike(one: str, two: str) -> bool:
        first, second = groups(one), groups(two)
        return len(first & second) / len(first | second) >= threshold

    missed = sum(alike(a, b) for place, a in enumerate(kept) for b in kept[:place])
    assert missed <= 2 and done.kept == len(kept) < 100
    for text in set(texts) - set(kept):
        assert any(alike(text, other) for other in kept)


@pytest.mark.parametrize("seed", range(4))
def test_percentiles_are_those_of_numpy(seed: int) -> None:
    """The length that a share of the texts do not exceed."""
    rng = random.Random(seed)
    lengths, found = [rng.randint(0, 30) for _ in range(rng.randint(1, 50))], Lengths()
    for length in lengths:
        found.add(length)
    for share in (0.0, 0.05, 0.5, 0.95, 1.0):
        wanted = np.percentile(lengths, 100 * share, method="inverted_cdf")
        assert found.at(share) == wanted
    assert found.summary()["mean"] == round(float(np.mean(lengths)), 1)
    assert Lengths().summary() == {"mean": 0.0, "least": 0, "median": 0, "p95": 0, "most": 0}


def test_counts_are_those_of_sets() -> None:
    """Rows, different questions and answers, groups, turns and fields."""
    rng = random.Random(3)
    rows = [
        Row(rng.choice("abc"), rng.choice("xyz"), history=(("q", "r"),) * rng.randint(0, 2),
            group=rng.choice(("", "g", "h")))
        for _ in range(80)
    ]  # fmt: skip
    rows.append(Row(text="plain"))
    found = stats(rows, len)
    asked = {(row.prompt, row.history) for row in rows[:-1]}
    assert found.rows == 81 and found.prompts == len(asked) and found.answers == 3
    assert found.groups == len({row.group for row in rows} - {""})
    whole = {(row.prompt, row.answer, row.history, row.text) for row in rows}
    assert found.duplicates == len(rows) - len(whole)
    assert found.kinds == {"conversation": 80, "text": 1} and found.turns[0] == 1
    assert found.lengths["tokens"]["most"] == max(len(row.content) for row in rows)
    assert fingerprint("A  b") == fingerprint("a\nB ") != fingerprint("ab")


@pytest.mark.parametrize("shares", [{"train": 0.8, "test": 0.2}, {"a": 1, "b": 1, "c": 2}])
def test_a_part_depends_on_the_group_alone(shares: dict[str, float]) -> None:
    """Each part gets its share of the groups; another seed is another cut."""
    parts, other = Parts(shares), Parts(shares, seed="2")
    found = [parts.part(f"group {n}") for n in range(8000)]
    total = sum(shares.values())
    for name, share in shares.items():
        assert found.count(name) / 8000 == pytest.approx(share / total, abs=0.02)
    assert found == [Parts(dict(shares)).part(f"group {n}") for n in range(8000)]
    assert found != [other.part(f"group {n}") for n in range(8000)]
    larger = Parts({name: share * 7 for name, share in shares.items()})
    assert [larger.part(f"group {n}") for n in range(500)] == found[:500]


def row(sql: str, schema: str) -> Row:
    """Return a row with its own tables."""
    return Row("q", sql, extra={"schema": schema})


def test_tables_of_other_names_are_other_tables() -> None:
    """Names that are the same but for spaces, or for letters that fold into others."""
    with checker("sql", Needs()) as wrong:
        assert not wrong(row('SELECT "a  b" FROM t', 'CREATE TABLE t ("a  b" TEXT)'))
        assert wrong(row("SELECT [a  b] FROM t", 'CREATE TABLE t ("a b" TEXT)'))
        assert not wrong(row("SELECT straße FROM t", "CREATE TABLE t (straße TEXT)"))
        assert not wrong(row("SELECT strasse FROM t", "CREATE TABLE t (strasse TEXT)"))
        assert wrong(row("SELECT straße FROM t", "CREATE TABLE t (strasse TEXT)"))


def test_more_schemas_than_are_kept_are_each_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases come and go; a row is always checked on its own."""
    monkeypatch.setattr(tasks, "DATABASES", 5)
    with checker("sql", Needs()) as wrong:
        for _ in range(2):
            for number in range(12):
                schema = f"CREATE TABLE t (c{number} TEXT)"
                assert not wrong(row(f"SELECT c{number} FROM t", schema))
                assert "no such column" in wrong(row(f"SELECT c{number + 1} FROM t", schema))
