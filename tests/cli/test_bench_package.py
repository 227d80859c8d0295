"""`expert bench package`: every way to have an expert, measured in one run."""

import json
from pathlib import Path

from support.program import expert

WAYS = {"installed expert", ".expert package", "tar.gz, first format", "PEFT folder"}


def test_table_and_json(tiny_path: Path, home: Path) -> None:
    """Every way has times; an installed expert is ready sooner than one that must be converted."""
    options = ("bench", "package", tiny_path, "--repeat", "2")
    result = json.loads(expert(*options, "--json").out)
    assert set(result["ways"]) == WAYS
    for way in result["ways"].values():
        assert min(way["bytes"], way["cold_s"], way["hot_s"]) > 0
    assert result["ways"]["installed expert"]["hot_s"] < result["ways"]["PEFT folder"]["hot_s"]
    assert result["ways"][".expert package"]["bytes"] > result["adapter_bytes"]
    assert not (home / "data").exists()
    text = expert(*options).text
    assert all(name in text for name in WAYS)
