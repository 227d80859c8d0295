"""`expert dataset` as the real program: JSON, errors and their codes, whole files or none, no
network.
"""

import contextlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dataset.conftest import Write
from expert.cli import main
from expert.dataset.reading import Source, read_rows
from support.no_network import deny_internet, supported
from support.program import PROGRAM, Outcome, in_terminal

ROWS = [{"prompt": f"Count the lines of file{n}", "answer": f"wc -l file{n}"} for n in range(60)]
WRITES: dict[str, tuple[str, ...]] = {
    "convert": (),
    "dedupe": ("--exact",),
    "validate": (),
    "difficulty": (),
    "diversity": (),
    "split": (),
}


def dataset(*arguments: str | Path) -> Outcome:
    """Run `expert dataset` within this process, which is quicker than starting it anew."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["dataset", *map(str, arguments)])
        except SystemExit as stop:  # argparse ends a wrong command line so
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue().encode(), err.getvalue().encode())


def record(*arguments: str | Path) -> dict[str, Any]:
    """Return what it prints with --json."""
    done = dataset(*arguments, "--json")
    assert done.code == 0, done.message
    found: dict[str, Any] = json.loads(done.text)
    return found


def model(action: str, tiny_path: Path) -> tuple[str | Path, ...]:
    """Return the base for the actions that need one."""
    return ("-m", tiny_path) if action == "difficulty" else ()


def test_each_action_has_json(write: Write, tmp_path: Path, tiny_path: Path) -> None:
    """And text for people, which tells the same numbers."""
    path = write("a.jsonl", ROWS)
    assert record("stats", path, "--tokens", "-m", tiny_path)["rows"] == 60
    assert record("validate", path, "--task", "shell")["valid"] is True
    assert record("convert", path, "-o", tmp_path / "b.jsonl.zst")["rows"] == 60
    assert record("dedupe", path, "-o", tmp_path / "c.jsonl", "--near", "0.95")["kept"] > 1
    parts = record("split", path, "-o", tmp_path / "d", "--part", "x=1", "--part", "y=1")
    assert sum(parts["rows"].values()) == 60
    found = record("difficulty", path, "-m", tiny_path, "-o", tmp_path / "e.jsonl")
    assert sum(found["levels"].values()) == 60
    thin = record("diversity", path, "-o", tmp_path / "f.jsonl", "--by", "prompt")
    assert 1 < thin["kept"] <= 60
    for name in ("b.jsonl.zst", "c.jsonl", "d/x.jsonl.zst", "e.jsonl", "f.jsonl"):
        assert next(read_rows(Source(tmp_path / name))).prompt.startswith("Count the lines")
    for action in ("stats", "validate"):
        assert "60" in dataset(action, path).text


def test_all_forms_become_one(write: Write, tmp_path: Path) -> None:
    """Alpaca, ShareGPT, preference, text and CSV through the command."""
    (tmp_path / "e.csv").write_text("question,sql\na,b\n")
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    sources = {
        write("a.json", [{"instruction": "a", "output": "b"}]): {"prompt": "a", "answer": "b"},
        write("b.jsonl", [{"conversations": turns}]): {"prompt": "a", "answer": "b"},
        write("c.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}]): {
            "prompt": "a",
            "answer": "b",
            "rejected": "c",
        },
        write("d.txt", ["some text"]): {"text": "some text"},
        tmp_path / "e.csv": {"prompt": "a", "answer": "b"},
    }
    for path, wanted in sources.items():
        target = tmp_path / f"{path.name}.out.jsonl"
        mapping = ("--map", "question=prompt", "--map", "sql=answer")
        record("convert", path, "-o", target, *mapping)
        assert json.loads(target.read_text()) == wanted


@pytest.mark.parametrize("action", WRITES)
def test_a_bad_row_is_named_and_nothing_is_written(
    action: str, write: Write, tmp_path: Path, tiny_path: Path
) -> None:
    """Code 5 and its line; with --skip-bad the others are taken, and it is told which was not."""
    path = write("a.jsonl", [*ROWS[:20], '{"prompt": "x"', *ROWS[20:]])
    target = tmp_path / ("out" if action == "split" else "out.jsonl")
    arguments = (action, path, "-o", target, *WRITES[action], *model(action, tiny_path))
    done = dataset(*arguments, "--json")
    assert done.code == 5
    if action == "validate":
        assert json.loads(done.text)["errors"][0]["line"] == 21
        return
    told = json.loads(done.message)
    assert "Line 21" in told["what"]
    assert told["why"] and told["fix"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.jsonl"]
    skipped = dataset(*arguments, "--skip-bad")
    assert skipped.code == 0, skipped.message
    assert "1 bad rows were left out" in skipped.message
    assert "line 21" in skipped.message
    assert target.exists()


@pytest.mark.parametrize("action", WRITES)
def test_an_output_that_is_there(
    action: str, write: Write, tmp_path: Path, tiny_path: Path
) -> None:
    """Nothing is overwritten, unless that was asked for; the input neither."""
    path = write("a.jsonl", ROWS)
    before = path.read_bytes()
    arguments = (action, path, *WRITES[action], *model(action, tiny_path))
    target = tmp_path / ("out" if action == "split" else "out.jsonl")
    if action == "split":
        target.mkdir()
    else:
        target.write_text("mine")
        assert dataset(*arguments, "-o", path).code == 2
    done = dataset(*arguments, "-o", target)
    assert done.code == 2
    assert "exists" in done.message
    assert path.read_bytes() == before
    if action != "split":
        assert target.read_text() == "mine"
        assert dataset(*arguments, "-o", target, "--force").code == 0
        assert target.read_text() != "mine"


@pytest.mark.parametrize("action", ["convert", "split", "difficulty"])
def test_a_full_disk(action: str, write: Write, tmp_path: Path, tiny_path: Path) -> None:
    """No file may grow: code 9, and nothing half-written is left."""
    path = write("a.jsonl", ROWS)
    target = tmp_path / ("out" if action == "split" else "out.jsonl")
    arguments = [action, path, "-o", target, *WRITES[action], *model(action, tiny_path)]
    command = " ".join(map(str, [*PROGRAM, "dataset", *arguments]))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; {command}"], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("stats", "none.jsonl"), 3),
        (("stats", "empty.jsonl"), 3),
        (("stats", "a.xyz"), 2),
        (("stats", "odd.jsonl"), 2),
        (("convert", "a.jsonl", "-o", "b.parquet"), 2),
        (("convert", "a.jsonl", "-o", "no/b.jsonl"), 2),
        (("convert", "a.jsonl"), 2),
        (("split", "a.jsonl", "-o", "x", "--part", "../x=1"), 2),
        (("split", "a.jsonl", "-o", "x", "--part", "x=0"), 2),
        (("dedupe", "a.jsonl", "-o", "b.jsonl", "--near", "2"), 2),
        (("difficulty", "a.jsonl", "--cuts", "9,3"), 2),
        (("difficulty", "a.jsonl", "-m", "none.gguf"), 3),
        (("diversity", "a.jsonl", "--embedding", "none.gguf"), 3),
        (("validate", "a.jsonl", "--task", "json", "--schema", "none.json"), 3),
        (("generate", "none.toml", "-o", "b.jsonl"), 3),
        (("nothing",), 2),
        ((), 2),
    ],
)
def test_codes(
    arguments: tuple[str, ...],
    code: int,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong decides the code; a message says what to do, and stdout stays empty."""
    write("a.jsonl", ROWS)
    write("empty.jsonl", [])
    write("a.xyz", ["x"])
    write("odd.jsonl", [{"x": 1}])
    monkeypatch.chdir(tmp_path)
    done = dataset(*arguments)
    assert done.code == code, done.message
    assert done.text == ""
    assert done.message


def test_validate_tells_people_and_scripts(write: Write) -> None:
    """Code 5 where a row cannot be used; warnings alone are no failure."""
    path = write("a.jsonl", [{"prompt": "p", "answer": "echo 'x"}, {"prompt": "q", "answer": "ls"}])
    done = dataset("validate", path, "--task", "shell")
    assert done.code == 5
    assert "line 1: the command does not parse" in done.text
    assert "1 of 2 rows can be used" in done.text
    twice = write("b.jsonl", [{"prompt": "p", "answer": "a"}] * 2)
    done = dataset("validate", twice)
    assert done.code == 0
    assert "warning, line 2" in done.text


def test_a_screen_gets_nothing_it_could_obey(write: Write) -> None:
    """Texts of rows are shown harmless."""
    evil = "Count the lines of \x1b[31mthe\x07 file number one in the folder"
    rows = [{"prompt": evil, "answer": "wc"}, {"prompt": f"{evil}s", "answer": "wc"}]
    path = write("a.jsonl", rows)
    done = in_terminal(["dataset", "dedupe", path, "-o", path.with_name("b.jsonl")])
    assert b"was dropped after" in done.out
    assert b"\x07" not in done.out
    assert b"\x1b[31m" not in done.out


@pytest.mark.slow
def test_diversity_with_an_encoder(minilm: Path, write: Write) -> None:
    """By meaning, not by words: paraphrases are alike, though they share no word."""
    rows = [{"text": text} for text in ("How old are you?", "What is your age?", "It rains today.")]
    path = write("a.jsonl", rows)
    dense = record("diversity", path, "--embedding", minilm, "--near", "0.6")
    plain = record("diversity", path, "--near", "0.6")
    assert dense["alike"] == pytest.approx(2 / 3)
    assert plain["alike"] == 0
    assert dense["measured_by"] == str(minilm)


@pytest.mark.skipif(not supported(), reason="needs seccomp on Linux")
def test_the_internet_is_never_tried(write: Write, tmp_path: Path, tiny_path: Path) -> None:
    """With a filter that kills whoever opens an internet socket, they work."""
    path = write("a.jsonl", ROWS)
    for action, more in (("dedupe", ()), ("difficulty", ()), ("stats", ())):
        output = () if action == "stats" else ("-o", tmp_path / f"{action}.jsonl")
        arguments = (action, path, *output, *more, *model(action, tiny_path))
        done = subprocess.run(
            [*PROGRAM, "dataset", *map(str, arguments)],
            capture_output=True,
            preexec_fn=deny_internet,
        )
        assert done.returncode == 0, (action, done.stderr)


def test_a_closed_pipe(write: Write) -> None:
    """`| head` ends it with 141 and no message."""
    path = write("a.jsonl", ["{"] * 50)
    command = f"{' '.join(PROGRAM)} dataset validate {path} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() in ("141", "5")
    assert "Traceback" not in done.stderr
