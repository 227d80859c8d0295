"""What is prepared of candidates: profiles, tables, lists, spelling, and their cache."""

import random
from pathlib import Path

import numpy as np
import pytest

from expert.router.features import DENSE, FEATURES, Measuring
from expert.router.index import build_index, content_hash, general_examples, load_index
from expert.router.lists import lines, patterns, word_sets
from expert.router.ngrams import table
from expert.router.profiles import Profiles, profile
from expert.router.reading import read
from expert.router.spelling import corrected, deletions, spellings
from expert.router.types import Candidate, RouteRequest

SQL = Candidate("1", "a/sql", keywords=("sql",), examples=("list all users with SQL",))


def test_shares_are_smoothed_and_bounded() -> None:
    """One example is no proof: habits are counted as of twenty, ratios end at three."""
    one = profile(Candidate("1", "a/x", examples=("SELECT a FROM b WHERE c = 1",)))
    assert one.size == 1 and one.formats == {"sql": 1}
    assert one.habit == pytest.approx(1 / 20)
    assert one.reads("sql") == pytest.approx(10 / 20)
    assert one.reads("diff") == 0
    assert profile(Candidate("1", "a/x", capabilities=("input:diff",))).reads("diff") == 1
    many = profile(Candidate("1", "a/x", examples=tuple(f"count users {n}" for n in range(500))))
    none = profile(Candidate("2", "", examples=tuple(f"hello number {n}" for n in range(500))))
    both = Profiles([many, none])
    for task in many.tasks | none.tasks | {"creative": 0}:
        (ratio,) = both.task_ratio(task)
        assert -3 <= ratio <= 3
        assert both.task_ratio(task) is both.task_ratio(task)  # kept for the next request


def test_the_index_forgets_nothing_in_the_cache(tmp_path: Path) -> None:
    """Read back it measures the same; broken bytes in its place are made again."""
    fresh = load_index([SQL], tmp_path)
    (kept,) = tmp_path.iterdir()
    assert load_index([SQL], tmp_path) == fresh
    for broken in (b"\x00" * 50, kept.read_bytes()[:-9]):
        kept.write_bytes(broken)
        assert load_index([SQL], tmp_path) == fresh
        assert len(kept.read_bytes()) > 1000
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(
    "change",
    [{"name": "a/sq"}, {"about": "x"}, {"keywords": ("sql", "")}, {"excludes": ("x",)},
     {"examples": ()}, {"capabilities": ("input:sql",)}],
)  # fmt: skip
def test_the_cache_knows_what_counts(change: dict[str, object]) -> None:
    """Each text changes the hash; what a text does not depend on, does not."""
    from dataclasses import replace

    other = replace(SQL, **change)  # type: ignore[arg-type]  # a field's own value
    assert content_hash([other]) != content_hash([SQL])
    assert content_hash([replace(SQL, priority=0.9, id="7")]) == content_hash([SQL])
    assert content_hash([SQL, other]) != content_hash([other, SQL])


def test_the_base_leaves_to_experts_what_is_theirs() -> None:
    """A creative example that names an expert's subject is not the base's any more."""
    poet = Candidate("1", "a/poet", keywords=("poem", "story", "song", "rhyme", "haiku"))
    whole, left = build_index([]), build_index([poet])
    base = [t for t, o in zip(left.texts, left.owners, strict=True) if o == 1]
    assert set(base) < set(whole.texts) == set(general_examples())
    gone = set(whole.texts) - set(base)
    assert all(read(RouteRequest(text)).task == "creative" for text in gone)


def test_tables_add_up() -> None:
    """Rows of a sparse table, each times its factor, beside numpy's dense product."""
    source = random.Random(6)
    for _ in range(100):
        size = source.randrange(1, 6)
        entries = {
            f"g{row}": [
                (column, source.random()) for column in range(size) if source.random() < 0.5
            ]
            for row in range(source.randrange(1, 7))
        }
        made = table(entries, size)
        dense = np.zeros((len(entries), size), np.float32)
        for row, pairs in enumerate(entries.values()):
            for column, value in pairs:
                dense[row, column] = value
        rows = [source.randrange(len(entries)) for _ in range(source.randrange(5))]
        factors = [source.random() for _ in rows]
        assert made.sums(rows) == pytest.approx(dense[rows].sum(0, dtype=np.float64), abs=1e-6)
        wanted = np.array(factors) @ dense[rows].astype(np.float64) if rows else np.zeros(size)
        assert made.sums(rows, factors) == pytest.approx(wanted, abs=1e-6)


def test_the_lists_are_sound() -> None:
    """No line is without a value, none names a part that is not defined, each pattern compiles."""
    for file in ("tasks.txt", "formats.txt"):
        assert all(name and value.strip() for name, value in lines(file))
        import re

        for name, pattern in patterns(file, re.NOFLAG):
            assert not re.search(r"\{[a-z]", pattern.pattern), name
    assert {"de", "fr", "es", "pt", "technologies"} <= set(word_sets("words.txt"))
    assert all(words == {w.lower() for w in words} for words in word_sets("words.txt").values())


def test_every_feature_is_measured() -> None:
    """No name of one that needs no embedding is left without a column that some prompt moves."""
    query = Candidate("1", "a/sql", keywords=("sql", "query"), examples=("list users with SQL",))
    other = Candidate("2", "a/regex", keywords=("regex",), excludes=("poem",),
                      examples=("a regex for dates", "fix SELECT a FROM b WHERE c = 1"),
                      capabilities=("input:diff",))  # fmt: skip
    measuring = Measuring(build_index([query, other]), [query, other])
    prompts = (
        "sql and regex", "write a poem about sql", "not sql", "@@ -1 +1 @@\n-a\n+b", "hello",
        "sql query", "was ist sql für mich", "explain CREATE TABLE t (a INT);", "users in java",
        "write an sql poem", "is this safe: @@ -1 +1 @@\n-a\n+b", "explain this sql query",
        "explain this: SELECT a FROM b WHERE c = 1",
    )  # fmt: skip
    rows = [measuring.measure(read(RouteRequest(each)), "sql").values for each in prompts]
    moved = np.abs(np.concatenate(rows)).sum(0)
    still = {name for name, total in zip(FEATURES, moved, strict=True) if not total}
    assert still == set(DENSE)


def test_every_single_error_is_mended() -> None:
    """Each missing, surplus, swapped or wrong letter in a word of its own comes back to it."""
    words = ["translate", "database", "commit", "regular"]
    known = spellings(words)
    source = random.Random(1)
    for word in words:
        for place in range(len(word)):
            typed = {word[:place] + word[place + 1 :], word[:place] + "q" + word[place:],
                     word[:place] + "q" + word[place + 1 :]}  # fmt: skip
            if place:
                swapped = [*word]
                swapped[place - 1 : place + 1] = reversed(swapped[place - 1 : place + 1])
                typed.add("".join(swapped))
            for text in typed:
                assert corrected(text, {}, known) == word, text
        far = "".join(source.sample(word, len(word)))[::-1] + "zz"
        assert corrected(far, {}, known) == far


def test_deletions() -> None:
    """The word, and it without each of its letters."""
    assert list(deletions("abc")) == ["abc", "bc", "ac", "ab"]
    assert list(deletions("")) == [""]
