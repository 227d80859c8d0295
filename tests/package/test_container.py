"""The `.expert` container: deterministic, previewed by one read, and refused if one bit differs."""

import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
import zstandard

from expert.errors import ExpertError, NotFoundError, ResourceError, UsageError, VerificationError
from expert.package import tar
from expert.package.codec import encode_manifest
from expert.package.container import inspect, inspect_stream, preview
from expert.package.keys import PrivateKey
from expert.package.limits import LIMITS
from expert.package.manifest import File, Manifest
from expert.package.pack import attach, extract, pack, sign
from expert.package.sshsig import MANIFEST
from expert.package.sshsig import sign as make_signature
from expert.package.validate import validate, validate_stream
from support.packages import draft, full_draft, write_source

KEY = PrivateKey(b"k" * 32)
NOISE = random.Random(1).randbytes(3000)


@pytest.fixture(name="source")
def source_folder(tmp_path: Path) -> Path:
    """A source folder with compressible and incompressible files."""
    return write_source(tmp_path / "source", full_draft(), adapter=NOISE)


@pytest.fixture(name="package")
def signed_package(source: Path, tmp_path: Path) -> Path:
    """That folder's package, signed."""
    pack(source, tmp_path / "sql.expert", KEY)
    return tmp_path / "sql.expert"


@pytest.fixture(name="small", scope="module")
def small_package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A signed package of two small files, one of them compressed."""
    folder = tmp_path_factory.mktemp("small")
    manifest = draft(documents=["README.md"])
    source = write_source(folder / "source", manifest, adapter=NOISE[:300], README=b"text " * 80)
    pack(source, folder / "small.expert", KEY)
    return (folder / "small.expert").read_bytes()


def test_packing_twice_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    """Times, order of creation and the target's name do not matter."""
    for name in ("a", "b"):
        pack(source, tmp_path / name, KEY)
        for path in source.rglob("*"):
            os.utime(path, (1, 1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_package_can_be_packed_again_from_its_contents(package: Path, tmp_path: Path) -> None:
    """Extracting and packing is the identity."""
    extract(package, tmp_path / "out")
    pack(tmp_path / "out", tmp_path / "again.expert", KEY)
    assert (tmp_path / "again.expert").read_bytes() == package.read_bytes()


def test_extracting_gives_the_files(package: Path, source: Path, tmp_path: Path) -> None:
    """The unpacked files are those that were packed."""
    extract(package, tmp_path / "out")
    for path in source.iterdir():
        if path.name != "manifest.json":
            assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_signing_changes_nothing_but_the_signature(source: Path, tmp_path: Path) -> None:
    """Packing and then signing equals doing both; taking the signature off undoes it."""
    plain, both, later = tmp_path / "plain", tmp_path / "both", tmp_path / "later"
    pack(source, plain)
    pack(source, both, KEY)
    sign(plain, KEY, later)
    assert later.read_bytes() == both.read_bytes()
    attach(later, None)
    assert later.read_bytes() == plain.read_bytes()
    assert inspect(plain).signer is None
    assert inspect(both).id == inspect(plain).id


def test_members_are_compressed_only_where_it_pays(package: Path) -> None:
    """Noise is stored as it is, text is compressed."""
    encodings = {file.path: file.encoding for file in inspect(package).manifest.files}
    assert encodings["adapter.gguf"] == "raw"
    assert encodings["README.md"] == "zstd"


def test_tar_programs_can_list_it(package: Path) -> None:
    """Python's and the system's tar see the same members, all plain files."""
    names = ["expert.json", "expert.json.sig", "files/LICENSE.txt.zst"]
    with tarfile.open(package) as archive:
        assert all(member.isreg() for member in archive)
        assert archive.getnames()[:3] == names
    listing = subprocess.run(["tar", "tf", package], capture_output=True, text=True, check=True)
    assert listing.stdout.split()[:3] == names


def test_one_read_of_64_kib_previews_the_largest_manifest(tmp_path: Path) -> None:
    """Manifest and signature fit into the preview even when the manifest is as large as allowed."""
    manifest = draft(extra={})
    room = LIMITS.manifest - len(encode_manifest(msgspec.convert(manifest, Manifest))) - 300
    manifest["extra"] = {"padding": "x" * room}
    pack(write_source(tmp_path / "source", manifest), tmp_path / "large", KEY)
    data = (tmp_path / "large").read_bytes()
    assert len(inspect(tmp_path / "large").manifest_bytes) > LIMITS.manifest - 300
    assert preview(data[: LIMITS.preview]).signer == KEY.public


def test_inspecting_reads_no_more_than_the_preview(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read, however large the package is."""
    reads: list[int] = []
    fdopen = os.fdopen

    class Counting(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            reads.append(size or -1)
            return super().read(size)

    def counting(descriptor: int, mode: str) -> BinaryIO:
        return Counting(fdopen(descriptor, mode, buffering=0))  # type: ignore[arg-type]  # FileIO

    monkeypatch.setattr("expert.package.container.os.fdopen", counting)
    inspect(package)
    assert reads == [LIMITS.preview]


def test_progress_reaches_the_end(package: Path) -> None:
    """Progress grows and ends within the package's size."""
    seen: list[tuple[int, int]] = []
    validate(package, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] <= seen[-1][1] == package.stat().st_size


# Damage ---------------------------------------------------------------------------------------


def refused(data: bytes) -> bool:
    """Tell whether *data* is refused as a package; nothing else may be raised."""
    try:
        validate_stream(io.BytesIO(data), Path("fuzzed"))
    except VerificationError:
        return True
    return False


def accepted(small: bytes, changes: Iterator[bytes]) -> int:
    """Count how many changed packages are accepted, leaving out unchanged ones."""
    return sum(not refused(data) for data in changes if data != small)


def flips(data: bytes, step: int = 1) -> Iterator[bytes]:
    """Yield *data* with each bit flipped in turn."""
    for bit in range(0, 8 * len(data), step):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def splices(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield *data* with pieces moved, repeated, removed, zeroed or made random."""
    source = random.Random(seed)
    for _ in range(count):
        start, end, other = (source.randrange(len(data) + 1) for _ in range(3))
        start, end = min(start, end), max(start, end)
        piece = source.choice(
            [data[other : other + end - start], b"", bytes(end - start), data[start:end] * 2]
            + [source.randbytes(source.randrange(40)), data[:other]]
        )
        yield data[:start] + piece + data[end:]


@pytest.mark.slow
def test_every_flipped_bit_is_refused(small: bytes) -> None:
    """No bit of a signed package is without meaning."""
    assert accepted(small, flips(small)) == 0


def test_a_sample_of_flipped_bits_is_refused(small: bytes) -> None:
    """The quick version of the above."""
    assert accepted(small, flips(small, 101)) == 0


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)])
def test_truncations_are_refused(small: bytes, step: int) -> None:
    """A package is complete or refused."""
    cuts = (small[:length] for length in range(0, len(small), step))
    assert accepted(small, cuts) == 0


def test_anything_appended_is_refused(small: bytes) -> None:
    """Nothing may follow the end."""
    tails = (small + tail for tail in (b"\0", bytes(512), bytes(1024), b"x", small))
    assert accepted(small, tails) == 0


def test_splices_are_refused(small: bytes) -> None:
    """Moved, repeated and random pieces are refused."""
    assert accepted(small, splices(small, 1000, 1)) == 0


@pytest.mark.slow
def test_many_splices_are_refused(small: bytes) -> None:
    """The long version of the above."""
    assert accepted(small, splices(small, 10_000, 2)) == 0


def test_the_fuzzing_would_notice(small: bytes) -> None:
    """A reader that looked at nothing but the head would accept flips in the payload."""
    changed = bytearray(small)
    changed[payload_offset(small) + tar.BLOCK + 5] ^= 1
    inspect_stream(io.BytesIO(changed), Path("fuzzed"))
    assert refused(bytes(changed))


def payload_offset(data: bytes) -> int:
    """Return where the first file's header is."""
    return preview(data[: LIMITS.preview]).payload_offset


# Hostile packages: correct hashes and signatures over contents that must be refused -----------


def forged(path: Path, stored: bytes, **claims: object) -> Path:
    """Write a signed package with one zstd member, whatever is in it."""
    file = File(
        path="adapter.gguf",
        size=int(str(claims.get("size", 5000))),
        sha256=str(claims.get("sha256", hashlib.sha256(RAW).hexdigest())),
        encoding="zstd",
        stored_size=len(stored),
        stored_sha256=hashlib.sha256(stored).hexdigest(),
    )
    manifest = encode_manifest(msgspec.convert(draft(), Manifest)).replace(
        b'"license"', b'"files":[' + msgspec.json.encode(file, order="sorted") + b'],"license"'
    )
    signature = make_signature(manifest, KEY, MANIFEST)
    members = (("expert.json", manifest), ("expert.json.sig", signature))
    members += (("files/adapter.gguf.zst", stored),)  # type: ignore[assignment]  # grows by one
    with path.open("wb") as out:
        for name, data in members:
            out.write(tar.header(name, len(data)) + data + bytes(tar.padding(len(data))))
        out.write(tar.END)
    return path


RAW = bytes(random.Random(3).choices(b"abcd", k=5000))
FRAME = zstandard.ZstdCompressor(3).compress(RAW)


def test_the_forger_can_make_a_good_package(tmp_path: Path) -> None:
    """The cases below are refused for what they change, not for how they are made."""
    assert validate(forged(tmp_path / "p", FRAME)).signer == KEY.public


def _unsized() -> bytes:
    return zstandard.ZstdCompressor(3, write_content_size=False).compress(RAW)


def _with_dictionary() -> bytes:
    samples: list[bytes | bytearray | memoryview] = [
        random.Random(i).randbytes(40) * 4 + b"common text here" * 9 for i in range(200)
    ]
    dictionary = zstandard.train_dictionary(2000, samples)
    return zstandard.ZstdCompressor(3, dict_data=dictionary).compress(RAW)


FRAMES = {
    "no size stated": (_unsized(), "states"),
    "another size stated": (zstandard.ZstdCompressor(3).compress(RAW[1:]), "states"),
    "not zstd": (b"plain bytes" * 9, "not a zstd frame"),
    "window too large": (
        FRAME[:4] + b"\x80\xff" + (5000).to_bytes(4, "little") + FRAME[7:],
        "window",
    ),
    "dictionary": (_with_dictionary(), "dictionary"),
    "second frame": (FRAME + zstandard.ZstdCompressor(3).compress(b"b"), "something follows"),
    "junk behind": (FRAME + b"junk", "something follows"),
    "skippable frame in front": (b"\x50\x2a\x4d\x18\4\0\0\0junk" + FRAME, "not a zstd frame"),
    "cut off": (FRAME[:-3], "the member"),
    "only a header": (FRAME[:6].ljust(30, b"\0"), "states"),
    "reserved block": (FRAME[:7] + b"\x07\0\0" + bytes(40), "does not know"),
}  # fmt: skip


@pytest.mark.parametrize(("stored", "why"), FRAMES.values(), ids=FRAMES)
def test_hostile_frames_are_refused_before_decompression(
    stored: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame is judged without the decoder, even when the publisher signed it."""
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)
    with pytest.raises(VerificationError) as caught:
        validate(forged(tmp_path / "p", stored))
    assert why in caught.value.why


def test_a_frame_of_other_content_is_refused(tmp_path: Path) -> None:
    """The raw hash is compared as well."""
    with pytest.raises(VerificationError) as caught:
        validate(forged(tmp_path / "p", zstandard.ZstdCompressor(3).compress(RAW[::-1])))
    assert "another content" in caught.value.why


def test_a_corrupt_block_is_refused(tmp_path: Path) -> None:
    """What the decoder refuses is a typed refusal too."""
    data = random.Random(5).choices(b"abcdef", k=5000)
    frame = bytearray(zstandard.ZstdCompressor(3).compress(bytes(data)))
    frame[20:60] = bytes(40)
    with pytest.raises(VerificationError):
        validate(forged(tmp_path / "p", bytes(frame)))


def test_a_bomb_is_refused_without_memory(tmp_path: Path) -> None:
    """A frame that says 200,000 bytes and unpacks to gigabytes stays within the stated size."""
    block = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    last = (128 * 1024 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"a"
    bomb = FRAME[:4] + b"\x80\x60" + (200_000).to_bytes(4, "little") + block * 20_000 + last
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from expert.package.validate import validate\n"
        "from expert.errors import VerificationError\n"
        "try: validate(Path(sys.argv[1]))\n"
        "except VerificationError as e: print('refused')\n"
        # Not ru_maxrss, which a child inherits from the process that started it.
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.split('VmHWM:')[1].split()[0])\n"
    )
    path = forged(tmp_path / "p", bomb, size=200_000)
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    verdict, memory = run.stdout.split()
    assert verdict == "refused"
    assert int(memory) < 200_000


HEADERS = {
    "mode": (100, b"0000755\0"),
    "owner": (108, b"0000001\0"),
    "time": (136, b"00000000001\0"),
    "link": (156, b"2"),
    "directory": (156, b"5"),
    "device": (156, b"3"),
    "old regular type": (156, b"\0"),
    "name of an owner": (265, b"root"),
    "GNU magic": (257, b"ustar  \0"),
    "prefix": (345, b"a"),
    "size with spaces": (124, b"       1234\0"),
    "parent folder": (0, b"../adapter.gguf"),
    "absolute": (0, b"/files/adapter"),
}


@pytest.mark.parametrize(("place", "field"), HEADERS.values(), ids=HEADERS)
def test_other_headers_are_refused_even_with_a_right_checksum(
    place: int, field: bytes, small: bytes
) -> None:
    """Only the canonical header of each member counts; its checksum cannot make up for it."""
    for offset in (0, payload_offset(small)):
        block = bytearray(small[offset : offset + 512])
        block[place : place + len(field)] = field
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        assert refused(small[:offset] + bytes(block) + small[offset + 512 :])


def test_members_in_another_order_are_refused(small: bytes) -> None:
    """The order is the manifest's."""
    found = preview(small[: LIMITS.preview])
    offset = found.payload_offset
    first = tar.member_size(found.manifest.files[0].packed_size)
    second = small[offset + first : -len(tar.END)]
    swapped = small[:offset] + second + small[offset : offset + first] + tar.END
    assert len(swapped) == len(small)
    assert refused(swapped)


# Files and folders ----------------------------------------------------------------------------


def test_a_missing_package_is_not_found(tmp_path: Path) -> None:
    """Missing files and folders have their own error."""
    for path in (tmp_path / "none.expert", tmp_path):
        with pytest.raises(NotFoundError):
            validate(path)


def test_a_link_or_pipe_is_not_opened(package: Path, tmp_path: Path) -> None:
    """Symbolic links and pipes are refused, without hanging."""
    (tmp_path / "link").symlink_to(package)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(NotFoundError):
            inspect(tmp_path / name)


def test_a_source_that_is_a_link_is_refused(source: Path, tmp_path: Path) -> None:
    """A link would pack a file from anywhere."""
    (source / "README.md").unlink()
    (source / "README.md").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="symbolic link"):
        pack(source, tmp_path / "out.expert")


def test_a_missing_source_file_is_named(source: Path, tmp_path: Path) -> None:
    """The missing file is named, and nothing is written."""
    (source / "grammar.gbnf").unlink()
    with pytest.raises(NotFoundError, match="grammar.gbnf"):
        pack(source, tmp_path / "out.expert")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_failed_pack_leaves_the_old_package(source: Path, package: Path) -> None:
    """The target is replaced as a whole or not at all, and no draft stays."""
    before = package.read_bytes()
    (source / "manifest.json").write_bytes(b"{}")
    with pytest.raises(VerificationError):
        pack(source, package, KEY)
    assert package.read_bytes() == before
    assert {path.name for path in package.parent.iterdir()} == {"source", "sql.expert"}


def test_extracting_damaged_packages_leaves_nothing(package: Path, tmp_path: Path) -> None:
    """A refused package leaves no folder behind, and none is overwritten."""
    data = bytearray(package.read_bytes())
    data[-1500] ^= 1
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(VerificationError):
        extract(tmp_path / "bad", tmp_path / "out")
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="exists"):
        extract(package, tmp_path / "taken")
    assert {p.name for p in tmp_path.iterdir()} == {"source", "sql.expert", "bad", "taken"}


def test_a_full_disk_is_a_clear_error(package: Path) -> None:
    """A sink that cannot take the bytes is no traceback."""

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="could not be written"):
        validate(package, lambda _: Full())


def test_a_full_disk_while_packing_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk."""
    target = tmp_path / "target"
    target.mkdir()
    (source / "adapter.gguf").write_bytes(random.Random(1).randbytes(200_000))
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from expert.package.pack import pack\n"
        "from expert.errors import ResourceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: pack(Path(sys.argv[1]), Path(sys.argv[2]) / 'p.expert')\n"
        "except ResourceError as error: print(error.what)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, source, target], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("Cannot write")
    assert list(target.iterdir()) == []


def test_refusals_name_the_file(tmp_path: Path) -> None:
    """Every refusal says which package it is about."""
    (tmp_path / "bad.expert").write_bytes(b"not a package")
    with pytest.raises(ExpertError, match="bad.expert"):
        inspect(tmp_path / "bad.expert")
