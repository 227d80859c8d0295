"""Features of requests: compared across candidates, against plain loops."""

import random
from dataclasses import replace

import numpy as np
import pytest

from expert.router.features import FEATURES, Measured, Measuring, Owners
from expert.router.index import build_index
from expert.router.reading import read
from expert.router.types import Candidate, RouteRequest

SQL = Candidate("1", "a/sql", keywords=("sql",), examples=("list all users with SQL",))
REGEX = Candidate("2", "a/regex", keywords=("regex",), examples=("a regex for dates",))


def measured(prompt: str, *candidates: Candidate, previous: str | None = None) -> Measured:
    """Return the features of a prompt with some candidates."""
    measuring = Measuring(build_index(candidates), candidates)
    return measuring.measure(read(RouteRequest(prompt)), previous)


def test_likenesses_are_those_of_a_plain_loop() -> None:
    """The best, the mean of three and the first best document of every owner."""
    source = random.Random(3)
    for _ in range(200):
        counts = [source.randint(1, 6) for _ in range(source.randint(1, 5))]
        owners = [owner for owner, count in enumerate(counts) for _ in range(count)]
        scores = np.array([source.choice((0.0, 0.25, 0.5, source.random())) for _ in owners])
        found = Owners(owners).likenesses(scores)
        for owner in range(len(counts)):
            mine = [(s, -d) for d, s in enumerate(scores) if owners[d] == owner and s]
            mine.sort(reverse=True)
            assert found.best[owner] == (mine[0][0] if mine else 0)
            assert found.mean[owner] == pytest.approx(sum(s for s, _ in mine[:3]) / 3)
            assert not mine or found.documents[owner] == -mine[0][1]


def test_an_expert_that_is_asked_for_has_the_other_as_rival() -> None:
    """What one shows counts against the other, unless an "and" joins them."""
    alone = measured("sql for all users", SQL, REGEX)
    (mine, other), (rival, against) = alone.column("asked"), alone.column("rival_asked")
    assert mine == against > 0
    assert other == rival == 0
    both = measured("sql and a regex for all users", SQL, REGEX)
    assert both.column("joined").tolist() == [1.0, 1.0]
    assert both.column("rival_asked").tolist() == [0.0, 0.0]


def test_a_topic_is_not_asked_for() -> None:
    """A poem about SQL asks for a poem."""
    found = measured("write a poem about sql", SQL, REGEX)
    assert found.column("asked").tolist() == [0.0, 0.0]
    assert (found.column("topic") > 0).tolist() == [True, False]
    assert found.hits == ((), ())


def test_what_is_not_wanted_is_excluded() -> None:
    """By the prompt, or by the expert's own exclusions."""
    tennis = replace(SQL, excludes=("table tennis",))
    assert measured("a query, not sql", SQL, REGEX).column("excluded").tolist() == [1.0, 0.0]
    assert measured("sql for table tennis", tennis, REGEX).column("excluded").tolist() == [1, 0]


def test_the_expert_before_is_known_by_either_name() -> None:
    """Short or qualified; no expert before is none of them."""
    for name in ("sql", "a/sql"):
        found = measured("and with names", SQL, REGEX, previous=name)
        assert found.column("previous").tolist() == [1.0, 0.0]
    assert not measured("and with names", SQL, REGEX).column("previous").any()


def test_one_or_no_candidate() -> None:
    """There is nothing to compare with, and no feature is infinite."""
    assert measured("sql", SQL).values.shape == (1, len(FEATURES))
    assert np.isfinite(measured("sql", SQL).values).all()
    assert measured("sql").values.shape == (0, len(FEATURES))
