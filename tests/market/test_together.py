"""Experts that exclude each other: of two the more important one stays, with a reason."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from expert.errors import UsageError
from expert.market.together import without_conflicts
from expert.market.use import ReadyExpert, check_conflicts, ready_expert
from expert.package.manifest import BaseIdentity, Manifest
from support.markets import Shop
from support.packages import IDENTITY

IDENTITY_HERE = msgspec.convert(IDENTITY, BaseIdentity)


@pytest.fixture
def experts(tmp_path: Path) -> dict[str, ReadyExpert]:
    """Return sql 1.0.0, json, which conflicts with sql below 2, and regex, at peace with all."""
    shop = Shop(tmp_path)
    for name in ("sql", "json", "regex"):
        shop.offer(name)
        shop.install(name)
    ready = {
        name: ready_expert(shop.market, name, IDENTITY_HERE) for name in ("sql", "json", "regex")
    }
    manifest = msgspec.structs.replace(ready["json"].manifest, conflicts={"acme/sql": "<2"})
    ready["json"] = _with(ready["json"], manifest)
    return ready


def _with(expert: ReadyExpert, manifest: Manifest) -> ReadyExpert:
    return replace(expert, manifest=manifest)


def test_the_more_important_one_stays(experts: dict[str, ReadyExpert]) -> None:
    """Whichever of the two declares it."""
    sql, json, regex = experts["sql"], experts["json"], experts["regex"]
    for order, names in (
        ((sql, json, regex), ["sql", "regex"]),
        ((json, regex, sql), ["json", "regex"]),
    ):
        kept, left_out = without_conflicts(order)
        assert [one.manifest.name for one in kept] == names
        ((gone, why),) = left_out
        assert gone.manifest.name not in names
        assert "acme/sql <2" in why


def test_versions_beyond_the_range_are_at_peace(experts: dict[str, ReadyExpert]) -> None:
    """The declaration names a range."""
    sql = experts["sql"]
    newer = _with(sql, msgspec.structs.replace(sql.manifest, version="2.0.0"))
    assert without_conflicts([experts["json"], newer]) == ([experts["json"], newer], [])


def test_experts_that_were_asked_for_are_refused(experts: dict[str, ReadyExpert]) -> None:
    """With both names, because nobody may choose for the user."""
    with pytest.raises(UsageError, match="acme/json.*acme/sql"):
        check_conflicts([experts["sql"], experts["json"]])
