"""Searching and showing: quick, never an error, and the newest version of each."""

import random
import time
from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError
from expert.market.search import _rows, search, show
from expert.package.trust import Standing
from support.large_market import large_market, queries
from support.markets import Shop
from support.packages import make_package


@pytest.fixture(name="shop", scope="module")
def shop_with_offers(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A market with a handful of experts, one of them installed."""
    shop = Shop(tmp_path_factory.mktemp("search"))
    shop.offer(version="1.0.0")
    shop.offer(version="1.10.0", tags=["database"])
    shop.offer(
        "regex", summary="Writes regular expressions.", routing={"examples": ["match a date"]}
    )
    shop.offer("shell", summary="Writes shell commands; c++ builds, too.")
    shop.install("sql@1.0.0")
    return shop


def names(shop: Shop, text: str) -> list[str]:
    """Return the names that a search finds."""
    return [hit.name for hit in search(shop.market, text)]


def test_words_are_found_wherever_they_are(shop: Shop) -> None:
    """In names, summaries, tags and examples, whole or cut short, in any case."""
    assert names(shop, "sql") == ["sql"]
    assert names(shop, "REGULAR expressions") == ["regex"]
    assert names(shop, "datab") == ["sql"]
    assert names(shop, "date") == ["regex"]
    assert names(shop, "acme regex") == ["regex"]


def test_any_word_will_do_when_no_expert_has_them_all(shop: Shop) -> None:
    """Better something than nothing."""
    assert set(names(shop, "sql regular")) == {"sql", "regex"}
    assert names(shop, "unheard") == []


def test_no_words_find_everything(shop: Shop) -> None:
    """By name."""
    assert names(shop, "") == ["regex", "shell", "sql"]
    assert len(search(shop.market, "", limit=2)) == 2


def test_the_newest_version_is_shown_with_the_installed_one(shop: Shop) -> None:
    """One line for an expert."""
    (hit,) = search(shop.market, "sql")
    assert (hit.version, hit.installed, hit.signed, hit.source) == (
        "1.10.0",
        "1.0.0",
        True,
        "shelf",
    )


@pytest.mark.parametrize(
    "text",
    ['"', "'", "c++", "foo-bar", "name:sql", "*", "sql*", "NEAR(a b)", "a AND", "(", "\0", "^a"],
)
def test_odd_queries_are_no_errors(shop: Shop, text: str) -> None:
    """What SQLite's query language would choke on is only text."""
    search(shop.market, text)


def test_random_queries_are_no_errors(shop: Shop) -> None:
    """A thousand texts of any characters."""
    source = random.Random(1)
    alphabet = "abc \"'*()-:^+{}[]\\/%_;,.<>|&!?\0\n\té漢\u202e\U0001f600ANDORNOTNEAR"
    with shop.market.reading() as catalogue:
        for _ in range(10_000):
            text = "".join(source.choice(alphabet) for _ in range(source.randrange(30)))
            _rows(catalogue.connection, text, 20)


def test_everything_about_an_expert(shop: Shop) -> None:
    """The installed version by its name, another one by its version."""
    details = show(shop.market, "sql")
    assert details.available.manifest.version == "1.0.0"
    assert details.installed is not None
    assert details.versions == ("1.10.0", "1.0.0")
    newer = show(shop.market, "sql@^1.1")
    assert newer.available.manifest.version == "1.10.0"
    assert newer.installed is None
    assert newer.available.verdict.standing is Standing.TRUSTED


def test_a_package_file_can_be_shown(shop: Shop, tmp_path: Path) -> None:
    """Before it is installed, with how its signer stands."""
    path = make_package(tmp_path, publisher="stranger")
    details = show(shop.market, str(path))
    assert details.available.verdict.standing is Standing.NEW
    assert details.versions == ("1.0.0",)


@pytest.mark.parametrize("text", ["xml", "sql@7", "nobody/sql", "none.expert", "Not A Name"])
def test_what_is_not_there_cannot_be_shown(shop: Shop, text: str) -> None:
    """With the usual errors."""
    with pytest.raises(ExpertError) as caught:
        show(shop.market, text)
    assert text == "Not A Name" or isinstance(caught.value, NotFoundError)


@pytest.mark.slow
def test_ten_thousand_experts_are_searched_quickly(tmp_path: Path) -> None:
    """One to three words as they occur, some cut short: p95 under 10 ms on an idle machine."""
    market = large_market(tmp_path, 10_000)
    times = []
    for query in queries(300):
        start = time.process_time()
        search(market, query)
        times.append(time.process_time() - start)
    times.sort()
    print(f"p50 {times[150] * 1e3:.1f} ms, p95 {times[285] * 1e3:.1f} ms")
    assert times[285] < 0.02
