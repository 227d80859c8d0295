"""Publishing to folders and git, and starting new experts."""

import subprocess
from pathlib import Path

import pytest

from expert.errors import NetworkNeededError, UsageError, VerificationError
from expert.market.publish import new_expert, publish
from expert.market.sources.registry import add_source
from expert.package.pack import pack, read_source
from support.markets import Shop
from support.packages import adapter_gguf, make_package


@pytest.fixture(name="shop")
def empty_shop(tmp_path: Path) -> Shop:
    """A market with an empty folder source."""
    return Shop(tmp_path)


def test_a_published_package_can_be_installed(shop: Shop) -> None:
    """To a source by its name; doing it again changes nothing."""
    path = make_package(shop.folder / "mine")
    place = publish(shop.market, path, "shelf")
    assert place == shop.shelf / "acme" / "sql" / "acme-sql-1.0.0.expert"
    assert publish(shop.market, path, "shelf") == place
    shop.install("sql")
    assert shop.labels() == {"acme/sql@1.0.0"}


def test_any_folder_will_do(shop: Shop) -> None:
    """Even one that is no source."""
    (shop.folder / "usb").mkdir()
    place = publish(shop.market, make_package(shop.folder / "mine"), str(shop.folder / "usb"))
    assert place.is_relative_to(shop.folder / "usb")


def test_a_version_is_published_once(shop: Shop) -> None:
    """Other content under the same version is refused."""
    publish(shop.market, make_package(shop.folder / "a"), "shelf")
    with pytest.raises(VerificationError, match="published already"):
        publish(shop.market, make_package(shop.folder / "b", summary="Other."), "shelf")


def test_only_sound_signed_packages_are_published(shop: Shop) -> None:
    """Neither unsigned nor damaged ones, and to no unknown place."""
    with pytest.raises(UsageError, match="not signed"):
        publish(shop.market, make_package(shop.folder / "a", key=None), "shelf")
    path = make_package(shop.folder / "b")
    with pytest.raises(UsageError, match="neither a folder"):
        publish(shop.market, path, "nowhere")
    data = bytearray(path.read_bytes())
    data[-1500] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError):
        publish(shop.market, path, "shelf")
    assert not any(shop.shelf.iterdir())


def test_git_sources_are_pushed_to(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit arrives; a repository that cannot be written is a clear error."""
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "a")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "a@example.org")
    bare, work = shop.folder / "bare.git", shop.folder / "work"
    for command in (
        ["git", "init", "--quiet", "--bare", "-b", "main", str(bare)],
        ["git", "clone", "--quiet", str(bare), str(work)],
        ["git", "-C", str(work), "commit", "--quiet", "--allow-empty", "-m", "start"],
        ["git", "-C", str(work), "push", "--quiet", "origin", "HEAD:main"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    add_source(shop.market, "team", f"file://{bare}#main")
    publish(shop.market, make_package(shop.folder / "mine"), "team")
    log = subprocess.run(
        ["git", "-C", str(bare), "log", "--format=%s", "--name-only", "-1", "main"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert log.split("\n\n") == [
        "Publish acme/sql@1.0.0", "acme/sql/acme-sql-1.0.0.expert\n",
    ]  # fmt: skip
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(NetworkNeededError):
        publish(shop.market, make_package(shop.folder / "mine", version="1.1.0"), "team")


def test_a_new_expert_is_ready_to_be_filled_in(tmp_path: Path) -> None:
    """Its manifest is valid, and with an adapter it packs."""
    manifest = new_expert(tmp_path / "poet", "me")
    assert read_source(manifest.parent).qualified_name == "me/poet"
    (tmp_path / "poet" / "adapter.gguf").write_bytes(adapter_gguf())
    assert pack(tmp_path / "poet", tmp_path / "poet.expert").manifest.version == "0.1.0"


@pytest.mark.parametrize(("name", "publisher"), [("Poet", "me"), ("poet", "Me!"), ("con x", "me")])
def test_unusable_names_are_refused(tmp_path: Path, name: str, publisher: str) -> None:
    """Before anything is written."""
    with pytest.raises(VerificationError):
        new_expert(tmp_path / name, publisher)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    (tmp_path / "poet").mkdir()
    with pytest.raises(UsageError):
        new_expert(tmp_path / "poet", "me")
