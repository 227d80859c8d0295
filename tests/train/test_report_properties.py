"""Scores of random answers counted again apart from the product, and what people read of them."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.train.adapter.task_data import TaskData
from expert.train.corpus import held_out
from expert.train.evaluation import report
from expert.train.evaluation.conditions import (
    BASE,
    EXPERT,
    GRAMMAR,
    OTHER,
    PAIR,
    Asking,
    Score,
    Settings,
    conditions,
    evaluate,
    heldout_rows,
    shots_for,
)
from expert.train.evaluation.judges import CONVENTIONAL, MEASURES
from expert.train.evaluation.report import FIGURES, load_scores, save_scores
from expert.train.examples import Example, single
from support.songs import write_songs

GOOD, OTHERS = Path("good.gguf"), Path("others.gguf")
RECORD = {
    "base": {"name": "tiny"}, "minutes": 2.4, "steps": 1200, "tokens": 2_500_000,
    "validation_loss": 0.12345,
}  # fmt: skip


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> TaskData:
    """Return data with a few requests for songs."""
    return TaskData(write_songs(tmp_path_factory.mktemp("songs")))


def measured(data: TaskData, seed: int, rows: int = 20) -> tuple[list[Score], dict[Any, list[str]]]:
    """Return scores of answers that are right by chance, and these answers."""
    rng = random.Random(seed)
    right = {e.question.prompt: e.question.answer for e in heldout_rows(data, "snips", 999)}
    chance = {(): 0.3, (GOOD,): 0.7, (OTHERS,): 0.3, (GOOD, OTHERS): 0.5}
    said: dict[Any, list[str]] = defaultdict(list)

    def answer(asking: Asking) -> str:
        whole = right[asking.messages[-1].content]
        text = whole if rng.random() < chance[asking.adapters] else '{"intent":"Play"}'
        said[asking.adapters].append(text)
        return f" {text}\n"

    settings = Settings(data, rows, 0, 50)
    return evaluate(("snips",), conditions(GOOD, OTHERS, 0), settings, answer), said


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_what_counting_gives(songs: TaskData, seed: int) -> None:
    """Means, rows better and worse, and the pair's change, by hand from the answers."""
    scores, said = measured(songs, seed)
    rows = heldout_rows(songs, "snips", 20)
    marks = {
        who: np.array([text == row.question.answer for text, row in zip(texts, rows, strict=True)])
        for who, texts in said.items()
    }
    names = {BASE: (), EXPERT: (GOOD,), OTHER: (OTHERS,), PAIR: (GOOD, OTHERS)}
    assert [score.condition for score in scores] == list(names)
    base = marks[()]
    for score in scores:
        own = marks[names[score.condition]]
        assert score.values[score.main] == pytest.approx(own.mean(), abs=1e-4)
        assert score.rows == len(rows) and score.main == "whole sentence"
        if score.condition == BASE:
            assert score.gain is None and score.won == score.lost == 0
            continue
        assert score.won == (own & ~base).sum() and score.lost == (base & ~own).sum()
        assert score.gain is not None
        difference = own.mean() - base.mean()
        assert score.gain[0] - 1e-3 <= difference <= score.gain[1] + 1e-3
        assert (score.change is not None) is (score.condition == PAIR)
        low, high = score.intervals[score.main]
        assert 0 <= low <= own.mean() <= high <= 1
        shown = [wrong["prompt"] for wrong in score.wrong]
        assert len(shown) == min(8, (~own).sum()) or len(shown) >= 4
        regressions = [wrong for wrong in score.wrong if "base" in wrong]
        assert len(regressions) == min(4, score.lost) and score.wrong[: len(regressions)] == (
            regressions
        )


def test_rows_are_held_out_the_same_each_time_and_no_shots(songs: TaskData) -> None:
    """Fewer rows are the first of more; what is shown is never what is asked."""
    rows = heldout_rows(songs, "snips", 12)
    assert rows == heldout_rows(songs, "snips", 40)[:12] == heldout_rows(songs, "snips", 12)
    assert all(map(held_out, rows))
    shown = shots_for(songs, "snips", 6)
    assert len(shown) == 6 and not any(map(held_out, shown))
    assert not {e.question.prompt for e in shown} & {e.question.prompt for e in rows}
    assert shots_for(songs, "snips", 3) == shown[:3] and shots_for(songs, "snips", 0) == ()


@pytest.mark.parametrize("tasks", [("snips",), ("snips", "snips"), ("snips",) * 3])
def test_progress_only_grows_and_ends_at_its_total(songs: TaskData, tasks: tuple[str, ...]) -> None:
    """One call for every answer, however many tasks there are."""
    told: list[tuple[int, int]] = []
    evaluate(
        tasks, conditions(GOOD, None, 1), Settings(songs, 5, 1, 9), lambda asking: "",
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    count = len(tasks) * 3 * 5
    assert told == [(n, count) for n in range(1, count + 1)]


def drawn_scores(rng: random.Random, tasks: list[str]) -> list[Score]:
    """Return random scores of some tasks under every condition."""
    made = []
    for task in tasks:
        for name in (BASE, EXPERT, GRAMMAR, OTHER):
            value, low = rng.random(), rng.uniform(-1, 1)
            bounds = {"exact": (value * 0.9, min(1.0, value * 1.1)), "valid": (0.0, 1.0)}
            gain = None if name == BASE else (low, low + 0.2)
            values = {"exact": value, "valid": rng.random()}
            wrong = [{"prompt": "a | b\n\\1", "expected": "\\g<0>", "answer": "é\u2028"}]
            made.append(Score(task, name, rng.randint(1, 500), values, bounds, gain, wrong, 3, 4))
    return made


def cells(table: str) -> list[list[str]]:
    """Return the rows of a Markdown table."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


@pytest.mark.parametrize("seed", range(5))
def test_a_table_has_a_row_for_each_score(seed: int) -> None:
    """With as many cells as its heading, and the figures of the score."""
    rng = random.Random(seed)
    scores = drawn_scores(rng, ["snips", "mine"])
    head, line, *rows = cells(report.table(scores))
    assert len(rows) == len(scores) and {len(row) for row in (head, line, *rows)} == {7}
    for row, score in zip(rows, scores, strict=True):
        assert row[0] == report.DATASETS.get(score.task, score.task)
        assert row[2] == score.condition and row[3] == str(score.rows)
        assert row[4].startswith(f"{score.values['exact'] * 100:.1f}% (")
        assert bool(row[5]) is bool(row[6]) is (score.gain is not None)
    more = report.details(scores)
    assert more.count("valid") == 2 and len(re.findall(r"^\| (?:base|expert)", more, re.M)) == 8


def test_words_follow_the_interval() -> None:
    """Beyond the interval is beyond zero, on either side."""
    even = {"exact": (0.0, 1.0)}

    def said(condition: str, low: float, high: float, change: Any = None) -> str:
        score = Score("mine", condition, 9, {"exact": 0.5}, even, (low, high), [], change=change)
        return report.judged(score)

    assert "beats the base" in said(EXPERT, 0.01, 0.2)
    assert "does not beat" in said(EXPERT, 0.0, 0.2) and "does not beat" in said(EXPERT, -0.1, 0.2)
    assert "worse than the base" in said(EXPERT, -0.2, -0.1)
    assert said(OTHER, 0.01, 0.2) and not said(OTHER, 0.0, 0.2)
    assert " loses " in said(PAIR, 0, 0, (-0.3, -0.1)) and " not lose " in said(PAIR, 0, 0, (0, 1))
    scores = [Score("a", EXPERT, 9, {"exact": 0.5}, even, (0.0, 0.1), [])]
    assert not report.beats_base(scores) and not report.beats_base([])
    better = Score("a", EXPERT, 9, {"exact": 0.5}, even, (0.001, 0.1), [])
    assert report.beats_base([better, *scores]) and not report.beats_base([*scores, better])


CARDS = [
    "# a\n\n<!-- figures -->\n<!-- end of figures -->\n\nwords \\1\n",
    "<!-- figures -->old\nmore<!-- end of figures --> \\g<0> é",
    "<!-- figures --><!-- end of figures --> and <!-- figures --> x <!-- end of figures -->",
]


@pytest.mark.parametrize("card", CARDS)
def test_a_card_keeps_its_words(card: str) -> None:
    """Filling it twice is filling it once; what stands outside the marks stays to the letter."""
    scores = drawn_scores(random.Random(1), ["snips"])
    once = report.fill_card(card, scores, RECORD)
    assert report.fill_card(once, scores, RECORD) == once != card
    outside = re.compile(f"{report.START}.*?{report.END}", re.S)
    assert outside.sub("", once) == outside.sub("", card)
    assert "1,200 steps, 2.50 million tokens" in once and "loss 0.123" in once
    assert "Trained on" not in report.fill_card(card, scores, None)
    plain = card.replace("figures", "nothing")
    assert report.fill_card(plain, scores, RECORD) == plain


@pytest.mark.parametrize("seed", range(4))
def test_kept_scores_come_back(tmp_path: Path, seed: int) -> None:
    """As they were, with what they belong to; nothing is left beside them."""
    scores = drawn_scores(random.Random(seed), ["snips", "mine", "nlrx"])
    facts = {"base": "tiny", "record": {"tokens": 3}}
    save_scores(tmp_path, scores, facts)
    assert load_scores(tmp_path / FIGURES) == (scores, facts)
    assert [path.name for path in tmp_path.iterdir()] == [FIGURES]
    made = report.figures(scores, "tiny")
    assert [figure["dataset"] for figure in made] == [
        report.DATASETS.get(task, task) for task in ("snips", "mine", "nlrx")
    ]
    for figure, score in zip(made, scores[1::4], strict=True):
        assert figure["expert"] == score.values["exact"] and "few_shot" not in figure
        assert figure["interval"] == list(score.intervals["exact"])


SPOILT = [
    b"", b"\xff", b"{", b"[]", b"3", b'"scores"', b"null", b"true", b"{}", b"[" * 50_000,
    b'{"scores": 3}', b'{"scores": null}', b'{"scores": [3]}', b'{"scores": [[]]}',
    b'{"scores": [{}]}', b'{"scores": [{"intervals": []}]}', b'{"scores": [{"intervals": null}]}',
    b'{"scores": [{"intervals": {"a": 3}}]}', b'{"scores": [{"intervals": {}, "gain": 3}]}',
    b'{"scores": [{"intervals": {}, "more": 3}]}', b'{"scores": {"a": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("content", SPOILT, ids=range(len(SPOILT)))
def test_figures_that_are_anything_else_are_refused(tmp_path: Path, content: bytes) -> None:
    """One error, whatever another program left in their place."""
    path = tmp_path / FIGURES
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="cannot be read"):
        load_scores(path)


def test_figures_that_are_not_there_are_told(tmp_path: Path) -> None:
    """So are those of a folder."""
    for path in (tmp_path / FIGURES, tmp_path):
        with pytest.raises(NotFoundError):
            load_scores(path)


def test_a_page_lists_every_expert_by_name(tmp_path: Path) -> None:
    """The document around the marks stays; without figures it says so."""
    document = tmp_path / "experts.md"
    document.write_text(f"# Head\n{report.START}\nold\n{report.END}\ntail\n", encoding="utf-8")
    report.write_page(document, tmp_path / "experts")
    assert "No expert has been measured" in document.read_text(encoding="utf-8")
    scores = drawn_scores(random.Random(1), ["snips"])
    for name in ("b", "a", "c"):
        (tmp_path / "experts" / name).mkdir(parents=True)
        save_scores(tmp_path / "experts" / name, scores, {})
    report.write_page(document, tmp_path / "experts")
    text = document.read_text(encoding="utf-8")
    assert re.findall(r"^### (\w)$", text, re.M) == ["a", "b", "c"] and "old" not in text
    assert text.startswith("# Head\n") and text.endswith("\ntail\n")
    assert not list(tmp_path.glob("*.part"))


TYPED = [
    ("fix: the crash", "fix: a crash", True),
    ("fix(core): the crash", "fix: a crash", True),
    ("fix!: the crash", "fix: a crash", True),
    ("fix(core)!: the crash", "fix: a crash", True),
    ("feat: the crash", "fix: a crash", False),
    ("fixed the crash", "fix: a crash", False),
    ("fix the crash", "fix: a crash", False),
    ("", "fix: a crash", False),
]


@pytest.mark.parametrize(("answer", "reference", "same"), TYPED)
def test_the_type_of_a_subject_is_what_stands_first(
    answer: str, reference: str, same: bool
) -> None:
    """With a scope or not, breaking or not: `!` is no part of a type."""
    example = single("commit", "r", "diff", reference)
    marks = MEASURES["commit"].judge(example, answer)
    assert marks["type"] == float(same)
    assert marks["conventional"] == float(CONVENTIONAL.fullmatch(answer) is not None)


@pytest.mark.parametrize(
    ("answer", "compiles"),
    [("[[a]]", 1), ("[a~~b]", 1), ("[a&&b]", 1), ("(", 0), ("a{9999999999}", 0), ("(" * 5000, 0)],
)
def test_a_pattern_is_judged_without_a_warning(answer: str, compiles: int) -> None:
    """What Python warns of is a model's answer, and no concern of whoever measures."""
    marks = MEASURES["regex"].judge(single("regex", "g", "q", "a+"), answer)
    assert marks == {"equivalent": 0, "exact": 0, "compiles": compiles}


def test_a_task_without_held_out_rows_cannot_be_measured(songs: TaskData) -> None:
    """It is told, not measured on what was learnt."""

    class Learnt(TaskData):
        def examples(self, task: str, variants: Any = (0,)) -> Any:
            return (e for e in super().examples(task, variants) if not held_out(e))

    with pytest.raises(UsageError, match="no held-out row"):
        heldout_rows(Learnt(songs.folder), "snips", 3)


def test_a_score_is_json() -> None:
    """As `--json` prints it, without infinities."""
    for score in drawn_scores(random.Random(2), ["mine"]):
        assert json.loads(json.dumps(asdict(score), allow_nan=False))["task"] == "mine"
    assert Example("t", "g", single("t", "g", "a", "b").turns).question.answer == "b"
