"""A compressed expert as a package: made, checked, installed, used, refused where it is damaged."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.choosing import choose_experts
from expert.engine.adapter_file import read_adapter
from expert.engine.header import read_header
from expert.errors import UsageError, VerificationError
from expert.market.bases import identify
from expert.market.check import check_package
from expert.market.compressing import PackageJob, compress_package
from expert.market.install import install
from expert.market.market import user_market
from expert.market.plan import Options
from expert.package.container import inspect
from expert.package.keys import PrivateKey
from expert.package.pack import extract, pack, read_source
from expert_converters.gguf_file import inspect as inspect_gguf
from expert_converters.identity import base_identity, identity_keys
from support.markets import yes
from support.packages import KEY, base, draft, make_package, write_source

PACKED = ("q3", "q2", "osd")


def source_package(folder: Path, adapter: Path, model: Path, **changes: Any) -> Path:
    """Return the signed package of an expert for the tiny model."""
    mine = base("tiny") | {"identity": msgspec.to_builtins(identify(model))}
    return make_package(folder, contents=adapter.read_bytes(), bases=[mine], **changes)


@pytest.fixture
def package(tmp_path: Path, adapter: Path, tiny_path: Path) -> Path:
    """Return the package of the made-up adapter."""
    return source_package(tmp_path, adapter, tiny_path)


def made(package: Path, method: str, **options: Any) -> Path:
    """Compress a package, signed with the same key."""
    target = package.with_name(f"{method}.expert")
    budget = 20_000 if method in ("svd", "osd") else None
    compress_package(PackageJob(package, target, method, budget, key=KEY, **options))
    return target


@pytest.mark.parametrize("method", ["q8_0", "q4_0", "svd", *PACKED])
def test_the_manifest_says_what_is_inside(package: Path, method: str) -> None:
    """Format, rank and version change; everything else is as it was; every check passes."""
    found = check_package(made(package, method)).manifest
    before = inspect(package).manifest
    adapter = found.bases[0].adapter
    assert adapter.format == ("packed" if method in PACKED else "gguf")
    assert (adapter.rank, adapter.alpha) == (32, 32.0) or method == "svd"
    assert found.version == "1.0.1"
    assert (found.name, found.summary, found.bases[0].identity) == (
        before.name, before.summary, before.bases[0].identity,
    )  # fmt: skip
    assert found.unpacked_size < before.unpacked_size / 3


@pytest.mark.parametrize("method", PACKED)
def test_installed_and_used(package: Path, method: str, tiny_path: Path) -> None:
    """The store keeps the small file; the engine gets one that it can attach."""
    target = made(package, method)
    install(user_market(), [str(target)], Options(), yes)
    (choice,) = choose_experts(["sql:0.5"], tiny_path)
    assert choice.name == "acme/sql"
    file = read_adapter(choice.adapter, read_header(tiny_path))
    stored = inspect(target).manifest.files[0]
    assert user_market().store.blobs.is_sound(stored.sha256)
    assert file.bytes > 2 * stored.size


def test_an_update_by_its_publisher(package: Path, tiny_path: Path) -> None:
    """A compressed version takes the place of the one before, as any other update."""
    for path in (package, made(package, "q3")):
        install(user_market(), [str(path)], Options(), yes)
    with user_market().reading() as catalogue:
        assert [one.version for one in catalogue.installed() if one.selected] == ["1.0.1"]
    (choice,) = choose_experts(["sql"], tiny_path)
    assert "expanded" in choice.adapter.parts


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("1.0.0", None, "1.0.1"),
        ("2.3.9", None, "2.3.10"),
        ("1.0.0-rc.1", None, "1.0.0"),
        ("1.0.0", "7.0.0-small", "7.0.0-small"),
    ],
)
def test_versions(
    tmp_path: Path, adapter: Path, tiny_path: Path, version: str, given: str | None, expected: str
) -> None:
    """The next patch, a release after its candidate, or what was asked for."""
    package = source_package(tmp_path, adapter, tiny_path, version=version)
    assert inspect(made(package, "q2", version=given)).manifest.version == expected


def test_a_version_that_is_none(package: Path) -> None:
    """It is refused as in any manifest, and no package is written."""
    with pytest.raises(VerificationError, match="manifest"):
        made(package, "q2", version="small")
    assert not package.with_name("q2.expert").exists()


def test_an_unsigned_result_and_a_compressed_one_again(package: Path) -> None:
    """Without a key nobody signs; a packed package can be made into a plain one."""
    small = package.with_name("small.expert")
    compress_package(PackageJob(package, small, "q3"))
    assert inspect(small).signer is None
    assert inspect(made(small, "q8_0")).manifest.bases[0].adapter.format == "gguf"


def test_a_package_without_a_lora(tmp_path: Path) -> None:
    """There is nothing to make smaller."""
    mine = base("tiny", file=None, rank=None, alpha=None, soft_prompt="prompt.gguf")
    package = make_package(tmp_path, bases=[mine])
    with pytest.raises(UsageError, match="no LoRA"):
        compress_package(PackageJob(package, tmp_path / "out.expert", "q2"))


def repacked(package: Path, folder: Path, contents: bytes) -> Path:
    """Return a package with other bytes as its adapter, signed like the first."""
    folder.mkdir(exist_ok=True)
    extract(package, folder / "source")
    path = folder / "source" / str(read_source(folder / "source").bases[0].adapter.file)
    path.write_bytes(contents)
    pack(folder / "source", folder / "bad.expert", KEY)
    return folder / "bad.expert"


@pytest.mark.parametrize("damage", [b"tokens", b"ranks", b"codes"])
def test_a_hostile_packed_adapter_is_not_installed(
    package: Path, tmp_path: Path, damage: bytes
) -> None:
    """A signed package whose adapter cannot be expanded is refused when it is installed."""
    target = made(package, "q2")
    extract(target, tmp_path / "good")
    data = next((tmp_path / "good").glob("*.gguf")).read_bytes()
    bad = data.replace(damage, damage[::-1]) if damage in data else data[:-200]
    path = repacked(target, tmp_path, bad)
    with pytest.raises(VerificationError, match="not a usable adapter"):
        check_package(path)
    with pytest.raises(VerificationError, match="not a usable adapter"):
        install(user_market(), [str(path)], Options(), yes)


def test_the_format_must_be_that_of_the_file(package: Path, tmp_path: Path, adapter: Path) -> None:
    """An ordinary adapter declared as packed is refused, and the other way round."""
    path = repacked(made(package, "q2"), tmp_path / "one", adapter.read_bytes())
    with pytest.raises(VerificationError, match="not a packed adapter"):
        check_package(path)
    extract(made(package, "q3"), tmp_path / "two")
    data = next((tmp_path / "two").glob("*.gguf")).read_bytes()
    with pytest.raises(VerificationError, match="packed"):
        check_package(repacked(package, tmp_path / "three", data))


def test_a_packed_adapter_for_another_base_is_refused(tmp_path: Path, tiny_path: Path) -> None:
    """The base that the expanded adapter names is compared with the manifest's."""
    from expert_converters.compress.compress import CompressJob, compress
    from support.low_rank_adapters import Synthetic, write_synthetic

    identity = asdict(base_identity(inspect_gguf(tiny_path)))
    keys = identity_keys(base_identity(inspect_gguf(tiny_path)))
    source = write_synthetic(tmp_path / "source.gguf", Synthetic(keys=tuple(keys.items())))
    compress(CompressJob(source, tmp_path / "packed.gguf", "q2"))
    for norms, sound in ((identity["norms"], True), ("9" * 64, False)):
        mine = base("tiny", format="packed") | {"identity": identity | {"norms": norms}}
        folder = write_source(
            tmp_path / norms[:4],
            draft(bases=[mine]),
            adapter=(tmp_path / "packed.gguf").read_bytes(),
        )
        pack(folder, tmp_path / f"{norms[:4]}.expert", PrivateKey(b"acme" * 8))
        if sound:
            check_package(tmp_path / f"{norms[:4]}.expert")
            continue
        with pytest.raises(VerificationError, match="another base"):
            check_package(tmp_path / f"{norms[:4]}.expert")
