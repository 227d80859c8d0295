"""The journey of a script: pipes, exit codes and JSON, pocket and the experts, no network."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.journeys import NAMES, QUESTIONS, Market
from support.terminal import PROGRAM

pytestmark = pytest.mark.slow
SCRIPT = """
set -euo pipefail
"$EXPERT" install sql json shell regex commit -y > /dev/null
printf '%s' "$SQL" | "$EXPERT" ask --json > sql.json
printf '%s' "$INTENT" | "$EXPERT" ask --json > json.json
"$EXPERT" ask --json "$SHELL_QUESTION" < /dev/null > shell.json
"$EXPERT" ask --json "$REGEX" < /dev/null > regex.json
"$EXPERT" ask --json "$COMMIT" < /dev/null > commit.json
"$EXPERT" ask --json "$NONE" < /dev/null > none.json
"$EXPERT" ask --json -e sql "$NONE" < /dev/null > hand.json
"$EXPERT" route --json "$SQL" < /dev/null > route.json
printf '%s\\n' "$NONE" "/expert sql" "And you?" | "$EXPERT" chat > chat.txt 2> chat.err
"$EXPERT" ask -q "$NONE" < /dev/null | head -c1 > first.txt || test $? = 141
"$EXPERT" log search singers > found.txt
"$EXPERT" log export 1 > export.md
"$EXPERT" log list --json > list.json
"""


def test_from_a_pipe_to_an_export(cut: tuple[str, ...], market: Market, tmp_path: Path) -> None:
    """Ask each expert and none, choose by hand, converse, search and export, all in a script."""
    folder = tmp_path / "work"
    folder.mkdir()
    questions = {"SQL": "sql", "INTENT": "json", "SHELL_QUESTION": "shell", "NONE": ""}
    questions |= {"REGEX": "regex", "COMMIT": "commit"}
    done = subprocess.run(
        [*cut, "bash", "-c", SCRIPT],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500,
        env={**os.environ, "EXPERT": str(PROGRAM)}
        | {name: QUESTIONS[expert] for name, expert in questions.items()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""

    def answered(name: str) -> list[str]:
        record = json.loads((folder / f"{name}.json").read_text())
        return [use["name"] for use in record["experts"]]

    for name in NAMES:
        assert answered(name) == [f"expert/{name}"]
    assert answered("none") == []
    assert answered("hand") == ["expert/sql"]
    (choice,) = json.loads((folder / "route.json").read_text())["choices"]
    assert choice["name"] == "expert/sql"
    assert "1. expert/sql at 1" in (folder / "chat.err").read_text()
    assert len((folder / "first.txt").read_bytes()) == 1
    assert "singers" in (folder / "found.txt").read_text()
    assert QUESTIONS["sql"] in (folder / "export.md").read_text()
    assert len(json.loads((folder / "list.json").read_text())) >= 6
