"""Version ranges: a table written from the rules npm publishes for each form."""

import random

import pytest

from expert.errors import VerificationError
from expert.package.ranges import Range, highest
from expert.package.semver import Version

# range: versions inside | versions outside
TABLE = """
1.2.3                 : 1.2.3 1.2.3+build | 1.2.4 1.2.2 2.0.0 1.2.3-beta
=1.2.3                : 1.2.3 | 1.2.4
= 1.2.3               : 1.2.3 | 1.2.4
v1.2.3                : 1.2.3 | 1.2.4
=v1.2.3               : 1.2.3 | 1.2.4
>1.2.3                : 1.2.4 1.3.0 2.0.0 | 1.2.3 1.2.2 2.0.0-rc 1.2.4-0
> 1.2.3               : 1.2.4 | 1.2.3
>=1.2.3               : 1.2.3 9.0.0 | 1.2.2 1.2.3-rc
>=1.2.3-rc            : 1.2.3-rc 1.2.3-rc.1 1.2.3-s 1.2.3 1.3.0 | 1.2.3-beta 1.2.4-rc 1.3.0-s
<1.2.3                : 1.2.2 0.0.0 | 1.2.3 1.2.3-rc 1.2.2-rc
<=1.2.3               : 1.2.3 1.2.2 | 1.2.4
<1.2.3-rc             : 1.2.3-beta 1.2.2 | 1.2.3-rc 1.2.3 1.2.2-beta
>1.2.3-alpha.3        : 1.2.3-alpha.7 3.4.5 | 3.4.5-alpha.9 1.2.3-alpha.3
>1                    : 2.0.0 | 1.0.0 1.9.9 2.0.0-rc
>1.2                  : 1.3.0 2.0.0 | 1.2.0 1.2.9
>=1                   : 1.0.0 2.0.0 | 0.9.9 1.0.0-rc
>=1.2                 : 1.2.0 1.9.0 | 1.1.9
<1                    : 0.9.9 | 1.0.0 1.0.0-0 1.0.0-beta
<1.2                  : 1.1.9 | 1.2.0 1.2.0-beta
<=1                   : 1.9.9 1.0.0 | 2.0.0 2.0.0-beta
<=1.2                 : 1.2.9 1.0.0 | 1.3.0 1.3.0-beta
<=1.2.x               : 1.2.9 | 1.3.0
>1.x                  : 2.0.0 | 1.9.9
>=1.2.7 <1.3.0        : 1.2.7 1.2.8 1.2.99 | 1.2.6 1.3.0 1.1.0
>= 1.2.7 < 1.3.0      : 1.2.7 | 1.3.0
1.2.7 || >=1.2.9 <2.0.0 : 1.2.7 1.2.9 1.4.6 | 1.2.8 2.0.0
1||2                  : 1.5.0 2.0.0 | 3.0.0 0.1.0
1.2.3 - 2.3.4         : 1.2.3 2.3.4 2.0.0 | 1.2.2 2.3.5
1.2 - 2.3.4           : 1.2.0 2.3.4 | 1.1.9 2.3.5
1.2.3 - 2.3           : 1.2.3 2.3.9 | 2.4.0 2.4.0-rc 1.2.2
1.2.3 - 2             : 1.2.3 2.9.9 | 3.0.0 3.0.0-beta
1 - 2                 : 1.0.0 2.9.9 | 0.9.9 3.0.0
* - 2                 : 0.0.1 2.0.0 | 3.0.0
1.2.3 - *             : 1.2.3 99.0.0 | 1.2.2
1.2.3-rc.1 - 1.2.3    : 1.2.3-rc.1 1.2.3-rc.2 1.2.3 | 1.2.3-rc.0
1.2.3 - 2.0.0-rc.1    : 2.0.0-rc.1 2.0.0-alpha 1.9.0 | 2.0.0-rc.2 2.0.0
*                     : 0.0.0 1.2.3 99.9.9 | 1.0.0-rc
x                     : 1.2.3 | 1.0.0-rc
X                     : 1.2.3 | 1.0.0-rc
>=*                   : 1.2.3 | 1.0.0-rc
<=x                   : 1.2.3 | 1.0.0-rc
=*                    : 1.2.3 | 1.0.0-rc
>*                    :  | 1.2.3 0.0.0
<*                    :  | 1.2.3 0.0.0
~*                    : 1.2.3 | 1.0.0-rc
^*                    : 1.2.3 | 1.0.0-rc
1.x                   : 1.0.0 1.9.9 | 2.0.0 0.9.9 2.0.0-0
1.X.X                 : 1.0.0 1.9.9 | 2.0.0
1.*                   : 1.0.0 | 2.0.0
1.x.3                 : 1.0.0 1.9.9 | 2.0.0
1                     : 1.0.0 1.9.9 | 2.0.0 2.0.0-beta 1.0.0-beta
1.2.x                 : 1.2.0 1.2.9 | 1.3.0 1.3.0-0 1.1.9
1.2.*                 : 1.2.0 | 1.3.0
1.2                   : 1.2.0 1.2.9 | 1.3.0
=1.2                  : 1.2.0 1.2.9 | 1.3.0
~1.2.3                : 1.2.3 1.2.9 | 1.3.0 1.2.2 1.3.0-rc
~ 1.2.3               : 1.2.9 | 1.3.0
~>1.2.3               : 1.2.9 | 1.3.0
~> 1.2.3              : 1.2.9 | 1.3.0
~v1.2.3               : 1.2.9 | 1.3.0
~=1.2.3               : 1.2.9 | 1.3.0
~1.2                  : 1.2.0 1.2.9 | 1.3.0 1.1.0
~1                    : 1.0.0 1.9.9 | 2.0.0 0.9.9
~1.x                  : 1.9.9 | 2.0.0
~0.2.3                : 0.2.3 0.2.9 | 0.3.0 0.2.2
~0                    : 0.0.0 0.9.9 | 1.0.0
~1.2.3-beta.2         : 1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.2.9 | 1.2.4-beta.2 1.2.3-beta.1 1.3.0
^1.2.3                : 1.2.3 1.9.9 | 2.0.0 1.2.2 2.0.0-rc 1.3.0-rc
^ 1.2.3               : 1.9.9 | 2.0.0
^v1.2.3               : 1.9.9 | 2.0.0
^0.2.3                : 0.2.3 0.2.9 | 0.3.0 0.2.2 0.3.0-rc
^0.0.3                : 0.0.3 | 0.0.4 0.0.2 0.1.0
^1.2.3-beta.2         : 1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9.0 | 1.2.4-beta.2 1.2.3-beta.1 2.0.0
^0.0.3-beta           : 0.0.3-beta 0.0.3-pr.2 0.0.3 | 0.0.4 0.0.3-alpha
^0.1.0-rc.1           : 0.1.0-rc.1 0.1.0 0.1.9 | 0.2.0 0.1.1-rc.1
^1.2.x                : 1.2.0 1.9.9 | 2.0.0 1.1.9
^1.2                  : 1.2.0 1.9.9 | 2.0.0
^0.0.x                : 0.0.0 0.0.9 | 0.1.0
^0.0                  : 0.0.0 0.0.9 | 0.1.0
^0.1                  : 0.1.0 0.1.9 | 0.2.0
^0.x                  : 0.0.0 0.9.9 | 1.0.0
^0                    : 0.0.0 0.9.9 | 1.0.0
^1.x                  : 1.0.0 1.9.9 | 2.0.0
^1                    : 1.0.0 1.9.9 | 2.0.0
^0.0.0                : 0.0.0 | 0.0.1
^1.2 ^1               : 1.2.0 1.9.0 | 1.1.0 2.0.0
^1.2.0 || ~3.4        : 1.2.0 1.9.0 3.4.9 | 2.0.0 3.5.0
>=1.0.0 <=1.0.0       : 1.0.0 | 1.0.1
>2 <1                 :  | 0.5.0 1.5.0 3.0.0
||                    : 1.2.3 | 1.2.3-rc
|| 1.0.0-rc           : 1.2.3 1.0.0-rc | 1.0.0-beta
>=1.0.0-rc <1.0.0     : 1.0.0-rc | 1.0.0 0.9.0
1.2.3+build           : 1.2.3 1.2.3+other | 1.2.4
>=1.2.3+build         : 1.2.3 1.3.0 | 1.2.2
"""
ROWS = [line for line in TABLE.strip().splitlines() if line]
CASES = [(row.rpartition(":")[0].strip(), row.rpartition(":")[2]) for row in ROWS]


@pytest.mark.parametrize(("text", "versions"), CASES, ids=[text for text, _ in CASES])
def test_ranges_hold_what_npm_says(text: str, versions: str) -> None:
    """Each form holds the versions npm's rules put inside, and none that they put outside."""
    inside, outside = versions.split("|")
    range_ = Range.parse(text)
    wrong = [v for v in inside.split() if Version.parse(v) not in range_]
    wrong += [v for v in outside.split() if Version.parse(v) in range_]
    assert not wrong


def test_the_empty_range_is_every_release() -> None:
    """An empty text holds all releases and prints as a star."""
    assert Version.parse("4.5.6") in Range.parse("")
    assert Version.parse("4.5.6-rc") not in Range.parse("  ")
    assert str(Range.parse("")) == "*"


@pytest.mark.parametrize(
    ("text", "comparators"),
    [
        ("1.2.3 - 2.3", ">=1.2.3 <2.4.0-0"),
        ("~1.2", ">=1.2.0 <1.3.0-0"),
        ("^0.0.3", ">=0.0.3 <0.0.4-0"),
        ("1.x", ">=1.0.0 <2.0.0-0"),
        (">1.2", ">=1.3.0"),
        ("<=1", "<2.0.0-0"),
        ("<1.2", "<1.2.0-0"),
        ("<*", "<0.0.0-0"),
    ],
)
def test_desugaring_is_npms(text: str, comparators: str) -> None:
    """The comparators are the ones npm documents for each form."""
    (alternative,) = Range.parse(text).alternatives
    assert " ".join(map(str, alternative)) == comparators


@pytest.mark.parametrize(
    "text",
    [
        "blerg", "1.2.3.4", ">>1", "=>1.2", "1.2.3-", "~~1", "^", ">", "1 2 a", "git+https://x",
        "1.2.3 -2.0", "1 - 2 - 3", ">1 - 2", "- 2", "01.2.3", "1.02", "é", "1.2.3\x00", "latest",
        "99999999999999999999", "^1.2.3 || nope", "1,2", ">=1, <2", "1.2-rc", "a" * 300, "&& 1",
    ],
)  # fmt: skip
def test_what_is_not_a_range_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(VerificationError, match="version"):
        Range.parse(text)


def test_highest_is_the_greatest_inside() -> None:
    """The greatest matching version wins; no match is None."""
    versions = [Version.parse(text) for text in ("1.0.0", "1.4.0", "1.10.0", "2.0.0", "1.11.0-rc")]
    assert str(highest(Range.parse("^1"), versions)) == "1.10.0"
    assert highest(Range.parse("^3"), versions) is None


def test_any_text_is_a_range_or_a_typed_refusal() -> None:
    """Random text over the alphabet of ranges never raises anything else, and is quick."""
    source = random.Random(7)
    for _ in range(20_000):
        text = "".join(source.choice("0123xX*.^~<>=| -v+ab") for _ in range(source.randrange(24)))
        try:
            range_ = Range.parse(text)
        except VerificationError:
            continue
        assert isinstance(Version(1, 2, 3) in range_, bool)
