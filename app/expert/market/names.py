"""How people name experts: `NAME` or `PUBLISHER/NAME`, with `@VERSION` or `@RANGE` behind it."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.market.records import Installed
from expert.package.ranges import Range
from expert.paths import expanded

_SLUG = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_NAMED = re.compile(rf"(?:(?P<publisher>{_SLUG})/)?(?P<name>{_SLUG})(?:@(?P<range>.*))?")


@dataclass(frozen=True, slots=True)
class Named:
    """An expert as someone named it."""

    text: str
    publisher: str | None
    """None: whoever has one of that name."""
    name: str
    range: Range | None
    """None: no version was named."""

    def fits(self, publisher: str, name: str) -> bool:
        """Tell whether an expert may be the one that is meant."""
        return name == self.name and self.publisher in (None, publisher)


def parse_named(text: str) -> Named:
    """Return what *text* names.

    Raises:
        UsageError: it is not the name of an expert, or what follows the `@` no range of versions.
    """
    match = _NAMED.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!a} is not the name of an expert.",
            "Names look like sql, expert/sql or expert/sql@^1.2.",
            "Check the spelling; for a package file, give its path.",
        )
    try:
        range_ = None if match["range"] is None else Range.parse(match["range"])
    except VerificationError as error:
        raise UsageError(error.what, error.why, error.fix) from error
    return Named(text, match["publisher"], match["name"], range_)


def package_path(text: str) -> Path | None:
    """Return the package file that *text* is the path of, None if it is a name.

    A bare word is a name even where a file is called so, so that what `install sql` means does not
    depend on the folder one is in.
    """
    path = expanded(text)
    is_path = text.endswith(".expert") or text[:1] in (".", "~") or path.is_absolute()
    return path.absolute() if is_path else None


def pick(packages: list[Installed], text: str) -> Installed:
    """Return the installed package that *text* means.

    A version or range picks the highest installed one in it, otherwise it is the selected one. Of
    two that differ in their build alone, it is the one that is named exactly.

    Raises:
        UsageError: it is not the name of an expert.
        NotFoundError: none is installed.
        ExpertError: several publishers have one of that name.
    """
    named = parse_named(text)
    found = [package for package in packages if _is_meant(package, named)]
    publishers = {package.publisher for package in found}
    if len(publishers) > 1:
        labels = ", ".join(package.label for package in found)
        raise ExpertError(
            f"{text} can mean several experts.", f"Installed are {labels}.", "Name the publisher."
        )
    if not found:
        names = [package.name for package in packages] + [package.label for package in packages]
        raise NotFoundError(
            f"No expert {text} is installed.",
            suggestion(text, names),
            "See `expert list`, or `expert search` for more.",
        )
    exact = text.partition("@")[2]
    return max(found, key=lambda one: (one.parsed_version, one.version == exact, one.selected))


def _is_meant(package: Installed, named: Named) -> bool:
    if not named.fits(package.publisher, package.name):
        return False
    return package.selected if named.range is None else package.parsed_version in named.range


def suggestion(text: str, names: Iterable[str]) -> str:
    """Return a question whether the closest of *names* was meant; empty if none is close."""
    close = difflib.get_close_matches(text, sorted(set(names)), n=1)
    return f"Did you mean {close[0]}?" if close else ""
