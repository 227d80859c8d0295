"""`expert route` and `expert router`, run as the real program."""

import json
from pathlib import Path

import pytest

from support.program import expert

DATA = Path(__file__).parents[1] / "data" / "routing"
RECIPES = Path(__file__).parents[2] / "experts"
EXPERTS = ("--experts", RECIPES, "--experts", DATA / "experts")


def test_route_tells_who_and_why() -> None:
    """The expert, its reasons, the task and all probabilities."""
    done = expert("route", "SQL query for all customers in Rome", *EXPERTS)
    assert done.code == 0, done.message
    first, *rest = done.text.splitlines()
    assert first == "expert/sql"
    assert "asks for" in done.text
    assert any(line.startswith("none ") for line in rest)


def test_route_as_json() -> None:
    """`--json` prints the whole route."""
    done = expert("route", "write a poem about SQL", *EXPERTS, "--json")
    route = json.loads(done.text)
    assert route["choices"] == []
    assert route["task"] == "creative"
    assert route["parameters"]["temperature"] == 0.8
    assert len(route["alternatives"]) == 7


def test_route_reads_files_and_pipes(tmp_path: Path) -> None:
    """What is attached or piped in counts."""
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    (tmp_path / "x.diff").write_text(patch)
    piped = expert("route", *EXPERTS, stdin=patch.encode())
    assert piped.text.startswith("expert/commit"), piped.message
    attached = expert("route", "message?", "-f", tmp_path / "x.diff", *EXPERTS)
    assert attached.text.startswith("expert/commit"), attached.message


def test_route_without_experts() -> None:
    """With nothing installed the base answers, and nothing is created by looking."""
    done = expert("route", "hello", "--no-stdin")
    assert done.code == 0, done.message
    assert done.text.startswith("the base model\n  no expert is installed")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("route",), 2),
        (("route", "x", "--experts", "nowhere"), 3),
        (("route", "x", "-f", "nowhere.txt"), 3),
        (("route", "x", "--embedding", "nowhere.gguf"), 3),
        (("router", "eval", "nowhere.jsonl"), 3),
        (("router",), 2),
    ],
)
def test_mistakes(arguments: tuple[str, ...], code: int) -> None:
    """Each has its exit code and a message, no traceback."""
    done = expert(*arguments)
    assert done.code == code
    assert "Traceback" not in done.message
    assert done.message


def test_router_eval() -> None:
    """The figures as a table and as JSON; a few labelled prompts suffice."""
    done = expert("router", "eval", DATA / "prompts.jsonl", *EXPERTS, timeout=300)
    assert done.code == 0, done.message
    for word in ("correct", "off-topic", "calibration", "median", "adversarial", "wanted: chosen"):
        assert word in done.text


def test_router_eval_ablation_and_fit(tmp_path: Path) -> None:
    """Stages without embeddings are compared, and parameters can be fitted again."""
    lines = (DATA / "prompts.jsonl").read_text().splitlines()[::9]
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(lines))
    rows = expert("router", "eval", few, *EXPERTS, "--ablation", "--json", timeout=300)
    assert set(json.loads(rows.text)) == {"heuristics", "ngrams", "both"}, rows.message
    target = tmp_path / "weights.json"
    fitted = expert("router", "fit", few, *EXPERTS, "-o", target, timeout=300)
    assert fitted.code == 0, fitted.message
    assert set(json.loads(target.read_text())) == {"heuristics", "ngrams", "both"}
