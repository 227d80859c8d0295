"""Rows, files of rows, and an endpoint to make rows with."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.conftest import minilm as minilm
from router.conftest import minilm_checkpoint as minilm_checkpoint
from support.endpoint import KEY, Endpoint, running

PLAN = """
instruction = "Write requests for one shell command, and the command."
{more}

[model]
name = "writer"
provider = "{provider}"
url = "{url}"
{model}

[price]
input = 1.0
output = 2.0
"""
Write = Callable[[str, Iterable[Any]], Path]
MakePlan = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes JSON Lines below the test's folder."""

    def write_lines(name: str, rows: Iterable[Any]) -> Path:
        path = tmp_path / name
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write_lines


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Return an endpoint that runs, with its key in the environment."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, KEY)
    with running(Endpoint()) as one:
        yield one


@pytest.fixture
def make_plan(tmp_path: Path, endpoint: Endpoint) -> MakePlan:
    """Return what writes a plan for that endpoint."""

    def make(more: str = "", model: str = "", provider: str = "openai") -> Path:
        url = endpoint.address + ("/v1" if provider == "openai" else "")
        path = tmp_path / "plan.toml"
        path.write_text(PLAN.format(more=more, model=model, provider=provider, url=url), "utf-8")
        return path

    return make
