"""Installing and updating, from names and files, with everything a user may meet on the way."""

import shutil
from pathlib import Path

import msgspec
import pytest

from expert.errors import (
    ExpertError,
    NotFoundError,
    ResourceError,
    UsageError,
    VerificationError,
    WrongBaseError,
)
from expert.market.health import collect
from expert.market.install import available_updates
from expert.market.plan import Options, Plan
from expert.market.records import Installed
from expert.market.remove import pin, rollback, uninstall, unpin
from expert.market.trusting import trusted_keys
from expert.package.keys import PrivateKey
from expert.package.manifest import BaseIdentity
from support.markets import Shop, damage
from support.packages import IDENTITY, KEY, base, make_package

OTHER = PrivateKey(b"o" * 32)


@pytest.fixture(name="shop")
def empty_shop(tmp_path: Path) -> Shop:
    """A market with an empty folder source."""
    return Shop(tmp_path)


def state(shop: Shop) -> dict[str, Installed]:
    """Return what is active, by label."""
    with shop.market.reading() as catalogue:
        return {package.label: package for package in catalogue.installed()}


# Installing -----------------------------------------------------------------------------------


def test_the_newest_version_is_installed(shop: Shop) -> None:
    """By bare name, selected and requested, with the publisher's key pinned."""
    for version in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"):
        shop.offer(version=version)
    done = shop.install("sql")
    assert done.generation == 1
    assert shop.labels() == {"acme/sql@1.10.0"}
    package = state(shop)["acme/sql@1.10.0"]
    assert (package.requested, package.selected, package.trust) == (True, True, "signed")
    assert package.source == "shelf"
    assert [key.publisher for key in trusted_keys(shop.market)][0] == "acme"
    assert damage(shop.market) == 0


@pytest.mark.parametrize(
    ("request_", "label"),
    [
        ("sql@1.0", "acme/sql@1.0.5"),
        ("acme/sql@~1.0.2", "acme/sql@1.0.5"),
        ("sql@1.0.0", "acme/sql@1.0.0"),
        ("sql@2.0.0-rc.1", "acme/sql@2.0.0-rc.1"),
        ("sql@<1.0.5 || >5", "acme/sql@1.0.0"),
    ],
)
def test_ranges_are_respected(shop: Shop, request_: str, label: str) -> None:
    """The highest version in the range."""
    for version in ("1.0.0", "1.0.5", "1.1.0", "2.0.0-rc.1"):
        shop.offer(version=version)
    shop.install(request_)
    assert shop.labels() == {label}


def test_what_is_needed_comes_along(shop: Shop) -> None:
    """Requirements of requirements, each in the highest version, not requested by the user."""
    shop.offer("json", "1.5.0")
    shop.offer("json", "2.0.0")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.offer("agent", requires={"acme/tools": "*", "acme/json": "*"})
    shop.install("agent")
    packages = state(shop)
    assert set(packages) == {
        "acme/agent@1.0.0", "acme/tools@1.0.0", "acme/json@1.5.0", "acme/json@2.0.0",
    }  # fmt: skip
    assert [label for label, package in packages.items() if package.requested] == [
        "acme/agent@1.0.0"
    ]
    assert packages["acme/json@2.0.0"].selected
    with shop.market.reading() as catalogue:
        assert len(catalogue.edges()) == 3


def test_versions_stand_side_by_side(shop: Shop) -> None:
    """A second version does not take the first away, and becomes what the name means."""
    shop.offer(version="1.0.0")
    shop.offer(version="2.0.0")
    shop.install("sql@1")
    shop.install("sql@2")
    assert shop.labels() == {"acme/sql@1.0.0", "acme/sql@2.0.0"}
    assert not state(shop)["acme/sql@1.0.0"].selected
    shop.install("sql@1")
    assert state(shop)["acme/sql@1.0.0"].selected
    assert not state(shop)["acme/sql@2.0.0"].selected


def test_installing_again_changes_nothing(shop: Shop) -> None:
    """No new generation, and no question."""
    shop.offer()
    shop.install("sql")
    done = shop.install("sql", confirm=lambda plan: pytest.fail("asked"))
    assert (done.generation, done.plan.is_empty) == (None, True)


def test_asking_for_what_was_only_needed_makes_it_stay(shop: Shop) -> None:
    """A dependency that is then asked for survives its dependent."""
    shop.offer("json")
    shop.offer("tools", requires={"acme/json": "*"})
    shop.install("tools")
    assert shop.install("json").generation is not None
    uninstall(shop.market, ["tools"])
    assert shop.labels() == {"acme/json@1.0.0"}


def test_saying_no_changes_nothing(shop: Shop) -> None:
    """Neither experts nor keys."""
    shop.offer()
    plans: list[Plan] = []

    def no(plan: Plan) -> bool:
        plans.append(plan)
        return False

    assert shop.install("sql", confirm=no).generation is None
    assert shop.labels() == set()
    assert all(key.publisher != "acme" for key in trusted_keys(shop.market))
    (plan,) = plans
    assert [one.manifest.label for one in plan.additions] == ["acme/sql@1.0.0"]
    assert plan.new_publishers == {"acme": KEY.public}
    assert plan.size == (shop.shelf / "acme-sql-1.0.0.expert").stat().st_size


def test_a_package_file_is_installed(shop: Shop, tmp_path: Path) -> None:
    """Given by its path, whatever its name, with what it needs from the sources."""
    shop.offer("json")
    path = make_package(tmp_path / "files", requires={"acme/json": "*"})
    path = path.rename(tmp_path / "renamed")
    shop.install(str(path))
    assert shop.labels() == {"acme/sql@1.0.0", "acme/json@1.0.0"}
    assert state(shop)["acme/sql@1.0.0"].source == "file"


def test_a_file_counts_more_than_an_offer_of_the_same_version(shop: Shop, tmp_path: Path) -> None:
    """What the user named is what is installed."""
    shop.offer(summary="Offered.")
    path = make_package(tmp_path / "files", summary="Given.")
    shop.install(str(path))
    assert state(shop)["acme/sql@1.0.0"].summary == "Given."


def test_unknown_names_are_refused(shop: Shop) -> None:
    """With the closest name there is."""
    shop.offer()
    with pytest.raises(NotFoundError) as caught:
        shop.install("sqll")
    assert caught.value.why == "Did you mean sql?"
    for request, error in (
        ("nobody/sql", NotFoundError),
        ("sql@9", NotFoundError),
        ("missing.expert", NotFoundError),
        ("SQL", UsageError),
        ("sql@new", UsageError),
    ):
        with pytest.raises(error):
            shop.install(request)
    assert shop.labels() == set()


def test_a_name_of_two_publishers_is_not_guessed(shop: Shop) -> None:
    """Unless one of them is installed already."""
    shop.offer()
    shop.offer(publisher="other", key=OTHER)
    with pytest.raises(ExpertError, match="several experts"):
        shop.install("sql")
    shop.install("other/sql")
    shop.offer(publisher="other", key=OTHER, version="1.1.0")
    shop.install("sql")
    assert "other/sql@1.1.0" in shop.labels()


def test_conflicts_are_explained(shop: Shop) -> None:
    """With what is installed, in both directions, and among what is asked for."""
    shop.offer("poet", conflicts={"acme/legal": "*"})
    shop.offer("legal")
    with pytest.raises(ExpertError, match="cannot be installed together"):
        shop.install("poet", "legal")
    shop.install("legal")
    with pytest.raises(ExpertError) as caught:
        shop.install("poet")
    assert "which is installed" in caught.value.why
    assert caught.value.fix == "Try: expert uninstall acme/legal@1.0.0"
    uninstall(shop.market, ["legal"])
    shop.install("poet")
    with pytest.raises(ExpertError, match="cannot be installed"):
        shop.install("legal")


def test_an_expert_for_another_base_is_refused(shop: Shop) -> None:
    """And the version that fits is taken where there is one."""
    large = base() | {"identity": IDENTITY | {"norms": "9" * 64}}
    shop.offer(version="2.0.0", bases=[large])
    mine = msgspec.convert(IDENTITY, BaseIdentity)
    with pytest.raises(WrongBaseError):
        shop.install("sql", base=mine)
    shop.offer(version="1.0.0")
    shop.install("sql", base=mine)
    assert shop.labels() == {"acme/sql@1.0.0"}


def test_three_hundred_experts_with_requirements(shop: Shop) -> None:
    """A chain of hundred, and two hundred beside it, in one go."""
    for number in range(100):
        needs = {f"acme/chain{number + 1}": "^1"} if number < 99 else {}
        shop.offer(f"chain{number}", requires=needs)
    for number in range(200):
        shop.offer(f"side{number}")
    shop.install("chain0", *(f"side{number}" for number in range(200)))
    assert len(shop.labels()) == 300
    assert damage(shop.market) == 0


# Signers --------------------------------------------------------------------------------------


def test_a_changed_key_is_refused(shop: Shop, tmp_path: Path) -> None:
    """Both fingerprints are shown, and nothing is installed."""
    shop.offer()
    shop.install("sql")
    path = make_package(tmp_path / "files", key=OTHER, version="2.0.0")
    with pytest.raises(VerificationError, match="another key") as caught:
        shop.install(str(path))
    assert KEY.public.fingerprint in caught.value.why
    assert OTHER.public.fingerprint in caught.value.why


def test_an_offer_with_a_changed_key_is_left_out(shop: Shop) -> None:
    """The genuine version is installed, and a warning names the other."""
    shop.offer()
    shop.install("sql")
    shop.offer(version="1.1.0")
    shop.offer(version="9.0.0", key=OTHER)
    done = shop.update("sql")
    assert shop.labels() == {"acme/sql@1.1.0"}
    assert done.plan.warnings == (
        "Left out acme/sql@9.0.0 from shelf: its signer is changed.",
    )  # fmt: skip
    uninstall(shop.market, ["sql"])
    shutil.rmtree(shop.shelf)
    shop.shelf.mkdir()
    shop.offer(version="9.0.0", key=OTHER)
    with pytest.raises(VerificationError, match="another key"):
        shop.install("sql")


def test_uninstalling_does_not_forget_the_key(shop: Shop) -> None:
    """A name cannot be taken over after its expert was removed."""
    shop.offer()
    shop.install("sql")
    uninstall(shop.market, ["sql"])
    collect(shop.market, keep=0)
    (shop.shelf / "acme-sql-1.0.0.expert").unlink()
    shop.offer(version="1.0.1", key=OTHER)
    with pytest.raises(VerificationError, match="another key"):
        shop.install("sql")


def test_unsigned_packages_need_a_file_and_a_word(shop: Shop, tmp_path: Path) -> None:
    """From a source never; from a file with the option, marked for ever."""
    shop.offer(key=None)
    with pytest.raises(VerificationError, match="Nobody signed"):
        shop.install("sql", allow_unsigned=True)
    path = make_package(tmp_path / "files", key=None)
    with pytest.raises(VerificationError, match="Nobody signed") as caught:
        shop.install(str(path))
    assert "--allow-unsigned" in caught.value.fix
    shop.install(str(path), allow_unsigned=True)
    assert state(shop)["acme/sql@1.0.0"].trust == "unsigned"


def test_a_signed_package_takes_the_place_of_the_unsigned_same(shop: Shop, tmp_path: Path) -> None:
    """The same contents, first as an unsigned file, later offered with a signature."""
    path = make_package(tmp_path / "files", key=None)
    shop.install(str(path), allow_unsigned=True)
    uninstall(shop.market, ["sql"])
    shop.offer()
    shop.install("sql")
    package = state(shop)["acme/sql@1.0.0"]
    assert (package.trust, package.signer) == ("signed", KEY.public.line)
    assert damage(shop.market) == 0


def test_a_file_called_like_an_expert_is_not_meant(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a bare name installs does not depend on the folder one is in."""
    shop.offer()
    (tmp_path / "here").mkdir()
    make_package(tmp_path / "files", key=OTHER, version="6.6.6").rename(tmp_path / "here" / "sql")
    monkeypatch.chdir(tmp_path / "here")
    shop.install("sql")
    assert shop.labels() == {"acme/sql@1.0.0"}
    with pytest.raises(VerificationError, match="another key"):
        shop.install("./sql")


def test_two_new_keys_of_one_publisher_are_refused(shop: Shop) -> None:
    """One question cannot be about two keys."""
    shop.offer("sql")
    shop.offer("json", key=OTHER)
    with pytest.raises(VerificationError, match="different keys"):
        shop.install("sql", "json")


def test_a_publisher_with_a_similar_name_is_pointed_out(shop: Shop) -> None:
    """Someone called acmee is not acme."""
    shop.offer()
    shop.install("sql")
    shop.offer("json", publisher="acmee", key=OTHER)
    done = shop.install("json")
    assert done.plan.warnings == (
        "The publisher acmee is new, and its name is close to acme.",
    )  # fmt: skip


def test_a_damaged_offer_is_not_installed(shop: Shop) -> None:
    """Its head is fine, its body is not."""
    path = shop.offer()
    data = bytearray(path.read_bytes())
    data[-1500] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="damaged"):
        shop.install("sql")
    assert shop.labels() == set()


# Updating -------------------------------------------------------------------------------------


def test_an_update_replaces_and_can_be_taken_back(shop: Shop) -> None:
    """The old version goes, comes back by rollback, and goes again forward."""
    shop.offer()
    shop.install("sql")
    shop.offer(version="1.1.0")
    check = available_updates(shop.market, [], Options())
    assert check.is_empty
    done = shop.update()
    assert [package.label for package in done.plan.removals] == ["acme/sql@1.0.0"]
    assert shop.labels() == {"acme/sql@1.1.0"}
    assert rollback(shop.market).number == 1
    assert shop.labels() == {"acme/sql@1.0.0"}
    assert rollback(shop.market, 2).number == 2
    assert shop.labels() == {"acme/sql@1.1.0"}


def test_without_news_an_update_does_nothing(shop: Shop) -> None:
    """No generation, no question."""
    shop.offer()
    shop.install("sql")
    assert shop.update(confirm=lambda plan: pytest.fail("asked")).generation is None


def test_an_update_never_goes_back(shop: Shop) -> None:
    """A source that has only older versions changes nothing."""
    shop.offer(version="1.1.0")
    shop.install("sql")
    (shop.shelf / "acme-sql-1.1.0.expert").unlink()
    shop.offer(version="1.0.0")
    assert shop.update().generation is None
    assert shop.labels() == {"acme/sql@1.1.0"}


def test_pins_hold_updates_back(shop: Shop) -> None:
    """At the present version, within a range, and not any more."""
    shop.offer()
    shop.install("sql")
    shop.offer(version="1.0.1")
    shop.offer(version="1.1.0")
    assert pin(shop.market, "sql") == ("acme/sql", "1.0.0")
    assert shop.update().generation is None
    assert pin(shop.market, "sql@~1.0") == ("acme/sql", "~1.0")
    shop.update()
    assert shop.labels() == {"acme/sql@1.0.1"}
    assert unpin(shop.market, "sql") == "acme/sql"
    shop.update()
    assert shop.labels() == {"acme/sql@1.1.0"}


def test_only_the_named_expert_is_updated(shop: Shop) -> None:
    """Others stay, with the versions they chose."""
    for name in ("sql", "json"):
        shop.offer(name)
    shop.install("sql", "json")
    for name in ("sql", "json"):
        shop.offer(name, "1.1.0")
    shop.update("json")
    assert shop.labels() == {"acme/sql@1.0.0", "acme/json@1.1.0"}
    with pytest.raises(NotFoundError):
        shop.update("xml")


def test_what_is_needed_is_updated_too(shop: Shop) -> None:
    """Within what is required, and named by itself as well."""
    shop.offer("json")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools")
    for version in ("1.1.0", "2.0.0"):
        shop.offer("json", version)
    shop.update("json")
    assert shop.labels() == {"acme/tools@1.0.0", "acme/json@1.1.0"}
    shop.offer("json", "1.2.0")
    shop.update()
    assert shop.labels() == {"acme/tools@1.0.0", "acme/json@1.2.0"}


def test_an_update_drops_what_is_no_longer_needed(shop: Shop) -> None:
    """A requirement that the new version does not have any more goes."""
    shop.offer("json")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools")
    shop.offer("tools", "1.1.0")
    shop.update()
    assert shop.labels() == {"acme/tools@1.1.0"}


def test_a_version_that_others_need_stays_beside_the_new_one(shop: Shop) -> None:
    """An update does not take a version away from an expert that requires it."""
    shop.offer("json")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools", "json")
    shop.offer("json", "2.0.0")
    shop.update("json")
    assert shop.labels() == {"acme/tools@1.0.0", "acme/json@1.0.0", "acme/json@2.0.0"}
    assert state(shop)["acme/json@2.0.0"].selected


# Removing -------------------------------------------------------------------------------------


def test_uninstalling_takes_along_what_only_it_needed(shop: Shop) -> None:
    """And refuses to take away what another one needs."""
    shop.offer("json")
    shop.offer("tools", requires={"acme/json": "*"})
    shop.install("tools", "json")
    with pytest.raises(UsageError, match="cannot be removed") as caught:
        uninstall(shop.market, ["json"])
    assert "acme/tools@1.0.0" in caught.value.why
    gone = uninstall(shop.market, ["tools", "json"])
    assert {package.label for package in gone} == {"acme/tools@1.0.0", "acme/json@1.0.0"}
    assert shop.labels() == set()
    rollback(shop.market)
    assert len(shop.labels()) == 2
    assert damage(shop.market) == 0


def test_removing_the_selected_version_selects_the_next(shop: Shop) -> None:
    """A bare name goes on meaning something."""
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        shop.offer(version=version)
        shop.install(f"sql@{version}")
    uninstall(shop.market, ["sql"])
    assert state(shop)["acme/sql@1.1.0"].selected
    uninstall(shop.market, ["sql@1.0.0"])
    assert state(shop)["acme/sql@1.1.0"].selected


def test_there_may_be_nothing_to_go_back_to(shop: Shop) -> None:
    """The empty state has no parent, and unknown numbers are refused."""
    with pytest.raises(NotFoundError, match="nothing to go back"):
        rollback(shop.market)
    with pytest.raises(NotFoundError, match="generation 7"):
        rollback(shop.market, 7)


# Other processes ------------------------------------------------------------------------------


def test_a_change_in_between_is_taken_into_account(shop: Shop) -> None:
    """The plan is worked out again, without asking twice."""
    shop.offer("sql")
    shop.offer("json")
    asked = []

    def meddle(plan: Plan) -> bool:
        asked.append(plan)
        if len(asked) == 1:
            shop.install("json")
        return True

    shop.install("sql", confirm=meddle)
    assert shop.labels() == {"acme/sql@1.0.0", "acme/json@1.0.0"}
    assert len(asked) == 1


def test_state_numbers_are_never_given_again(shop: Shop) -> None:
    """Or a plan made for one state could be committed on another that has its number."""
    shop.offer()
    shop.install("sql")
    shop.offer(version="1.1.0")
    assert shop.update().generation == 2
    rollback(shop.market)
    collect(shop.market, keep=0)
    assert shop.update().generation == 3


def test_endless_changes_in_between_end_with_an_error(shop: Shop) -> None:
    """After many attempts it gives up instead of going on for ever."""
    from unittest.mock import patch

    shop.offer("sql")
    with (
        patch("expert.market.install.commit", return_value=None),
        pytest.raises(ResourceError, match="keep changing"),
    ):
        shop.install("sql")


def test_a_package_that_gc_took_meanwhile_is_fetched_again(shop: Shop) -> None:
    """An expert that was in the store when it was planned, and then was not."""
    shop.offer()
    shop.install("sql")
    uninstall(shop.market, ["sql"])

    def clean(plan: Plan) -> bool:
        collect(shop.market, keep=0)
        return True

    shop.install("sql", confirm=clean)
    assert shop.labels() == {"acme/sql@1.0.0"}
    assert damage(shop.market) == 0
