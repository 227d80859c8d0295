"""`expert compress` and `expert bench compress`, as people use them."""

import json
from pathlib import Path

import pytest

from expert.bench.compress import ALONE, ORIGINAL, Comparison, Form, Scores, bench_compress
from expert.cli import bench_compress as table
from expert.cli.compress import METHODS, size
from expert_converters.compress import compress as library
from support.packages import make_package
from support.program import expert


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other take for ever on a busy machine."""
    monkeypatch.setenv("EXPERT_THREADS", "1")


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """Return two rows."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "Name a fox.", "answer": "Fox."}\n"What is it?"\n')
    return path


def test_the_choices_are_those_of_the_library() -> None:
    """The command spells them out, because its help may not import numpy."""
    assert set(METHODS) == set(library.METHODS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("400000", 400_000), ("400k", 400_000), ("1.5M", 1_500_000), ("2G", 2 * 10**9)],
)
def test_sizes(text: str, expected: int) -> None:
    """Bytes, or thousands, millions and thousands of millions of them."""
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "k", "0", "-5", "many", "nan", "inf", "1e400"])
def test_sizes_that_are_none(adapter: Path, tmp_path: Path, text: str) -> None:
    """They end with the usage, not with a traceback."""
    done = expert("compress", adapter, "-o", tmp_path / "x", f"--budget={text}")
    assert done.code == 2
    assert "Traceback" not in done.message


def test_an_adapter(adapter: Path, tiny_path: Path, tmp_path: Path, calibration: Path) -> None:
    """Text for people and JSON for scripts, with the divergence where rows are given."""
    options = ("compress", adapter, "-o", tmp_path / "small.gguf", "--base", tiny_path)
    done = expert(*options, "--method", "osd", "--budget", "20k", "--calibration", calibration)
    assert done.code == 0, done.message
    for words in ("small.gguf", "of its weight lost", "directions kept", "density", "nats a token"):
        assert words in done.text
    made = json.loads(expert(*options, "--method", "q2", "--json").out)
    (report,) = made["adapters"]
    assert report["packed"] and made["divergence"] is None
    assert made["bytes"] == report["nbytes"] == (tmp_path / "small.gguf").stat().st_size


def test_a_compressed_adapter_answers(adapter: Path, tiny_path: Path, tmp_path: Path) -> None:
    """`ask -e FILE` takes it, and says nearly what the original says."""
    expert("compress", adapter, "-o", tmp_path / "small.gguf", "--method", "q3", "--budget", "60k")
    answers = []
    for path in (adapter, tmp_path / "small.gguf"):
        ask = ("ask", "-m", tiny_path, "-e", path, "--temperature", "0", "--max-tokens", "6")
        done = expert(*ask, "--json", "a fox")
        assert done.code == 0, done.message
        answers.append(json.loads(done.out)["experts"][0]["name"])
    assert answers == ["songs", "small"]


def test_other_commands_take_it(adapter: Path, tmp_path: Path) -> None:
    """`fuse` and `conflicts` see an ordinary adapter."""
    small = tmp_path / "small.gguf"
    expert("compress", adapter, "-o", small, "--method", "q3")
    done = expert("conflicts", adapter, small, "--json")
    assert json.loads(done.out)["cosine"] > 0.95
    assert expert("fuse", adapter, small, "-o", tmp_path / "both.gguf").code == 0


def test_a_package(adapter: Path, tmp_path: Path) -> None:
    """The result is a package of the next version, with the same name."""
    package = make_package(tmp_path, contents=adapter.read_bytes())
    target = tmp_path / "small.expert"
    done = expert("compress", package, "-o", target, "--method", "q2")
    assert done.code == 0, done.message
    assert "expanded to Q8_0" in done.text
    shown = json.loads(expert("inspect", target, "--json").out)
    assert shown["label"] == "acme/sql@1.0.1"
    assert expert("validate", target).code == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--method", "svd"], 5, "needs a budget"),
        (["--method", "q2", "--budget", "100"], 5, "not one direction"),
        (["--method", "zip"], 2, "invalid choice"),
        (["--version", "2.0.0"], 2, "no version"),
        (["--calibration", "none.jsonl"], 2, "needs the base"),
        (["--base", "nowhere.gguf"], 3, "nowhere.gguf"),
    ],
)
def test_what_cannot_be_done(
    adapter: Path, tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    """What happened and what to do, in the exit code too; no file is left."""
    done = expert("compress", adapter, "-o", tmp_path / "small.gguf", *options)
    assert done.code == code
    assert words in done.message
    assert not (tmp_path / "small.gguf").exists()


def test_packages_want_packages(adapter: Path, tiny_path: Path, tmp_path: Path) -> None:
    """The name must say so, and a base is not asked for."""
    package = make_package(tmp_path, contents=adapter.read_bytes())
    done = expert("compress", package, "-o", tmp_path / "small.gguf")
    assert (done.code, ".expert" in done.message) == (2, True)
    done = expert("compress", package, "-o", tmp_path / "s.expert", "--base", tiny_path)
    assert (done.code, "without a base" in done.message) == (2, True)
    done = expert("compress", tmp_path / "none.expert", "-o", tmp_path / "s.expert")
    assert done.code == 3


@pytest.fixture(scope="module")
def forms(adapter: Path, tiny_path: Path) -> list[Form]:
    """Return a comparison at one size, with scores that a test makes up."""

    def score(named: object) -> dict[str, Scores]:
        return {name: {"songs": (0.5, (0.4, 0.6))} for name, _ in named}  # type: ignore[attr-defined]  # pairs

    return bench_compress(Comparison(adapter, tiny_path, (14_000,), (), score, repeat=1))


def test_the_comparison_has_every_form(forms: list[Form]) -> None:
    """The original first, each type, each method at the size, and the base alone last."""
    names = [form.name for form in forms]
    assert names[0] == ORIGINAL and names[-1] == ALONE
    assert names[1:-1] == [
        "q8_0", "q4_0", "q3", "q2", "svd in 14 kB", "osd in 14 kB", "q3 in 14 kB",
    ]  # fmt: skip
    for form in forms[5:8]:
        assert 0.8 * 14_000 < form.bytes <= 14_000
    for form in forms[:-1]:
        assert form.first_s > 0 and form.load_s > 0
        assert form.scores == {"songs": (0.5, (0.4, 0.6))}
        assert form.divergence is None


def test_nothing_is_left_in_the_cache(adapter: Path, tiny_path: Path, home: Path) -> None:
    """What was expanded for the comparison goes with it."""
    bench_compress(Comparison(adapter, tiny_path, (14_000,), repeat=1))
    assert not list((home / "cache").glob("expanded/*/*.gguf"))


def test_the_table(forms: list[Form]) -> None:
    """One row a form and one column a task; the base alone has no size."""
    lines = table.table(forms).splitlines()
    assert len(lines) == len(forms) + 2
    assert lines[0].startswith("| form | size | ready first | ready later | weight lost | songs |")
    assert lines[2].startswith("| original |")
    assert lines[-1] == "| base alone |  |  |  |  | 50.0% (40.0% to 60.0%) |"


def test_the_bench_command(adapter: Path, tiny_path: Path, calibration: Path) -> None:
    """A table for people, and what it rests on for scripts."""
    command = ("bench", "compress", adapter, "-m", tiny_path, "--budget", "14k", "--repeat", "1")
    done = expert(*command, "--calibration", calibration, "--json")
    assert done.code == 0, done.message
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert rows[ORIGINAL]["divergence"] < rows["q8_0"]["divergence"] < rows[ALONE]["divergence"]
    assert "path" not in rows["q2"]
    package = make_package(adapter.parent, contents=adapter.read_bytes())
    done = expert(*command[:2], package, *command[3:])
    assert done.code == 0 and done.text.splitlines()[2].startswith("| original |"), done.message
    done = expert(*command[:4], "--data", "x")
    assert (done.code, "--recipe" in done.message) == (2, True)
