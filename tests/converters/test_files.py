"""Atomic replacement of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from expert_converters.files import replacing


def test_success_replaces_the_target(tmp_path: Path) -> None:
    """The new contents appear under the name, and nothing else is left."""
    target = tmp_path / "new" / "file"
    with replacing(target) as part:
        assert part.parent == target.parent
        part.write_text("new")
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_failure_keeps_the_target(tmp_path: Path) -> None:
    """An exception leaves the old contents and removes the part."""
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyError), replacing(target) as part:
        part.write_text("half")
        raise KeyError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
