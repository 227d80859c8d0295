"""The held-out cut: disjoint, stable, and exactly what the committed files say."""

from pathlib import Path

import pytest

from expert.train import split
from expert.train.examples import Source
from expert.train.rows import read_rows
from expert.train.tasks import BUILDERS
from expert.train.tasks.spelling import one_spelling


@pytest.mark.parametrize("task", split.TASKS)
def test_committed_files_are_what_the_rule_yields(task: str, data: Path) -> None:
    """Nobody edited a held-out file by hand, and the rule still gives it."""
    assert split.heldout(task) == split.RULES[task](data)


@pytest.mark.parametrize("task", split.TASKS)
def test_held_out_files_are_small_and_sorted(task: str) -> None:
    """A file lists ids only: short sorted lines, each once."""
    text = (split.RECIPES / task / "heldout.txt").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines == sorted(set(lines))
    assert len(text) < 100_000
    assert all(0 < len(line) < 80 for line in lines)


def test_adding_groups_moves_none() -> None:
    """A group's side depends on the group alone."""
    few, many = [f"g{n}" for n in range(50)], [f"g{n}" for n in range(500)]
    assert split.chosen(few, 5) == split.chosen(many, 5) & set(few)
    assert 60 < len(split.chosen(many, 5)) < 140


def test_a_page_is_on_the_same_side_in_shell_and_translation(data: Path) -> None:
    """No command's page is trained on in one task and held out in the other."""
    shell = {
        split.page_group(r["page"]) for r in read_rows(data / "experts/shell/tldr_train.jsonl.zst")
    }
    translated = {
        split.page_group(row["page"])
        for file in (data / "experts/translation").glob("*.zst")
        for row in read_rows(file)
    }
    both = shell & translated
    assert len(both) > 100
    assert {g for g in both if split.is_heldout("shell", g)} == {
        g for g in both if split.is_heldout("translate", g)
    }


def test_rows_equal_to_validation_rows_are_held_out(data: Path) -> None:
    """No command of the validation file is trained on, in its own spelling or in another."""
    dev = {r["cmd"].strip() for r in read_rows(data / "experts/shell/nl2bash_dev.jsonl.zst")}
    trained = {
        turn.answer
        for variant in (0, 3)
        for example in BUILDERS["nl2bash"](Source(data, variant))
        if not split.is_heldout(example.task, example.group)
        for turn in example.turns
    }
    assert len(trained) > 8000
    assert not trained & (dev | {one_spelling(command) for command in dev})


def test_sql_databases_do_not_cross(data: Path) -> None:
    """Every Spider conversation, paraphrases included, is wholly on one side by its database."""
    sides: dict[str, set[str]] = {"train": set(), "held": set()}
    for example in BUILDERS["spider"](Source(data)):
        side = "held" if split.is_heldout("sql", example.group) else "train"
        sides[side].add(example.group)
    assert len(sides["held"]) >= 5
    assert not sides["held"] & sides["train"]


def test_unknown_tasks_hold_nothing_out() -> None:
    """Made-up exercises have no list."""
    assert not split.is_heldout("skills", "skills:1")
