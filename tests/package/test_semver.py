"""Versions: what semver.org's own rules and examples demand."""

import itertools

import pytest

from expert.errors import VerificationError
from expert.package.semver import Version

ASCENDING = [
    "0.0.0-0", "0.0.0", "0.0.1", "0.1.0", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
    "1.2.3-0", "1.2.3-1", "1.2.3-10", "1.2.3-a", "1.2.3-a.0", "1.2.3-a.b", "1.2.3-a.b.c",
    "1.2.3-b", "1.2.3", "1.2.4", "1.10.0", "2.0.0", "10.0.0", "999999.0.0",
]  # fmt: skip


def test_order_follows_semver() -> None:
    """Every pair of the ascending list compares as its position says."""
    versions = [Version.parse(text) for text in ASCENDING]
    for (i, low), (j, high) in itertools.product(enumerate(versions), repeat=2):
        assert (low < high) == (i < j)
        assert (low == high) == (i == j)


@pytest.mark.parametrize(
    "text", [*ASCENDING, "1.2.3+build.5", "1.0.0-x-y-z.--", "1.0.0-0A.is.legal"]
)
def test_a_version_prints_as_it_was_read(text: str) -> None:
    """Reading and printing is the identity."""
    assert str(Version.parse(text)) == text


def test_build_metadata_takes_no_part_in_comparing() -> None:
    """Two builds of a version are the same version."""
    assert Version.parse("1.0.0+a") == Version.parse("1.0.0+b")
    assert hash(Version.parse("1.0.0+a")) == hash(Version.parse("1.0.0+b"))
    assert Version.parse("1.0.0") != "1.0.0"


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "1.2.3-01", "1.2.3-",
        "1.2.3-a..b",
        "1.2.3+", "1.2.3+a+b", "v1.2.3", "=1.2.3", " 1.2.3", "1.2.3 ", "1.2.3\n", "-1.2.3",
        "1.-2.3",
        "a.b.c", "1.2.x", "1,2,3", "１.2.3", "1.2.3-é",
        "9007199254740992.0.0", "1.0.0-" + "1" * 400,
        "1.0.0-99999999999999999",
    ],
)  # fmt: skip
def test_what_is_not_a_version_is_refused(text: str) -> None:
    """Only the exact form is accepted, and numbers no larger than npm takes."""
    with pytest.raises(VerificationError):
        Version.parse(text)
