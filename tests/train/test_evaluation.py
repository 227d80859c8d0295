"""Evaluation: conditions, judges and reports, with answers that are known beforehand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from expert.errors import InputTooLongError, NotFoundError, UsageError, VerificationError
from expert.train.adapter.task_data import TaskData
from expert.train.evaluation.conditions import (
    BASE,
    BASE_GRAMMAR,
    EXPERT,
    FEW_SHOT,
    GRAMMAR,
    OTHER,
    PAIR,
    Answers,
    Asking,
    Score,
    Settings,
    conditions,
    evaluate,
    heldout_rows,
    scored,
)  # fmt: skip
from expert.train.evaluation.judges import MEASURES, PUBLIC, judging
from expert.train.evaluation.report import (
    beats_base,
    details,
    figures,
    fill_card,
    load_scores,
    page,
    save_scores,
    table,
    verdict,
    write_page,
)  # fmt: skip
from expert.train.examples import Example, single
from support.songs import write_songs

GOOD, OTHERS, FORM = Path("good.gguf"), Path("others.gguf"), Path("form.json")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> TaskData:
    """Return data with a few requests for songs."""
    return TaskData(write_songs(tmp_path_factory.mktemp("songs")))


@pytest.fixture
def scores(songs: TaskData) -> list[Score]:
    """Return scores of an expert that is always right beside a base that never is."""
    right = {e.turns[0].prompt: e.turns[0].answer for e in heldout_rows(songs, "snips", 99)}
    asked: list[Asking] = []

    def answer(asking: Asking) -> str:
        asked.append(asking)
        if asking.adapters[:1] == (GOOD,):
            return right[asking.messages[-1].content]
        raise InputTooLongError("too long")

    who = conditions(GOOD, OTHERS, 2)
    told: list[tuple[int, int]] = []
    made = evaluate(
        ("snips",), who, Settings(songs, 8, 2, 50, FORM, verbatim=True), answer,
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (56, 56) and [done for done, _ in told] == list(range(1, 57))
    assert {len(a.messages) for a in asked} == {1, 5}
    assert [a.form for a in asked if a.form] == [("schema", FORM)] * 16
    assert [a.verbatim for a in asked] == [a.form is not None for a in asked]
    return made


def test_every_condition_answers_the_same_rows(scores: list[Score]) -> None:
    """The base fails, the expert does not, and the paired gain is certain."""
    by = {score.condition: score for score in scores}
    assert list(by) == [BASE, FEW_SHOT, BASE_GRAMMAR, EXPERT, GRAMMAR, OTHER, PAIR]
    assert by[EXPERT].values["whole sentence"] == 1 and by[BASE].values["whole sentence"] == 0
    assert by[BASE].gain is None and by[EXPERT].gain == (1.0, 1.0)
    assert by[OTHER].gain == (0.0, 0.0)
    assert by[EXPERT].intervals["whole sentence"][0] < 0.8 and beats_base(scores)
    assert len(by[BASE].wrong) == 8 and not by[EXPERT].wrong


def test_shots_and_rows_are_apart(songs: TaskData) -> None:
    """No held-out row is shown as an example."""
    from expert.train.evaluation.conditions import shots_for

    rows = {e.turns[0].prompt for e in heldout_rows(songs, "snips", 99)}
    shown = {e.turns[0].prompt for e in shots_for(songs, "snips", 50)}
    assert len(shown) == 50 and not rows & shown


def test_the_card_and_the_page_show_the_figures(scores: list[Score], tmp_path: Path) -> None:
    """Scores survive being kept; card and page are written between their marks alone."""
    folder = tmp_path / "songs"
    folder.mkdir()
    save_scores(folder, scores, {"base": "Tiny"})
    kept, facts = load_scores(folder / "figures.json")
    assert kept == scores and facts == {"base": "Tiny"}
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    write_page(document, tmp_path)
    write_page(document, tmp_path)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("### songs") == 1 and text.count("Slot-Gated 75.5") == 1
    card = fill_card("# c\n<!-- figures -->\n<!-- end of figures -->\n", scores, None)
    assert "beats the base beyond" in card and "| fields F1" not in table(scores)
    assert "fields F1" in details(scores) and page(tmp_path / "none").startswith("No expert")


def test_a_manifest_gets_the_main_figures(scores: list[Score]) -> None:
    """One figure a task, the base and the grammar beside the expert."""
    (figure,) = figures(scores, "Tiny")
    assert (figure["expert"], figure["base"], figure["grammar"]) == (1.0, 0.0, 1.0)
    assert figure["samples"] == 8 and figure["model"] == "Tiny"
    assert figures(scores[:1], "Tiny") == [] and verdict(scores[:1]) == ""


def test_kept_figures_that_are_damaged_are_refused(tmp_path: Path) -> None:
    """A missing file and a broken one have their own errors."""
    with pytest.raises(NotFoundError):
        load_scores(tmp_path / "figures.json")
    (tmp_path / "figures.json").write_text('{"scores": [{}]}')
    with pytest.raises(VerificationError):
        load_scores(tmp_path / "figures.json")


def test_data_without_held_out_rows_is_refused(tmp_path: Path) -> None:
    """Nothing is measured on training rows."""
    write_songs(tmp_path, count=0)
    with pytest.raises(UsageError, match="held-out"):
        heldout_rows(TaskData(tmp_path), "snips", 5)


ANSWERS = [
    ("nlrx", 'Regex: "ab" before a digit', "ab.*[0-9]", "^.*ab.*[0-9].*$", "ab.*[a-z]"),
    ("snips", "x", '{"intent":"A","slots":{}}', '{"slots": {}, "intent": "A"}', '{"intent":"A"}'),
    ("sgd", "x", '{"name":"F","arguments":{"a":"b"}}', '{"arguments":{"a":"b"},"name":"F"}', "{}"),
    ("nl2bash", "x", "ls -la /a", "ls -al /b", "ls -l /a"),
    ("wikisql", "x", "SELECT a FROM t", " SELECT a FROM t\n", "SELECT b FROM t"),
    (
        "wide_wikisql", "x", "SELECT a FROM t WHERE b = 'X' AND c > 1",
        "select a from t where c > 1 and b = 'X'", "SELECT a FROM t WHERE b = 'x' AND c > 1",
    ),
    ("cypher", "x", "MATCH (a:A) RETURN a", "match (n:A) return n;", "MATCH (a:B) RETURN a"),
    ("intent", "x", "play_music", " play_music", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "prompt", "reference", "right", "wrong"), ANSWERS)
def test_judges(task: str, prompt: str, reference: str, right: str, wrong: str) -> None:
    """The main measure of a task accepts what means the same, and refuses the rest."""
    example = single("x", "x", prompt, reference)
    with judging(PUBLIC.get(task, "exact"), Path("none"), None, [example]) as bench:
        for answer, expected in ((right, 1.0), (wrong, 0.0), ("", 0.0), (reference, 1.0)):
            marks = bench.judge(example, answer)
            assert next(iter(marks.values())) == expected, answer
            assert all(mark is None or 0 <= mark <= 1 for mark in marks.values())
        assert bench.form(example) is None


def test_prose_is_judged_by_degree() -> None:
    """A commit's subject is near the reference or far; all of them together have a BLEU."""
    rows = [single("commit", "r", f"diff {n}", f"fix: handle empty file {n}") for n in range(12)]
    with judging("commit", Path("none"), None, rows) as bench:
        near = bench.judge(rows[0], "fix(io): handle an empty file 0")
        far = bench.judge(rows[0], "Update stuff.")
        same = bench.whole(rows, [row.turns[0].answer for row in rows])
        other = bench.whole(rows, ["nothing of this kind"] * 12)
    assert far["chrF"] is not None and near["chrF"] is not None
    assert 0.6 < near["chrF"] < 1 and far["chrF"] < 0.2
    assert (near["type"], near["conventional"], near["words F1"]) == (1, 1, 0.8)
    assert (far["type"], far["conventional"], far["exact"]) == (0, 0, 0)
    value, (low, high) = same["corpus BLEU"]
    assert value == low == high == pytest.approx(1)
    value, (low, high) = other["corpus chrF"]
    assert low <= value <= high and value < 0.3


def test_a_question_with_its_own_form_takes_it_over_the_experts() -> None:
    """The functions in a question decide what its answer must look like."""
    own = ("schema", '{"type": "object"}')
    rows = [single("json", "g", "p", "{}", own), single("json", "g", "q", "{}")]
    with judging("call", Path("none"), FORM, rows) as bench:
        assert [bench.form(row) for row in rows] == [own, ("schema", FORM)]
    with judging("cypher", Path("none"), Path("c.gbnf"), rows[1:]) as bench:
        assert bench.form(rows[1]) == ("grammar", Path("c.gbnf"))


def test_a_measure_that_some_rows_cannot_tell_counts_the_others() -> None:
    """What a command does is known of commands that can be tried, the structure of all."""
    rows = [single("shell", "g", str(n), answer) for n, answer in enumerate(("ls", "sudo reboot"))]
    with judging("shell", Path("none"), None, rows) as bench:
        answers = Answers(bench, rows)
        answers.add(BASE, ["ls", "sudo reboot"])
        score = scored("nl2bash", BASE, answers)
    assert score.values["structure"] == 1 and score.values["execution"] == 1
    assert score.intervals["execution"][0] < score.intervals["structure"][0]


def test_regressions_and_the_loss_of_a_pair_are_told() -> None:
    """Rows that the base had right are counted and shown first, with what the base said."""
    rows = [single("intent", "g", f"q{n}", f"a{n}") for n in range(30)]
    right = [f"a{n}" for n in range(30)]
    with judging("exact", Path("none"), None, rows) as bench:
        answers = Answers(bench, rows)
        answers.add(BASE, [*right[:5], *["no"] * 25])
        answers.add(EXPERT, ["no", *right[1:]])
        answers.add(PAIR, ["no"] * 30)
        expert, pair = (scored("intent", name, answers) for name in (EXPERT, PAIR))
    assert (expert.lost, expert.won, expert.change) == (1, 25, None)
    assert expert.wrong == [{"prompt": "q0", "expected": "a0", "answer": "no", "base": "a0"}]
    assert (pair.lost, pair.won) == (5, 0) and pair.change is not None and pair.change[1] < 0
    assert [wrong.get("base") for wrong in pair.wrong[:5]] == ["a0", "a1", "a2", "a3", None]
    said = verdict([expert, pair])
    assert "beats the base" in said and "another expert attached it loses" in said
    assert "| 25, 1 |" in table([expert])
    worse = replace(expert, gain=(-0.3, -0.1))
    assert "worse than the base" in verdict([worse]) and not beats_base([worse])
    gains = replace(expert, condition=OTHER)
    assert "another expert gains" in verdict([gains])
    assert verdict([replace(gains, gain=(-0.1, 0.1))]) == ""


def test_figures_from_before_regressions_were_counted_are_read(tmp_path: Path) -> None:
    """What newer figures hold beside is left empty."""
    old = {
        "task": "intent", "condition": EXPERT, "rows": 1, "values": {"exact": 1.0},
        "intervals": {"exact": [0.2, 1.0]}, "gain": [0.1, 1.0], "wrong": [],
    }  # fmt: skip
    (tmp_path / "figures.json").write_text(json.dumps({"base": "Tiny", "scores": [old]}))
    ((score,), _) = load_scores(tmp_path / "figures.json")
    assert (score.lost, score.won, score.change, score.gain) == (0, 0, None, (0.1, 1.0))


def test_every_judge_survives_nonsense() -> None:
    """Whatever an engine returns is judged."""
    example = {"intent": "A", "slots": {}, "name": "F", "arguments": {}}
    for measure in MEASURES.values():
        for text in ("", "[1]", "null", "\x00", "(" * 500, "SELECT", '{"intent": []}'):
            row = single("x", "x", "p", str(example).replace("'", '"'))
            marks = measure.judge(row, text).values()
            assert all(mark is None or 0 <= mark < 0.5 or mark == 1 for mark in marks)


def test_held_out_questions_run_on_their_databases(data: Path) -> None:
    """Every reference query scores as right on its own database, and has its own grammar."""
    rows: list[Example] = heldout_rows(TaskData(data), "spider", 40)
    with judging("execution", data, None, rows) as bench:
        marks = [bench.judge(row, row.turns[0].answer)["execution"] or 0 for row in rows]
        option, file = bench.form(rows[0]) or ("", Path())
        assert option == "sql_schema" and Path(file).exists()
        assert bench.judge(rows[0], "SELECT 1 WHERE 0")["exact"] == 0
    assert sum(marks) >= 0.95 * len(marks)
    assert not Path(file).exists()
