"""Using installed experts: the right files for the base in use, or a reason."""

from pathlib import Path

import msgspec
import pytest

from expert.errors import NotFoundError, VerificationError, WrongBaseError
from expert.market.leases import lease
from expert.market.remove import uninstall
from expert.market.use import ready_expert
from expert.package.manifest import BaseIdentity
from support.markets import Shop
from support.packages import IDENTITY, adapter_gguf, base

SMALL = msgspec.convert(IDENTITY, BaseIdentity)
LARGE = msgspec.convert(IDENTITY | {"norms": "9" * 64}, BaseIdentity)


@pytest.fixture(name="shop")
def shop_with_two_bases(tmp_path: Path) -> Shop:
    """A market with an expert for two base models, with a grammar and a soft prompt."""
    shop = Shop(tmp_path)
    large = base("large", file="large.gguf", soft_prompt="soft.gguf")
    large["identity"] = msgspec.to_builtins(LARGE)
    shop.offer(bases=[base(), large], grammar={"format": "gbnf", "file": "sql.gbnf"})
    shop.install("sql")
    return shop


def test_each_base_has_its_own_adapter(shop: Shop) -> None:
    """With the files that belong to it."""
    small, large = (ready_expert(shop.market, "sql", identity) for identity in (SMALL, LARGE))
    assert small.adapter is not None
    assert large.adapter is not None
    assert small.adapter.read_bytes() == adapter_gguf("acme/sql@1.0.0adapter.gguf")
    assert large.adapter.read_bytes() == adapter_gguf("acme/sql@1.0.0large.gguf")
    assert (small.soft_prompt, large.base.name) == (None, "large")
    assert large.soft_prompt is not None
    assert small.grammar == large.grammar
    assert small.grammar is not None
    assert small.grammar.read_bytes().startswith(b"contents of sql.gbnf")


def test_other_bases_and_names_are_refused(shop: Shop) -> None:
    """Each with its own error."""
    other = msgspec.structs.replace(SMALL, norms="8" * 64)
    with pytest.raises(WrongBaseError) as caught:
        ready_expert(shop.market, "sql", other)
    assert "Qwen3-0.6B, large" in caught.value.why
    with pytest.raises(NotFoundError):
        ready_expert(shop.market, "json", SMALL)


def test_a_damaged_adapter_is_refused(shop: Shop) -> None:
    """Before anything reads it."""
    path = ready_expert(shop.market, "sql", SMALL).adapter
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(VerificationError, match="damaged"):
        ready_expert(shop.market, "sql", SMALL)
    assert ready_expert(shop.market, "sql", LARGE).adapter is not None


def test_a_leased_expert_outlives_its_removal(shop: Shop) -> None:
    """A session keeps what it uses."""
    from expert.market.health import collect

    expert = ready_expert(shop.market, "sql", SMALL)
    with lease(shop.market, [expert.id]):
        uninstall(shop.market, ["sql"])
        collect(shop.market, keep=0)
        assert expert.adapter is not None
        assert expert.adapter.is_file()
    collect(shop.market, keep=0)
    assert not expert.adapter.exists()
