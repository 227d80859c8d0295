"""Semantic versions 2.0 (semver.org), strict: exactly what a manifest may carry."""

import re
from dataclasses import dataclass
from functools import cached_property, total_ordering

from expert.errors import VerificationError

MAX_LENGTH = 256
MAX_NUMBER = 2**53 - 1
"""Larger numbers differ between implementations; npm refuses them too."""

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
PRERELEASE = rf"(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
BUILD = r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"(?P<major>{NUMBER})\.(?P<minor>{NUMBER})\.(?P<patch>{NUMBER}){PRERELEASE}{BUILD}"
)


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """One version; build metadata is kept but takes no part in comparing."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[int | str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Return the version that *text* spells.

        Raises:
            VerificationError: it is not a semantic version.
        """
        match = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if match is None:
            raise VerificationError(
                f"{text[:MAX_LENGTH]!r} is not a version.",
                "A version is three numbers and an optional pre-release, like 1.4.0 or 2.0.0-rc.1.",
                "Write it in that form.",
            )
        major, minor, patch = (parse_number(match[part]) for part in ("major", "minor", "patch"))
        return cls(major, minor, patch, parse_prerelease(match["pre"]), match["build"] or "")

    @property
    def core(self) -> tuple[int, int, int]:
        """The three numbers."""
        return self.major, self.minor, self.patch

    @cached_property
    def _key(self) -> tuple[object, ...]:
        # A release sorts after all its pre-releases; numbers sort before words (semver.org, 11).
        words = tuple((0, x, "") if isinstance(x, int) else (1, 0, x) for x in self.prerelease)
        return (*self.core, (0, words) if words else (1,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        text = ".".join(map(str, self.core))
        if self.prerelease:
            text += "-" + ".".join(map(str, self.prerelease))
        return text + (f"+{self.build}" if self.build else "")


def parse_number(text: str) -> int:
    """Return a version number.

    Raises:
        VerificationError: it is larger than every implementation can hold.
    """
    if len(text) > 16 or int(text) > MAX_NUMBER:
        raise VerificationError(
            f"The version number {text[:40]} is too large.",
            f"Numbers above {MAX_NUMBER} differ between programs.",
            "Use a smaller number.",
        )
    return int(text)


def parse_prerelease(text: str | None) -> tuple[int | str, ...]:
    """Split `rc.1` into its identifiers, numbers as numbers."""
    words = text.split(".") if text else []
    return tuple(parse_number(word) if word.isdecimal() else word for word in words)
