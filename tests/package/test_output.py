"""Files and folders that appear as a whole, or not at all."""

from pathlib import Path

import pytest

from expert.errors import ResourceError, UsageError
from expert.package.output import new_file, new_folder


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    """Not before, and in place of an older one."""
    target = tmp_path / "file"
    target.write_text("old")
    with new_file(target) as out:
        out.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    """With all that was put into it."""
    with new_folder(tmp_path / "folder") as draft:
        (draft / "a").write_text("x")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder" / "a").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_nothing_stays_after_a_failure(tmp_path: Path, make: object) -> None:
    """Whatever the failure is; disk errors become errors of ours."""
    assert callable(make)
    for error, expected in (
        (ZeroDivisionError(), ZeroDivisionError),
        (OSError(28, "full"), ResourceError),
    ):
        with pytest.raises(expected), make(tmp_path / "target"):
            raise error
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_a_missing_parent_is_a_clear_error(tmp_path: Path, make: object) -> None:
    """Nothing is created on the way."""
    assert callable(make)
    with pytest.raises(ResourceError, match="Cannot write"), make(tmp_path / "none" / "target"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Folders are not replaced."""
    with pytest.raises(UsageError, match="exists"), new_folder(tmp_path):
        pass
