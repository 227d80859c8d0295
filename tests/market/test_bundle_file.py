"""The bundle format by itself: read whole, or refused."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.market.bundle_file import INDEX, BundleMember, describe, unpack_bundle, write_bundle
from expert.package import tar


def written(folder: Path, **files: bytes) -> Path:
    """Write a bundle of base models."""
    members = []
    for name, data in files.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(data)
        members.append((describe("base", path, requested=True), path))
    write_bundle(folder / "b", members, ["a statement"], None)
    return folder / "b"


def raw(folder: Path, index: Any, *members: tuple[str, bytes]) -> Path:
    """Write an archive with any index and members."""
    data = msgspec.json.encode(index)
    with (folder / "raw").open("wb") as out:
        for name, text in ((INDEX, data), *members):
            out.write(tar.header(name, len(text)) + text + bytes(tar.padding(len(text))))
        out.write(tar.END)
    return folder / "raw"


def entry(name: str = "a.gguf", data: bytes = b"x", **changes: Any) -> dict[str, Any]:
    """Return a member's entry."""
    digest = hashlib.sha256(data).hexdigest()
    return {"kind": "base", "name": name, "size": len(data), "sha256": digest} | changes


def test_a_bundle_unpacks_to_what_was_put_in(tmp_path: Path) -> None:
    """Empty, small and large files; progress reaches the end."""
    files = {"empty": b"", "small": b"x" * 10, "large": bytes(3_000_000)}
    bundle = written(tmp_path, **files)
    (tmp_path / "out").mkdir()
    seen: list[tuple[int, int]] = []
    index = unpack_bundle(bundle, tmp_path / "out", lambda *step: seen.append(step))
    assert [member.name for member in index.members] == ["empty.gguf", "small.gguf", "large.gguf"]
    assert index.statements == ("a statement",)
    for name, data in files.items():
        assert (tmp_path / "out" / "bases" / f"{name}.gguf").read_bytes() == data
    assert seen[-1][0] == seen[-1][1]


BAD: dict[str, Any] = {
    "a list": [],
    "another schema": {"schema": 2, "members": []},
    "an unknown field": {"schema": 1, "members": [], "more": 1},
    "an unknown kind": {"schema": 1, "members": [entry(kind="program")]},
    "a name that leads out": {"schema": 1, "members": [entry("../a.gguf")]},
    "an absolute name": {"schema": 1, "members": [entry("/a.gguf")]},
    "a device": {"schema": 1, "members": [entry("nul.gguf")]},
    "twins": {"schema": 1, "members": [entry("a.gguf"), entry("A.gguf")]},
    "another size": {"schema": 1, "members": [entry(size=2)]},
    "another hash": {"schema": 1, "members": [entry(sha256="0" * 64)]},
    "a member too many": {"schema": 1, "members": [entry(), entry("b.gguf")]},
    "a member too few": {"schema": 1, "members": []},
}


@pytest.mark.parametrize("index", BAD.values(), ids=BAD)
def test_hostile_bundles_are_refused(tmp_path: Path, index: Any) -> None:
    """With a reason, and nothing outside the folder."""
    (tmp_path / "out").mkdir()
    bundle = raw(tmp_path, index, ("bases/a.gguf", b"x"))
    with pytest.raises(VerificationError):
        unpack_bundle(bundle, tmp_path / "out", None)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "raw"}


def test_the_hostile_bundles_could_be_good(tmp_path: Path) -> None:
    """What is wrong with the cases above is what they are named for."""
    (tmp_path / "out").mkdir()
    good = {"schema": 1, "members": [entry()]}
    assert unpack_bundle(raw(tmp_path, good, ("bases/a.gguf", b"x")), tmp_path / "out", None)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """Another file, an empty one, none."""
    (tmp_path / "out").mkdir()
    for data in (b"", b"text", bytes(2048)):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(VerificationError, match="not a bundle"):
            unpack_bundle(tmp_path / "x", tmp_path / "out", None)
    with pytest.raises(NotFoundError):
        unpack_bundle(tmp_path / "none", tmp_path / "out", None)


def test_a_file_that_changes_while_it_is_written_is_noticed(tmp_path: Path) -> None:
    """The index is not allowed to lie."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"before")
    member = describe("base", path, requested=True)
    path.write_bytes(b"after!")
    with pytest.raises(VerificationError, match="damaged"):
        write_bundle(tmp_path / "b", [(member, path)], [], None)
    path.write_bytes(b"x")
    with pytest.raises(VerificationError, match="damaged"):
        write_bundle(tmp_path / "b", [(member, path)], [], None)
    assert not (tmp_path / "b").exists()


def test_names_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    """A file whose name another system could not have."""
    path = tmp_path / "model final.gguf"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot be in a bundle"):
        describe("base", path, requested=True)
    assert BundleMember("base", "a", 1, "0" * 64).path == "bases/a"
