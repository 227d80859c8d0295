"""Differences between manifests."""

import msgspec

from expert.package.diff import Change, diff
from expert.package.manifest import Manifest
from support.packages import draft, full_draft


def made(**changes: object) -> Manifest:
    """Return a full manifest with some fields changed."""
    return msgspec.convert(full_draft() | changes, Manifest)


def test_equal_manifests_do_not_differ() -> None:
    """No change is an empty list."""
    assert diff(made(), made()) == []


def test_each_changed_field_is_listed_with_both_values() -> None:
    """Changed, added and removed fields are found, nested ones by their path."""
    after = made(version="1.1.0", homepage=None, requires={"acme/json": "^2", "acme/xml": "*"})
    assert diff(made(), after) == [
        Change("homepage", "https://example.org/sql", None),
        Change("requires.acme/json", "^1.2", "^2"),
        Change("requires.acme/xml", None, "*"),
        Change("version", "1.0.0", "1.1.0"),
    ]


def test_files_are_matched_by_name() -> None:
    """A file added in front does not make the others look changed."""
    file = {"path": "b.md", "size": 1, "sha256": "b" * 64}
    more = [{"path": "a.md", "size": 1, "sha256": "a" * 64}, file]
    changes = diff(
        msgspec.convert(draft(files=[file]), Manifest), msgspec.convert(draft(files=more), Manifest)
    )
    assert [change.field for change in changes] == [
        "files.a.md.path", "files.a.md.sha256", "files.a.md.size",
    ]  # fmt: skip
