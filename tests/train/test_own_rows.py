"""A person's own rows in a recipe: read as `expert dataset` reads them, refused where they cannot
be learnt from or measured on, and kept apart.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from expert.cli import main
from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError, WrongBaseError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.dataset import Dataset, load_dataset
from expert.train.adapter.distill import questions
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.train import Options, train_expert
from expert.train.corpus import encode_conversation, held_out
from expert.train.evaluation.conditions import (
    BASE,
    BASE_GRAMMAR,
    FEW_SHOT,
    Asking,
    Settings,
    conditions,
    evaluate,
    heldout_rows,
    shots_for,
)  # fmt: skip
from expert.train.evaluation.judges import MEASURES, judging
from expert.train.examples import Example, Turn, single
from support.own_rows import heads, own_recipe, write_rows


@pytest.fixture(scope="module")
def base(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Return the tiny model as a base."""
    return open_base(tiny_path, tmp_path_factory.mktemp("base"))


def data_of(recipe: Path, elsewhere: Path | None = None) -> TaskData:
    """Return the data of a recipe, its files beside it or in a folder of data."""
    return TaskData(elsewhere or recipe.parent, read_recipe(recipe), recipe.parent)


def examples_of(folder: Path, rows: list[Any], heldout: list[Any], **settings: Any) -> TaskData:
    """Return the data of a recipe with these rows."""
    recipe = own_recipe(folder, **settings)
    write_rows(folder / "rows.jsonl", rows)
    write_rows(folder / "test.jsonl", heldout)
    return data_of(recipe)


def told(error: ExpertError) -> str:
    """Return everything an error says."""
    return str(error)


def test_rows_become_examples(tmp_path: Path) -> None:
    """Groups, system texts and earlier turns are kept; the last turn is the one that is judged."""
    row = {
        "prompt": "and now?", "answer": "pwd", "system": "Be brief.", "group": "places",
        "history": [["where was I?", "cd -"]],
    }  # fmt: skip
    data = examples_of(tmp_path, [row, *heads(1, 3)], heads(5, 6))
    first, second, third, last = data.examples("mine")
    turns = (Turn("where was I?", "cd -"), Turn("and now?", "pwd"))
    assert first == Example("mine", "places", turns, "Be brief.", judged=1)
    assert first.question == turns[1] and first.form is None
    assert second.turns == (Turn("show the first 1 lines", "head -n 1"),)
    assert second.group != third.group and second.group.startswith("asked:")
    assert [held_out(example) for example in (first, second, third, last)] == [False] * 3 + [True]


FORMS: list[tuple[str, str]] = [
    ("rows.jsonl", '{"prompt": "list all", "completion": "ls -a"}\n'),
    ("rows.jsonl", '{"instruction": "list", "input": "all", "output": "ls -a"}\n'),
    (
        "rows.jsonl",
        '{"messages": [{"role": "user", "content": "list all"},'
        ' {"role": "assistant", "content": "ls -a"}]}\n',
    ),
    ("rows.csv", "prompt,answer\nlist all,ls -a\n"),
    ("rows.json", '[{"prompt": "list all", "response": "ls -a"}]'),
]


@pytest.mark.parametrize(("name", "text"), FORMS, ids=range(len(FORMS)))
def test_every_form_of_rows_is_read(tmp_path: Path, name: str, text: str) -> None:
    """What `expert dataset` reads needs no conversion first; packed files neither."""
    recipe = own_recipe(tmp_path, file=f"{name}.gz", heldout=None, metric=None)
    recipe.write_text(recipe.read_text("utf-8").replace('tasks = ["mine"]', "tasks = []"), "utf-8")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    (example,) = data_of(recipe).examples("mine")
    assert example.question.answer == "ls -a" and example.question.prompt.startswith("list")


def test_they_are_rendered_as_other_tasks_are(base: Base, tmp_path: Path) -> None:
    """The same question of a task of the public data has the same tokens and the same mask."""
    data = examples_of(tmp_path, heads(1, 2), heads(5, 6))
    own = next(data.examples("mine"))
    public = single("shell", "nl2bash:train", "show the first 1 lines", "head -n 1")
    assert encode_conversation(base.tokenizer, own) == encode_conversation(base.tokenizer, public)


BAD_ROWS: list[tuple[str, Any, str]] = [
    ("exact", "{", "not JSON"),
    ("exact", {"prompt": "a", "answer": " "}, "answer is empty"),
    ("exact", {"prompt": "a"}, "answer is empty"),
    ("exact", [1], "not an object"),
    ("exact", {"prompt": "a", "answer": "b\0"}, "NUL"),
    ("exact", {"prompt": "a", "answer": "b", "rejected": "c"}, "two answers"),
    ("json", {"prompt": "a", "answer": "{b}"}, "answer is not JSON"),
    ("json", {"prompt": "a", "answer": "1", "schema": {"type": "text"}}, "schema cannot be used"),
    ("json", {"prompt": "a", "answer": "1", "schema": {"type": "string"}}, "breaks `type`"),
    ("call", {"prompt": "a", "answer": '{"name": "f"}'}, "no 'arguments'"),
    ("intent", {"prompt": "a", "answer": "[]"}, "no 'intent' and no 'slots'"),
    ("sql", {"prompt": "a", "answer": "SELECT 1", "schema": "no tables"}, "schema cannot be used"),
    ("regex", {"prompt": "a", "answer": "("}, "does not compile"),
]
GOOD: dict[str, str] = {
    "json": "[1]", "call": '{"name": "f", "arguments": {}}', "regex": "a+",
    "intent": '{"intent": "i", "slots": {}}',
}  # fmt: skip


@pytest.mark.parametrize(("metric", "bad", "why"), BAD_ROWS, ids=range(len(BAD_ROWS)))
@pytest.mark.parametrize("file", ["rows.jsonl", "test.jsonl"])
def test_a_bad_row_is_named_by_its_line(
    tmp_path: Path, file: str, metric: str, bad: Any, why: str
) -> None:
    """In either file: whatever the metric cannot compare with, and what is no row at all."""
    parts = {
        name: [{"prompt": f"{name} {n}", "answer": GOOD.get(metric, "x")} for n in range(3)]
        for name in ("rows.jsonl", "test.jsonl")
    }
    parts[file][2:] = [bad, *parts[file][2:]]
    data = examples_of(tmp_path, parts["rows.jsonl"], parts["test.jsonl"], metric=metric)
    with pytest.raises(VerificationError) as caught:
        list(data.examples("mine"))
    said = told(caught.value)
    assert said.startswith(f"Line 3 of {tmp_path / file} is no row") and why in said


def test_plain_text_is_no_question(tmp_path: Path) -> None:
    """A file of texts has no answers to learn."""
    data = examples_of(tmp_path, [{"text": "Once upon a time."}], heads(1, 2))
    with pytest.raises(VerificationError, match="Line 1 of .*rows.jsonl"):
        list(data.examples("mine"))


@pytest.mark.parametrize("file", ["rows.jsonl", "test.jsonl"])
def test_a_file_without_rows_is_told(tmp_path: Path, file: str) -> None:
    """Empty, or blank lines alone."""
    data = examples_of(tmp_path, heads(1, 3), heads(5, 6))
    (tmp_path / file).write_text("\n \n", encoding="utf-8")
    with pytest.raises(NotFoundError, match=f"{file} has no rows"):
        list(data.examples("mine"))


@pytest.mark.parametrize(
    "again", ["show the first 2 lines", "Show  the FIRST 2 lines\n"], ids=["equal", "spaced"]
)
def test_a_question_in_both_files_is_refused(tmp_path: Path, again: str) -> None:
    """Whatever its answer, case and spaces; both lines are named."""
    row = {"prompt": again, "answer": "sed 2q"}
    data = examples_of(tmp_path, heads(1, 4), [*heads(5, 7), row])
    with pytest.raises(VerificationError) as caught:
        list(data.examples("mine"))
    said = told(caught.value)
    assert said.startswith(f"Line 3 of {tmp_path / 'test.jsonl'} is trained on as well.")
    assert f"Line 2 of {tmp_path / 'rows.jsonl'}" in said and "expert dataset split" in said


def test_another_history_is_another_question(tmp_path: Path) -> None:
    """Equal last words alone are no leak."""
    row = {"prompt": "show the first 2 lines", "answer": "x", "history": [["use sed", "ok"]]}
    data = examples_of(tmp_path, heads(1, 4), [row])
    assert len(list(data.examples("mine"))) == 4


def test_files_are_found_beside_the_recipe_or_in_the_data(tmp_path: Path) -> None:
    """The recipe's folder comes first; a file in neither is told with both paths."""
    recipe, elsewhere = own_recipe(tmp_path / "expert"), tmp_path / "data"
    write_rows(elsewhere / "rows.jsonl", heads(1, 5))
    write_rows(elsewhere / "test.jsonl", heads(5, 6))
    assert len(list(data_of(recipe, elsewhere).examples("mine"))) == 5
    write_rows(recipe.parent / "rows.jsonl", heads(1, 2))
    assert len(list(data_of(recipe, elsewhere).examples("mine"))) == 2
    (elsewhere / "test.jsonl").unlink()
    with pytest.raises(NotFoundError) as caught:
        data_of(recipe, elsewhere)
    for folder in (elsewhere, recipe.parent):
        assert str(folder / "test.jsonl") in told(caught.value)
    with pytest.raises(NotFoundError, match=r"no test\.jsonl"):
        data_of(recipe)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"metric": "magic"}, "no metric 'magic'; there are exact, f1, chrf, json"),
    ({"metric": None}, "heldout and metric go together"),
    ({"heldout": None}, "heldout and metric go together"),
    ({"heldout": None, "metric": None}, "needs heldout rows"),
    ({"file": None}, "there is no task 'mine'"),
    ({"variants": 2}, "have no variants"),
    ({"file": 3}, "file is 3"),
]


@pytest.mark.parametrize(("settings", "why"), MISTAKES)
def test_a_mistake_in_the_recipe_is_named(
    tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    """Before any file is opened."""
    with pytest.raises(UsageError) as caught:
        read_recipe(own_recipe(tmp_path, **settings))
    assert why in told(caught.value)


@pytest.mark.parametrize(
    ("name", "why"), [("snips", "take another name"), ('"../mine"', "letters, digits")]
)
def test_a_name_that_cannot_be_used_is_told(tmp_path: Path, name: str, why: str) -> None:
    """A task of the public data, or one that is no name."""
    path = own_recipe(tmp_path)
    path.write_text(path.read_text("utf-8").replace("[tasks.mine]", f"[tasks.{name}]"), "utf-8")
    text = path.read_text("utf-8").replace('tasks = ["mine"]', f"tasks = [{json.dumps('x')}]")
    path.write_text(text.replace('["x"]', "[]"), "utf-8")
    with pytest.raises(UsageError, match=why):
        _raise_whole(path)


def _raise_whole(path: Path) -> None:
    try:
        read_recipe(path)
    except UsageError as error:
        raise UsageError(told(error)) from error


def test_held_out_settings_need_a_file(tmp_path: Path) -> None:
    """The tasks of the public data have their own cut and metric."""
    path = own_recipe(tmp_path, file=None, heldout="x.jsonl")
    path.write_text(path.read_text("utf-8").replace("mine", "snips"), "utf-8")
    with pytest.raises(UsageError, match="for a file"):
        _raise_whole(path)


def loaded(recipe: Path, base: Base, run: Path) -> Dataset:
    """Return the encoded rows of a recipe."""
    return load_dataset(read_recipe(recipe), base, data_of(recipe), run)


def test_held_out_rows_are_never_learnt(base: Base, tmp_path: Path) -> None:
    """Nor validated on, asked of a teacher, or shown as examples; the others all are."""
    data = examples_of(tmp_path, heads(1, 30), heads(30, 40))
    recipe = tmp_path / "train.toml"
    dataset = loaded(recipe, base, tmp_path / "run")
    parts = [dataset.training["mine"], dataset.validation["mine"]]
    texts = [base.tokenizer.decode(p.get(i)[0].tolist()) for p in parts for i in range(len(p))]
    assert len(texts) == 29 and all(map(len, parts))
    assert not any(f"first {n} " in text for text in texts for n in range(30, 40))
    asked = {example.question.prompt for example in questions(read_recipe(recipe), data)}
    shown = {example.question.prompt for example in shots_for(data, "mine", 50)}
    assert asked == shown == {row["prompt"] for row in heads(1, 30)}
    measured = {example.question.prompt for example in heldout_rows(data, "mine", 99)}
    assert measured == {row["prompt"] for row in heads(30, 40)}


def test_changed_rows_are_encoded_anew(base: Base, tmp_path: Path) -> None:
    """A run's folder keeps what was encoded, but not of rows that are others now."""
    examples_of(tmp_path, heads(1, 30), heads(30, 40))
    recipe, run = tmp_path / "train.toml", tmp_path / "run"
    first = loaded(recipe, base, run)
    assert loaded(recipe, base, run).digest == first.digest
    assert len(list((run / "sequences").iterdir())) == 1
    changed = [{**row, "answer": row["answer"].upper()} for row in heads(1, 30)]
    write_rows(tmp_path / "rows.jsonl", changed)
    assert loaded(recipe, base, run).digest != first.digest


def test_a_run_is_not_resumed_on_other_rows(tiny_path: Path, tmp_path: Path) -> None:
    """The checkpoint says what it was made from."""
    examples_of(tmp_path / "mine", heads(1, 60), heads(60, 70))
    recipe = tmp_path / "mine" / "train.toml"
    options = Options(recipe, recipe.parent, tmp_path / "run", tiny_path, tokens=900, device="cpu")
    done = train_expert(options)
    assert done is not None and done.record["data"]["conversations"] == {"mine": 59}
    write_rows(tmp_path / "mine" / "rows.jsonl", heads(1, 50))
    with pytest.raises(WrongBaseError, match="another run"):
        train_expert(replace(options, resume=True))


def test_a_row_with_a_schema_is_measured_under_it(tmp_path: Path) -> None:
    """Conditions with a grammar are there only where questions have one; history is asked too."""
    schema = {"type": "object", "required": ["n"]}
    rows = [{"prompt": f"p{n}", "answer": json.dumps({"n": n})} for n in range(9)]
    last = {**rows[8], "schema": schema, "history": [["hello", "hi"]]}
    for heldout, names in (
        (rows[8:], [BASE, FEW_SHOT]),
        ([last], [BASE, FEW_SHOT, BASE_GRAMMAR]),
    ):
        data = examples_of(tmp_path, rows[:8], heldout, metric="json")
        asked: list[Asking] = []
        scores = evaluate(
            ("mine",),
            conditions(None, None, 2),
            Settings(data, 5, 2, 9),
            partial(_keep, asked=asked),
        )
        assert [score.condition for score in scores] == names
        assert all(score.values["whole value"] == 1 for score in scores)
    assert [message.content for message in asked[0].messages] == ["hello", "hi", "p8"]
    assert len(asked[1].messages) == 7 and asked[1].form is None
    option, text = asked[2].form or ("", "")
    assert option == "schema" and json.loads(str(text)) == schema


def _keep(asking: Asking, asked: list[Asking]) -> str:
    asked.append(asking)
    return '{"n": 8}'


ANSWERS = [
    ("exact", "ls -a", " ls -a\n", "ls"),
    ("f1", "the red fox", "red fox", "blue"),
    ("chrf", "the red fox", "the red fox", "blue"),
    ("json", '{"a": [1, 2]}', '{ "a": [1,2] }', '{"a": [2, 1]}'),
    ("intent", '{"intent": "a", "slots": {"b": "c"}}', '{"slots":{"b":"c"},"intent":"a"}', "a"),
    ("call", '{"name": "f", "arguments": {}}', '{"arguments":{},"name":"f"}', '{"name":"f"}'),
    ("sql", "SELECT a FROM t WHERE b = 1 AND c = 2", "select a from t where c = 2 and b = 1", "x"),
    ("regex", "[0-9]", r"\d", "[a-z]"),
    ("shell", "ls -la", "ls -al", "ls"),
    ("cypher", "MATCH (a:A) RETURN a", "match (b:A) return b", "MATCH (a:B) RETURN a"),
    ("commit", "fix: a bug", "fix: a bug", "nothing"),
]


@pytest.mark.parametrize(("metric", "reference", "right", "wrong"), ANSWERS)
def test_every_metric_can_be_named(
    tmp_path: Path, metric: str, reference: str, right: str, wrong: str
) -> None:
    """Its main measure takes what means the same, and little or nothing of the rest."""
    rows = [{"prompt": "p", "answer": reference}]
    data = examples_of(tmp_path, [{**rows[0], "prompt": "q"}], rows, metric=metric)
    (example,) = heldout_rows(data, "mine", 5)
    assert data.metric("mine") == metric
    with judging(data.metric("mine"), tmp_path, None, [example]) as bench:
        for answer, least, most in ((right, 0.99, 1.0), (wrong, 0.0, 0.2), (reference, 0.99, 1.0)):
            assert least <= (next(iter(bench.judge(example, answer).values())) or 0) <= most
        assert bench.whole([example] * 12, [reference] * 12) is not None


def test_all_metrics_are_tried() -> None:
    """A new one needs a line above."""
    assert {metric for metric, *_ in ANSWERS} == set(MEASURES)


def test_what_is_no_json_is_not_valid(tmp_path: Path) -> None:
    """Of rows without a schema, an answer is valid if it is JSON at all."""
    example = single("mine", "g", "p", '{"name": "f", "arguments": {}}')
    for metric in ("json", "call"):
        with judging(metric, tmp_path, None, [example]) as bench:
            assert bench.judge(example, "{")["valid"] == 0
            assert bench.judge(example, "[1]")["valid"] == 1


FAULTS: list[tuple[str, dict[str, Any], Any, int, str]] = [
    ("missing", {"heldout": "none.jsonl"}, None, 3, "There is no none.jsonl"),
    ("bad row", {}, "{", 5, "Line 20 of"),
    ("empty", {"file": "empty.jsonl"}, None, 3, "has no rows"),
    ("metric", {"metric": "magic"}, None, 2, "there is no metric 'magic'"),
    ("leak", {}, heads(60, 61)[0], 5, "is trained on as well"),
]


@pytest.mark.parametrize(
    ("settings", "row", "code", "said"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)
def test_faults_end_the_command_before_the_first_step(
    tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any], row: Any, code: int, said: str,
) -> None:  # fmt: skip
    """Each with its exit code and its reason, and without a data folder; nothing is trained."""
    recipe = own_recipe(tmp_path / "mine", **settings)
    training: list[Any] = [*heads(1, 20), *([row] if row else [])]
    write_rows(tmp_path / "mine" / "rows.jsonl", training)
    write_rows(tmp_path / "mine" / "test.jsonl", heads(60, 70))
    write_rows(tmp_path / "mine" / "empty.jsonl", [])
    run = tmp_path / "run"
    command = ["train", recipe, "--base", tiny_path, "--device", "cpu", "--out", run]
    assert main([*map(str, command), "--tokens", "500"]) == code
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown
    assert not (run / "log.jsonl").exists() and not (run / "adapter.gguf").exists()
