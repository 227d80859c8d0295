"""The journey of an expert: an empty home, no network, from search to uninstall."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.journeys import NAMES, QUESTIONS, Market, names_of
from support.terminal import PROGRAM

pytestmark = pytest.mark.slow


def test_from_search_to_uninstall(cut: tuple[str, ...], market: Market, home: Path) -> None:
    """Search, show, install `sql`, ask it, update, go back, uninstall."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*cut, str(PROGRAM), *arguments],
            capture_output=True, stdin=subprocess.DEVNULL, timeout=300, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.decode()

    def version() -> str:
        answer = run("ask", "--json", QUESTIONS["sql"])
        assert names_of(answer.encode()) == ["expert/sql"]
        (use,) = json.loads(answer)["experts"]
        return str(use["version"])

    assert "No experts" in run("list")
    assert {hit["name"] for hit in json.loads(run("search", "--json"))} >= set(NAMES)
    assert "Turns a question about a database into an SQL query." in run("show", "sql")
    manifest = json.loads(run("show", "sql", "--json"))["manifest"]
    old = manifest["version"]
    assert f"installed expert/sql@{old}" in run("install", "sql", "-y")
    assert version() == old
    assert "Everything" in run("update", "-y")
    market.newer("sql", "99.0.0")
    assert "expert/sql@99.0.0" in run("update", "--check")
    assert version() == old
    assert "installed expert/sql@99.0.0" in run("update", "-y")
    assert version() == "99.0.0"
    assert f"expert/sql@{old}" in run("rollback")
    assert version() == old
    assert json.loads(run("verify", "--deep", "--json"))["problems"] == []
    assert f"removed expert/sql@{old}" in run("uninstall", "sql")
    assert "No experts" in run("list")
    assert names_of(run("ask", "--json", QUESTIONS["sql"]).encode()) == []
    run("gc", "--keep", "0")
    assert not list((home / "data" / "blobs").rglob("?" * 64))
