"""Naming experts: what is a name and what a file, and which of several is meant."""

from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.market.names import package_path, parse_named, pick, suggestion
from expert.market.records import Installed
from expert.market.remove import uninstall
from support.markets import Shop
from support.packages import make_package


def installed(label: str, *, selected: bool = True) -> Installed:
    """Return a package of this label that is installed."""
    name, _, version = label.partition("@")
    publisher, _, short = name.partition("/")
    return Installed(
        label, publisher, short, version, "", 0, b"", None, "unsigned", "file", "", True, selected
    )


@pytest.mark.parametrize(
    ("text", "publisher", "name", "range_"),
    [
        ("sql", None, "sql", None),
        ("acme/sql", "acme", "sql", None),
        ("sql@1.2.3", None, "sql", "1.2.3"),
        ("acme/s-q-l@^1 || >=3 <4", "acme", "s-q-l", "^1 || >=3 <4"),
        ("sql@", None, "sql", "*"),
        ("1", None, "1", None),
        ("a" * 40, None, "a" * 40, None),
    ],
)
def test_what_is_a_name(text: str, publisher: str | None, name: str, range_: str | None) -> None:
    """A name, perhaps with who publishes it and a range."""
    named = parse_named(text)
    assert (named.publisher, named.name) == (publisher, name)
    assert (None if named.range is None else str(named.range)) == range_
    assert named.fits("acme", name) and named.fits("other", name) == (publisher is None)
    assert not named.fits("acme", "nothing")


@pytest.mark.parametrize(
    "text",
    ["", "/", "SQL", "-sql", "sql-", "a/b/c", "a" * 41, "acme/", "/sql", "sql@x.y", "sql@1\n"]
    + ["s q", "sql\n", "é", "sql@@1", "@1", "sql@" + "1" * 300, "sql\0", "acme/sql@>", "../sql"],
)
def test_what_is_none(text: str) -> None:
    """It is refused with an example of one."""
    with pytest.raises(UsageError):
        parse_named(text)
    with pytest.raises(UsageError):
        pick([installed("acme/sql@1.0.0")], text)


def test_a_file_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its ending, or with a folder; a bare word never is one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sql").write_text("")
    assert package_path("sql") is None
    assert package_path("acme/sql") is None
    assert package_path("./sql") == tmp_path / "sql"
    assert package_path("sql.expert") == tmp_path / "sql.expert"
    assert package_path(str(tmp_path / "sql")) == tmp_path / "sql"
    assert package_path("~nobody-is-called-so/x") == tmp_path / "~nobody-is-called-so" / "x"


OWN = [
    installed("acme/sql@1.0.0", selected=False),
    installed("acme/sql@1.10.0", selected=False),
    installed("acme/sql@1.9.0"),
    installed("acme/json@2.0.0-rc.1"),
    installed("other/poet@1.0.0"),
    installed("acme/poet@2.0.0"),
]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("sql", "acme/sql@1.9.0"),
        ("sql@1", "acme/sql@1.10.0"),
        ("acme/sql@<1.9", "acme/sql@1.0.0"),
        ("sql@1.0.0", "acme/sql@1.0.0"),
        ("json", "acme/json@2.0.0-rc.1"),
        ("json@2.0.0-rc.1", "acme/json@2.0.0-rc.1"),
        ("other/poet", "other/poet@1.0.0"),
    ],
)
def test_which_one_is_meant(text: str, label: str) -> None:
    """The selected one; with a range the highest in it."""
    assert pick(OWN, text).label == label
    assert pick(OWN[::-1], text).label == label


def test_who_publishes_it_must_be_said_where_two_do() -> None:
    """Even where a range would leave one of them."""
    with pytest.raises(ExpertError, match="several"):
        pick(OWN, "poet")
    assert pick(OWN, "poet@1").label == "other/poet@1.0.0"


def test_one_that_is_not_there_is_asked_about() -> None:
    """With the name that is closest, if any is."""
    with pytest.raises(NotFoundError) as caught:
        pick(OWN, "jsom")
    assert caught.value.why == "Did you mean json?"
    with pytest.raises(NotFoundError) as caught:
        pick(OWN, "json@2")
    assert "json" in caught.value.what
    assert suggestion("zzzzzz", ["sql"]) == "" == suggestion("x", [])


def test_builds_of_one_version_are_told_apart(tmp_path: Path) -> None:
    """They are equal to a range; named exactly, it is that one, whichever came first."""
    for order in ("ab", "ba"):
        shop = Shop(tmp_path / order)
        for build in order:
            folder = tmp_path / order / build
            shop.install(str(make_package(folder, version=f"1.0.0+{build}")))
        with shop.market.reading() as catalogue:
            packages = catalogue.installed()
        assert pick(packages, "sql").version == f"1.0.0+{order[1]}"
        assert pick(packages, "sql@1").version == f"1.0.0+{order[1]}"
        for build in "ab":
            assert pick(packages, f"acme/sql@1.0.0+{build}").version == f"1.0.0+{build}"
        (removed,) = uninstall(shop.market, ["sql@1.0.0+a"])
        assert removed.version == "1.0.0+a"
        assert shop.labels() == {"acme/sql@1.0.0+b"}
