"""A market that offers thousands of experts, described in words that occur as words do."""

import random
import sqlite3
from collections.abc import Iterator
from itertools import accumulate, product
from pathlib import Path

import msgspec

from expert.market.market import Market
from expert.market.sources.base import Offer
from expert.market.sources.registry import _insert
from expert.package.container import Preview
from expert.package.keys import PrivateKey
from expert.package.manifest import Manifest
from expert.store.database import transaction
from support.markets import make_market
from support.packages import draft

_SYLLABLES = ("ba", "cel", "di", "fo", "gun", "la", "mer", "ni", "po", "ru", "sta", "te", "vo")
WORDS = [a + b + c for a, b, c in product(_SYLLABLES, _SYLLABLES, ("", *_SYLLABLES))]
random.Random(4).shuffle(WORDS)
WEIGHTS = list(accumulate(1 / (rank + 5) for rank in range(len(WORDS))))
"""Common words are common, as in any language (Zipf)."""


def large_market(folder: Path, count: int) -> Market:
    """Return a market whose one source is recorded to offer *count* experts."""
    market = make_market(folder)
    source = random.Random(5)

    def some(number: int) -> list[str]:
        return source.choices(WORDS, cum_weights=WEIGHTS, k=number)

    with market.connection() as connection, transaction(connection):
        connection.execute("INSERT INTO source (name, kind, location) VALUES ('s', 'git', 'x')")
        for number in range(count):
            manifest = draft(
                name=f"x{number}",
                summary=" ".join(some(12)),
                tags=some(4),
                routing={"keywords": some(10), "examples": [" ".join(some(8)) for _ in range(20)]},
            )
            insert_offer(connection, number, msgspec.convert(manifest, Manifest))
    return market


def insert_offer(connection: sqlite3.Connection, number: int, manifest: Manifest) -> None:
    """Record an offer as a refresh would."""
    key = PrivateKey(b"k" * 32).public
    found = Preview(manifest, str(number).encode(), b"", key)
    _insert(connection, "s", Offer(str(number), "", found), found)


def queries(count: int) -> Iterator[str]:
    """Yield searches of one to three words as they occur, the last one often cut short."""
    source = random.Random(6)
    for _ in range(count):
        words = source.choices(WORDS, cum_weights=WEIGHTS, k=source.randrange(1, 4))
        words[-1] = words[-1][: source.choice([2, 3, 9])]
        yield " ".join(words)
