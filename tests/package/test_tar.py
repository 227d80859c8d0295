"""Headers: what Python's tarfile makes and reads, and nothing else."""

import io
import random
import tarfile
from typing import Literal

import pytest

from expert.package import tar


def of_tarfile(name: str, size: int) -> bytes:
    """Return the header that tarfile writes for a plain file of ours."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8**11 - 1])
@pytest.mark.parametrize("name", ["a", "files/a.gguf", "files/" + "x" * 94])
def test_headers_are_tarfiles_own(name: str, size: int) -> None:
    """Byte for byte, and they read back."""
    assert tar.header(name, size) == of_tarfile(name, size)
    assert tar.parse_header(tar.header(name, size)) == (name, size)


def test_an_archive_of_ours_is_one_of_tarfiles() -> None:
    """Members, padding and end together."""
    files = {"a": b"x" * 700, "b/c.txt": b"", "d": b"y" * 512}
    data = b"".join(
        tar.header(name, len(text)) + text + bytes(tar.padding(len(text)))
        for name, text in files.items()
    )
    with tarfile.open(fileobj=io.BytesIO(data + tar.END)) as archive:
        read = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]  # plain files
    assert read == files
    assert len(data) == sum(tar.member_size(len(text)) for text in files.values())


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 0), ("a", 8**11), ("a", -1), ("é", 0)])
def test_what_does_not_fit_is_refused(name: str, size: int) -> None:
    """Long names, large sizes, other alphabets."""
    with pytest.raises(ValueError):
        tar.header(name, size)


def test_no_other_block_is_a_header() -> None:
    """Random changes of a header are none any more, or are the header of what they say."""
    source = random.Random(9)
    good = tar.header("files/adapter.gguf", 12345)
    for _ in range(20_000):
        block = bytearray(good)
        for _ in range(source.randrange(1, 4)):
            block[source.randrange(512)] = source.choice([0, 32, 48, 49, 55, source.randrange(256)])
        found = tar.parse_header(bytes(block))
        assert found is None or tar.header(*found) == block


@pytest.mark.parametrize("block", [b"", bytes(512), b"x" * 512, bytes(100)])
def test_nonsense_is_no_header(block: bytes) -> None:
    """Zeros, letters, and too little."""
    assert tar.parse_header(block) is None


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("field", ["uid", "mtime", "mode", "uname"])
def test_other_headers_that_tarfile_reads_are_refused(kind: Literal[1, 2], field: str) -> None:
    """Owners, times and modes have no place."""
    info = tarfile.TarInfo("a")
    setattr(info, field, "root" if field == "uname" else 7)
    assert tar.parse_header(info.tobuf(kind)[:512]) is None
