"""Sources: folders, git repositories and the shipped experts, and what they may do wrong."""

import os
import subprocess
from pathlib import Path

import pytest

from expert.errors import NetworkNeededError, NotFoundError, UsageError, VerificationError
from expert.market.search import search
from expert.market.sources.base import Offer, Rejected, Source
from expert.market.sources.folder import FolderSource
from expert.market.sources.git import GitSource, is_git_address
from expert.market.sources.registry import (
    SHIPPED,
    add_source,
    list_sources,
    refresh,
    remove_source,
    source_troubles,
)
from expert.package.keys import PrivateKey
from expert.package.trust import revocation, rotation
from support.markets import Shop, make_market
from support.packages import KEY, make_package

NEW = PrivateKey(b"n" * 32)


def git(folder: Path, *arguments: str) -> str:
    """Run git as some author."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(name="repository")
def git_repository(tmp_path: Path) -> Path:
    """A git repository with one package."""
    folder = tmp_path / "repository"
    make_package(folder / "experts")
    git(folder, "init", "--quiet")
    git(folder, "add", "experts/acme-sql-1.0.0.expert")
    git(folder, "commit", "--quiet", "--message", "one")
    return folder


@pytest.fixture(name="shop")
def empty_shop(tmp_path: Path) -> Shop:
    """A market with an empty folder source."""
    return Shop(tmp_path)


# Folders --------------------------------------------------------------------------------------


def test_a_folder_offers_its_packages_at_any_depth(tmp_path: Path) -> None:
    """Sorted, verified, and without hidden folders, links and other files."""
    good = make_package(tmp_path / "root" / "b" / "deep")
    make_package(tmp_path / "root" / ".hidden", name="hidden")
    (tmp_path / "root" / "link.expert").symlink_to(good)
    (tmp_path / "root" / "a.expert").write_bytes(b"no package")
    (tmp_path / "root" / "notes.txt").write_text("x")
    source: Source = FolderSource(tmp_path / "root")
    bad, offer = source.offers({})
    assert isinstance(bad, Rejected)
    assert bad.location == "a.expert"
    assert isinstance(offer, Offer)
    assert offer.location == "b/deep/acme-sql-1.0.0.expert"
    assert offer.preview is not None
    assert offer.preview.signer == KEY.public
    assert source.fetch(offer.location, None) == good


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    """An offer whose stamp is known comes without a preview."""
    make_package(tmp_path / "root")
    source = FolderSource(tmp_path / "root")
    (offer,) = source.offers({})
    assert isinstance(offer, Offer)
    (again,) = source.offers({offer.location: offer.stamp})
    assert isinstance(again, Offer)
    assert again.preview is None


def test_the_stamp_changes_with_the_folder(tmp_path: Path) -> None:
    """Added, changed and removed packages change it; other files do not."""
    source = FolderSource(tmp_path)
    stamps = [source.stamp()]
    path = make_package(tmp_path)
    stamps.append(source.stamp())
    os.utime(path, (1, 1))
    stamps.append(source.stamp())
    (tmp_path / "notes.txt").write_text("x")
    assert source.stamp() == stamps[-1]
    path.unlink()
    assert source.stamp() == stamps[0]
    assert len(set(stamps)) == 3


@pytest.mark.parametrize("location", ["../secret.expert", "/etc/hostname", "a/../../secret.expert"])
def test_nothing_outside_is_fetched(tmp_path: Path, location: str) -> None:
    """Whatever the database says."""
    (tmp_path / "secret.expert").write_text("x")
    (tmp_path / "root" / "a").mkdir(parents=True)
    with pytest.raises(NotFoundError):
        FolderSource(tmp_path / "root").fetch(location, None)


# The list of sources --------------------------------------------------------------------------


def test_sources_are_added_listed_and_removed(shop: Shop) -> None:
    """Names are unique; the offers go with their source."""
    shop.offer()
    assert [hit.name for hit in search(shop.market, "sql")] == ["sql"]
    with pytest.raises(UsageError, match="already"):
        add_source(shop.market, "shelf", str(shop.shelf))
    remove_source(shop.market, "shelf")
    assert search(shop.market, "sql") == []
    assert list_sources(shop.market) == []
    with pytest.raises(NotFoundError):
        remove_source(shop.market, "shelf")


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("x", "/nowhere"),
        ("x", "ext::sh -c evil"),
        ("x", "--upload-pack=evil"),
        ("a b", "."),
        ("", "."),
    ],
)
def test_unusable_sources_are_refused(shop: Shop, name: str, location: str) -> None:
    """Neither folder nor address, or no name."""
    with pytest.raises(UsageError):
        add_source(shop.market, name, location)


def test_a_missing_folder_keeps_its_offers(shop: Shop) -> None:
    """A stick that is not plugged in is a warning, not a loss."""
    shop.offer()
    refresh(shop.market, online=False)
    shop.shelf.rename(shop.folder / "gone")
    (result,) = refresh(shop.market, online=False)
    assert isinstance(result.error, NotFoundError)
    assert "could not be read" in next(source_troubles([result]))
    assert [hit.name for hit in search(shop.market, "sql")] == ["sql"]
    with pytest.raises(NotFoundError):
        shop.install("sql")


def test_unsound_files_are_told_and_left_out(shop: Shop) -> None:
    """One bad file does not hide the good ones."""
    shop.offer()
    (shop.shelf / "bad.expert").write_bytes(b"x")
    (result,) = refresh(shop.market, online=False)
    assert result.packages == 1
    assert "bad.expert" in next(source_troubles([result]))
    (unchanged,) = refresh(shop.market, online=False)
    assert unchanged.packages == 1


def test_a_changed_package_is_read_again(shop: Shop) -> None:
    """A file replaced in place is offered with its new contents only."""
    path = shop.offer()
    refresh(shop.market, online=False)
    path.unlink()
    shop.offer(version="1.1.0").rename(path)
    refresh(shop.market, online=False)
    (hit,) = search(shop.market, "sql")
    assert hit.version == "1.1.0"


def test_unknown_sources_are_not_refreshed(shop: Shop) -> None:
    """A misspelt name is an error."""
    with pytest.raises(NotFoundError):
        refresh(shop.market, ["shelff"], online=True)


def test_the_shipped_experts_are_a_source_from_the_start(tmp_path: Path) -> None:
    """Without being added, first in the list, and wherever a newer version keeps them."""
    for place in ("one", "two"):
        make_package(tmp_path / place, publisher="expert")
        market = make_market(tmp_path, shipped=tmp_path / place)
        (entry,) = list_sources(market)
        assert (entry.name, entry.kind, entry.location) == (SHIPPED, SHIPPED, str(tmp_path / place))
        assert [hit.source for hit in search(market, "sql")] == [SHIPPED]


def test_the_shipped_experts_key_is_built_in(tmp_path: Path) -> None:
    """A package in the shipped publisher's name by another key is refused."""
    make_package(tmp_path / "shipped", publisher="expert")
    shop = Shop(tmp_path / "shop")
    path = tmp_path / "shipped" / "expert-sql-1.0.0.expert"
    with pytest.raises(VerificationError, match="another key"):
        shop.install(str(path))


# Statements -----------------------------------------------------------------------------------


def test_a_rotation_at_a_source_is_followed(shop: Shop) -> None:
    """The new key takes over with the install, without being taken for a new publisher's."""
    shop.offer()
    shop.install("sql")
    (shop.shelf / "acme.trust.json").write_bytes(rotation("acme", KEY, NEW.public))
    shop.offer(version="1.1.0", key=NEW)
    done = shop.update()
    assert shop.labels() == {"acme/sql@1.1.0"}
    assert done.plan.new_publishers == {}
    assert len(done.plan.keys) == 1
    old = make_package(shop.folder / "files", version="1.2.0")
    with pytest.raises(VerificationError, match="another key"):
        shop.install(str(old))


def test_a_revocation_at_a_source_counts(shop: Shop) -> None:
    """A key that its owner took back installs nothing more."""
    shop.offer()
    shop.install("sql")
    (shop.shelf / "acme.trust.json").write_bytes(revocation("acme", KEY, "stolen"))
    path = make_package(shop.folder / "files", version="1.1.0")
    refresh(shop.market, online=False)
    with pytest.raises(VerificationError, match="revoked") as caught:
        shop.install(str(path))
    assert "stolen" in caught.value.why


def test_forged_statements_are_ignored(shop: Shop) -> None:
    """A statement that its key did not sign changes nothing."""
    shop.offer()
    shop.install("sql")
    forged = rotation("acme", NEW, KEY.public).replace(b"rotation", b"rotatiom")
    (shop.shelf / "acme.trust.json").write_bytes(forged)
    (shop.shelf / "junk.trust.json").write_bytes(b"{}")
    shop.offer(version="1.1.0", key=NEW)
    assert shop.update().generation is None


# Git ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/experts.git", True),
        ("https://example.org/experts.git#main", True),
        ("ssh://git@example.org/experts", True),
        ("git@example.org:team/experts.git", True),
        ("file:///srv/experts.git", True),
        ("/srv/experts", False),
        ("ext::sh -c id", False),
        ("-oProxyCommand=evil", False),
        ("--upload-pack=evil", False),
        ("https://-evil", False),
        ("https://example.org/a b", False),
        ("https://example.org/x#--option", True),
        ("git@example.org:-evil", False),
        ("http://example.org/experts", False),
        ("javascript:alert(1)", False),
    ],
)
def test_git_addresses_are_recognised(text: str, expected: bool) -> None:
    """Only forms that git cannot take for options or commands, and no unencrypted ones."""
    assert is_git_address(text) is expected


def test_a_repository_is_cloned_and_followed(shop: Shop, repository: Path) -> None:
    """New commits arrive by refresh, and only when going online was asked for."""
    add_source(shop.market, "team", f"file://{repository}")
    refresh(shop.market, online=False)
    assert search(shop.market, "sql") == []
    refresh(shop.market, ["team"], online=True)
    shop.install("sql")
    assert shop.labels() == {"acme/sql@1.0.0"}
    make_package(repository / "experts", version="1.1.0")
    git(repository, "rm", "--quiet", "experts/acme-sql-1.0.0.expert")
    git(repository, "add", "experts/acme-sql-1.1.0.expert")
    git(repository, "commit", "--quiet", "--message", "two")
    shop.update()
    assert shop.labels() == {"acme/sql@1.1.0"}
    clone = GitSource(f"file://{repository}", shop.market.cache).clone
    assert not (clone / "experts" / "acme-sql-1.0.0.expert").exists()


def test_a_branch_can_be_named(shop: Shop, repository: Path) -> None:
    """Behind a `#`."""
    git(repository, "checkout", "--quiet", "-b", "next")
    make_package(repository / "experts", version="2.0.0")
    git(repository, "add", "experts/acme-sql-2.0.0.expert")
    git(repository, "commit", "--quiet", "--message", "next")
    git(repository, "checkout", "--quiet", "main")
    add_source(shop.market, "team", f"file://{repository}#next")
    refresh(shop.market, online=True)
    assert [hit.version for hit in search(shop.market, "sql")] == ["2.0.0"]


def test_an_unreachable_repository_is_a_clear_error(shop: Shop, tmp_path: Path) -> None:
    """Git's own reason is shown, and nothing is left behind."""
    add_source(shop.market, "team", f"file://{tmp_path}/none")
    (_, result) = refresh(shop.market, online=True)
    assert isinstance(result.error, NetworkNeededError)
    assert (
        "does not appear to be a git repository" in result.error.why or "exist" in result.error.why
    )
    assert list(shop.market.cache.iterdir()) == []


def test_hooks_and_links_in_a_repository_do_nothing(shop: Shop, repository: Path) -> None:
    """A checked-out link is a plain file, and configured hooks are not run."""
    (repository / "evil.expert").symlink_to("/etc/hostname")
    git(repository, "add", "evil.expert")
    git(repository, "commit", "--quiet", "--message", "link")
    source = GitSource(f"file://{repository}", shop.market.cache)
    source.update()
    assert not (source.clone / "evil.expert").is_symlink()
    hook = source.clone / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {shop.folder}/ran\n")
    hook.chmod(0o755)
    source.update()
    assert not (shop.folder / "ran").exists()
    offers = list(source.offers({}))
    assert [type(offer) for offer in offers] == [Rejected, Offer] or len(offers) == 2


def test_the_environment_cannot_redirect_git(
    shop: Shop, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run from a hook of another repository, it still works on its own clone."""
    monkeypatch.setenv("GIT_DIR", str(shop.folder / "other"))
    monkeypatch.setenv("GIT_WORK_TREE", str(shop.folder))
    source = GitSource(f"file://{repository}", shop.market.cache)
    source.update()
    assert (source.clone / "experts" / "acme-sql-1.0.0.expert").is_file()


def test_without_git_the_error_says_so(
    shop: Shop, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without git can still use folders."""
    monkeypatch.setenv("PATH", str(shop.folder))
    with pytest.raises(NotFoundError, match="git is not installed"):
        GitSource(f"file://{repository}", shop.market.cache).update()
