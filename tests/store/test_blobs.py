"""Blobs: named by their contents, and checked again where the name is taken."""

import hashlib
from pathlib import Path

import pytest

from expert.errors import VerificationError
from expert.store.blobs import file_digest
from expert.store.store import Store


def digest(data: bytes) -> str:
    """Return the name of a blob."""
    return hashlib.sha256(data).hexdigest()


def put(store: Store, data: bytes) -> str:
    """Store *data* as an install does."""
    with store.changing() as folder:
        (folder / "file").write_bytes(data)
        store.blobs.adopt([(folder / "file", digest(data))])
    return digest(data)


def test_a_blob_is_kept_under_its_hash_and_read_only(tmp_path: Path) -> None:
    """Its contents, place and mode are right, and staging is empty again."""
    store = Store(tmp_path)
    name = put(store, b"weights")
    path = store.blobs.path(name)
    assert path == tmp_path / "blobs" / "sha256" / name[:2] / name
    assert path.read_bytes() == b"weights"
    assert path.stat().st_mode & 0o777 == 0o444
    assert file_digest(path) == name
    assert list(store.blobs) == [name]
    assert list(store.staging.iterdir()) == []


def test_equal_contents_are_kept_once(tmp_path: Path) -> None:
    """The second file is dropped, the first stays untouched."""
    store = Store(tmp_path)
    before = store.blobs.stamp(put(store, b"same"))
    assert store.blobs.stamp(put(store, b"same")) == before


def test_a_damaged_blob_is_found_and_replaced(tmp_path: Path) -> None:
    """A taken name is no proof: storing the contents again repairs it."""
    store = Store(tmp_path)
    name = put(store, b"weights")
    path = store.blobs.path(name)
    path.chmod(0o644)
    path.write_bytes(b"weightz")
    assert not store.blobs.is_sound(name)
    put(store, b"weights")
    assert store.blobs.is_sound(name)


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    """Writing the same number of bytes and setting the time back is still noticed."""
    import os

    store = Store(tmp_path)
    name = put(store, b"weights")
    before = store.blobs.stamp(name)
    assert before is not None
    path = store.blobs.path(name)
    path.chmod(0o644)
    path.write_bytes(b"weightz")
    os.utime(path, ns=(before.mtime_ns, before.mtime_ns))
    path.chmod(0o444)
    after = store.blobs.stamp(name)
    assert after is not None
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns)
    assert after != before


def test_a_missing_blob_is_not_sound(tmp_path: Path) -> None:
    """No file, no stamp; removing it is no error."""
    blobs = Store(tmp_path).blobs
    assert not blobs.is_sound("a" * 64)
    assert blobs.stamp("a" * 64) is None
    blobs.remove("a" * 64)
    assert list(blobs) == []


@pytest.mark.parametrize("name", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_only_hashes_name_blobs(tmp_path: Path, name: str) -> None:
    """No name leads out of the folder."""
    with pytest.raises(VerificationError, match="SHA-256"):
        Store(tmp_path).blobs.path(name)


def test_foreign_files_are_not_blobs(tmp_path: Path) -> None:
    """What others left in the folder is not listed."""
    store = Store(tmp_path)
    name = put(store, b"x")
    store.blobs.path(name).with_name("notes.txt").write_text("mine")
    assert list(store.blobs) == [name]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    """The next change starts with an empty staging folder."""
    store = Store(tmp_path)
    left = store.staging / "abc" / "deep"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    with store.changing() as folder:
        assert [path.name for path in store.staging.iterdir()] == [folder.name]


def test_a_failure_inside_leaves_no_rubbish(tmp_path: Path) -> None:
    """Staging is cleared when the work fails, too."""
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.changing() as folder:
        (folder / "half").write_bytes(b"x")
        raise ZeroDivisionError
    assert list(store.staging.iterdir()) == []
