"""Version ranges as npm reads them: `^1.2`, `~1.2.3`, `1.x`, `>=1 <3`, `1.2 - 2`, `a || b`.

Source: the grammar and the desugaring rules that npm publishes with node-semver. Each range becomes
alternatives of plain comparators; a pre-release only matches where a comparator names one of the
same three numbers, so that nobody gets an unfinished version by surprise.
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from expert.errors import VerificationError
from expert.package.semver import BUILD, NUMBER, PRERELEASE, Version, parse_number, parse_prerelease

MAX_LENGTH = 256
_PART = rf"(?:{NUMBER}|[xX*])"
_PARTIAL = (
    rf"[v=\s]*(?P<major>{_PART})(?:\.(?P<minor>{_PART})"
    rf"(?:\.(?P<patch>{_PART}){PRERELEASE}{BUILD})?)?"
)
_SIMPLE = re.compile(rf"(?P<op>\^|~>|~|>=|<=|>|<|=|)\s*{_PARTIAL}")
_BOUND = re.compile(_PARTIAL)
_OPERATOR_GAP = re.compile(r"(\^|~>|~|>=|<=|>|<|=)\s+")
_TESTS: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Comparator:
    """One bound, like `>=1.2.0`."""

    op: str
    version: Version

    def holds(self, version: Version) -> bool:
        return _TESTS[self.op](version, self.version)

    def __str__(self) -> str:
        return f"{self.op}{self.version}"


@dataclass(frozen=True, slots=True)
class Range:
    """A set of versions; keeps the text it was written as."""

    text: str
    alternatives: tuple[tuple[Comparator, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Return the range that *text* spells; an empty text is every release.

        Raises:
            VerificationError: it is not a range.
        """
        if len(text) > MAX_LENGTH:
            _refuse(text[:40] + "…")
        alternatives = tuple(tuple(_desugar(part, text)) for part in text.split("||"))
        return cls(text, alternatives)

    def __contains__(self, version: Version) -> bool:
        return any(_matches(version, comparators) for comparators in self.alternatives)

    def __str__(self) -> str:
        return self.text or "*"


def highest(range_: Range, versions: Iterable[Version]) -> Version | None:
    """Return the highest of *versions* in the range, if any."""
    return max((version for version in versions if version in range_), default=None)


def _matches(version: Version, comparators: tuple[Comparator, ...]) -> bool:
    if not all(comparator.holds(version) for comparator in comparators):
        return False
    if not version.prerelease:
        return True
    return any(c.version.prerelease and c.version.core == version.core for c in comparators)


@dataclass(frozen=True, slots=True)
class _Partial:
    """A version with missing parts, `1.2` or `1.x`: a None part means any."""

    major: int | None
    minor: int | None
    patch: int | None
    prerelease: tuple[int | str, ...]

    @classmethod
    def of(cls, match: re.Match[str]) -> "_Partial":
        numbers: list[int | None] = []
        for name in ("major", "minor", "patch"):
            text = match[name]
            known = text is not None and text not in "xX*" and None not in numbers
            numbers.append(parse_number(text) if known else None)
        pre = parse_prerelease(match["pre"]) if numbers[2] is not None else ()
        return cls(numbers[0], numbers[1], numbers[2], pre)

    @property
    def floor(self) -> Version:
        """The lowest version it covers."""
        return Version(self.major or 0, self.minor or 0, self.patch or 0, self.prerelease)

    @property
    def above(self) -> Version:
        """The first version above all it covers; `-0` sorts before every pre-release of it."""
        assert self.major is not None
        if self.minor is None:
            return Version(self.major + 1, 0, 0, (0,))
        return Version(self.major, self.minor + 1, 0, (0,))


_NOTHING = Comparator("<", Version(0, 0, 0, (0,)))


def _desugar(text: str, whole: str) -> list[Comparator]:
    """Return the comparators of one alternative."""
    halves = re.split(r"\s+-\s+", text.strip())
    if len(halves) == 2:
        return _hyphen(halves[0], halves[1], whole)
    comparators: list[Comparator] = []
    for word in _OPERATOR_GAP.sub(r"\1", text).split():
        match = _SIMPLE.fullmatch(word)
        if match is None:
            _refuse(whole)
        comparators += _FORMS[match["op"]](_Partial.of(match), match["op"])
    return comparators


def _hyphen(low: str, high: str, whole: str) -> list[Comparator]:
    first, last = _BOUND.fullmatch(low), _BOUND.fullmatch(high)
    if first is None or last is None:
        _refuse(whole)
    start, end = _Partial.of(first), _Partial.of(last)
    comparators = [] if start.major is None else [Comparator(">=", start.floor)]
    if end.major is not None:
        comparators.append(
            Comparator("<=", end.floor) if end.patch is not None else Comparator("<", end.above)
        )
    return comparators


def _caret(partial: _Partial, _: str) -> list[Comparator]:
    """`^`: up to the next change of the left-most number that is not zero."""
    major, minor, patch = partial.major, partial.minor, partial.patch
    if major is None:
        return []
    if major > 0 or minor is None:
        above = Version(major + 1, 0, 0, (0,))
    elif minor > 0 or patch is None:
        above = Version(0, minor + 1, 0, (0,))
    else:
        above = Version(0, 0, patch + 1, (0,))
    return [Comparator(">=", partial.floor), Comparator("<", above)]


def _tilde(partial: _Partial, _: str) -> list[Comparator]:
    """`~`: changes of the patch number, or of the minor one where only a major one is given."""
    if partial.major is None:
        return []
    return [Comparator(">=", partial.floor), Comparator("<", partial.above)]


def _equal(partial: _Partial, _: str) -> list[Comparator]:
    if partial.major is None:
        return []
    if partial.patch is None:
        return _tilde(partial, "~")
    return [Comparator("=", partial.floor)]


def _bound(partial: _Partial, op: str) -> list[Comparator]:
    """`>`, `>=`, `<`, `<=`; of a partial version they mean all it covers."""
    if partial.major is None:
        return [_NOTHING] if op in ("<", ">") else []
    if partial.patch is not None:
        return [Comparator(op, partial.floor)]
    if op == ">":
        return [Comparator(">=", Version(*partial.above.core))]
    if op == "<=":
        return [Comparator("<", partial.above)]
    return [Comparator(op, Version(*partial.floor.core, (0,) if op == "<" else ()))]


_FORMS: dict[str, Callable[[_Partial, str], list[Comparator]]] = {
    "^": _caret,
    "~": _tilde,
    "~>": _tilde,
    "": _equal,
    "=": _equal,
    ">": _bound,
    ">=": _bound,
    "<": _bound,
    "<=": _bound,
}


def _refuse(text: str) -> NoReturn:
    raise VerificationError(
        f"{text!r} is not a version range.",
        "Ranges are written as npm does: ^1.2.0, ~1.2.3, 1.x, >=1.0.0 <3.0.0, 1.2 - 2.0, a || b.",
        "Write it in one of these forms.",
    )
