"""Adapters on a command line: a file or a package, and what cannot be compared with."""

from pathlib import Path

import pytest

from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.cli.adapters import compared, taken_out
from expert.engine.header import read_header
from expert.errors import NotFoundError, UsageError, VerificationError
from support.packages import base, make_package


@pytest.fixture(name="adapter")
def adapter_of_the_tiny_model(tmp_path: Path, tiny_path: Path) -> Path:
    """Return a file of random weights."""
    path = tmp_path / "mine.gguf"
    write_random_adapter(read_header(tiny_path), RandomAdapter(32, 5), path)
    return path


def test_a_file_is_used_where_it_lies(adapter: Path) -> None:
    """Its name is the file's."""
    with taken_out(adapter) as given:
        assert (given.name, given.adapter) == ("mine", adapter)


def test_a_package_is_unpacked_for_as_long_as_it_is_used(adapter: Path, tmp_path: Path) -> None:
    """The same bytes, and nothing is left of them afterwards."""
    package = make_package(tmp_path, contents=adapter.read_bytes())
    with taken_out(package) as given:
        assert given.adapter is not None
        assert given.adapter.read_bytes() == adapter.read_bytes()
    assert given.name == "sql" and not given.adapter.exists()


def test_what_is_compared_with_fits_the_base(
    adapter: Path, tiny_path: Path, pocket: Path, tmp_path: Path
) -> None:
    """Both forms do; a folder of weights is not looked at; nothing stands for nothing."""
    package = make_package(tmp_path, contents=adapter.read_bytes())
    for path in (adapter, package):
        with compared(path, tiny_path) as other:
            assert other is not None and other.is_file()
        with pytest.raises(VerificationError), compared(path, pocket):
            pass
    with compared(adapter, tmp_path) as other:
        assert other == adapter
    with compared(None, tiny_path) as other:
        assert other is None


def test_what_cannot_be_compared_with_is_said(tiny_path: Path, tmp_path: Path) -> None:
    """Nothing there, something damaged, and an expert that is a soft prompt."""
    with pytest.raises(NotFoundError), compared(tmp_path / "none.expert", tiny_path):
        pass
    damaged = tmp_path / "damaged.expert"
    damaged.write_bytes(b"no package")
    with pytest.raises(VerificationError), compared(damaged, tiny_path):
        pass
    soft = base(file=None, rank=None, alpha=None, soft_prompt="soft.gguf")
    package = make_package(tmp_path, bases=[soft])
    with pytest.raises(UsageError, match="without an adapter"), compared(package, tiny_path):
        pass
