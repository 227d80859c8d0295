"""The whole life of a shipped expert with every socket denied."""

import socket
from pathlib import Path

import pytest

from expert.market import keyring
from expert.market.health import collect, verify
from expert.market.install import available_updates, install, update
from expert.market.plan import Options
from expert.market.remove import rollback, uninstall
from expert.market.search import search, show
from expert.market.sources.registry import refresh
from support.markets import labels, make_market, yes
from support.packages import KEY, make_package


def test_shipped_experts_need_no_network_and_no_question_about_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search, show, install, update, go back, uninstall and clean up, from an empty home."""

    def denied(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", denied)
    monkeypatch.setattr(socket, "create_connection", denied)
    monkeypatch.setattr(socket, "getaddrinfo", denied)
    monkeypatch.setattr(keyring, "SHIPPED_KEY", KEY.public.line)
    make_package(tmp_path / "shipped", publisher="expert")
    market = make_market(tmp_path / "home", shipped=tmp_path / "shipped")
    (hit,) = search(market, "sql")
    assert (hit.publisher, hit.source) == ("expert", "shipped")
    assert show(market, "sql").installed is None
    done = install(market, ["sql"], Options(), yes)
    assert done.plan.new_publishers == {}
    make_package(tmp_path / "shipped", publisher="expert", version="1.1.0")
    refresh(market, online=True)
    assert not available_updates(market, [], Options()).is_empty
    update(market, [], Options(), yes)
    assert labels(market) == {"expert/sql@1.1.0"}
    rollback(market)
    assert labels(market) == {"expert/sql@1.0.0"}
    with market.reading() as catalogue:
        assert verify(market, catalogue.installed(), deep=True) == []
    uninstall(market, ["sql"])
    assert len(collect(market, keep=0).packages) == 2
