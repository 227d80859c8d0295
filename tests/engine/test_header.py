"""Model files are checked before C opens them, and the verdict is remembered."""

import os
from pathlib import Path

import pytest

from expert.engine import header
from expert.engine.header import read_header
from expert.engine.model import Model
from expert.errors import NotFoundError, VerificationError


def test_a_header_is_remembered_as_it_was_read(
    tiny_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reading comes from the cache and equals the first."""
    first = read_header(tiny_path)
    assert len(list((home / "cache" / "headers").iterdir())) == 1

    def never(*_: object) -> None:
        raise AssertionError("the file was checked again")

    monkeypatch.setattr(header, "_check", never)
    again = read_header(tiny_path)
    assert again == first
    key = "tokenizer.ggml.tokens"
    assert again.array(key) == first.array(key)


def test_a_changed_file_is_checked_again(tiny_path: Path, tmp_path: Path) -> None:
    """Another content under the same name is another identity."""
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_path.read_bytes())
    read_header(path)
    raw = bytearray(tiny_path.read_bytes())
    raw[5] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(VerificationError):
        read_header(path)


def test_a_damaged_cache_is_ignored(tiny_path: Path, home: Path) -> None:
    """A cache entry that does not decode is made again."""
    first = read_header(tiny_path)
    (entry,) = (home / "cache" / "headers").iterdir()
    entry.write_bytes(b"\xff\x00garbage")
    assert read_header(tiny_path) == first


def test_an_unwritable_cache_costs_only_time(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that is a file, not a folder, does not keep a model from loading."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("EXPERT_HOME", str(blocked))
    with Model(tiny_path) as model:
        assert model.trained_context == 512


def test_a_missing_file_and_a_folder_are_not_found(tmp_path: Path) -> None:
    """Both are code 3, with the path and the reason."""
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(NotFoundError, match=str(path)) as caught:
            read_header(path)
        assert caught.value.code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tiny_path: Path, tmp_path: Path) -> None:
    """A file without read permission is a typed error."""
    path = tmp_path / "secret.gguf"
    path.write_bytes(tiny_path.read_bytes())
    path.chmod(0)
    with pytest.raises(NotFoundError, match="Permission"):
        read_header(path)


def test_another_kind_of_file_is_refused_with_reasons(tmp_path: Path) -> None:
    """The error is code 5 and says what, why and how to fix it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(VerificationError) as caught:
        Model(path)
    error = caught.value
    assert error.code == 5
    assert error.what and error.why and error.fix
