"""Recipes with anything in them: an error that names it before the training, or a recipe that a
run can be made from.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expert.cli import eval as eval_verb
from expert.cli import training
from expert.errors import ExpertError, UsageError
from expert.train.adapter.dataset import identity_of
from expert.train.adapter.package import ABOUT, ROUTING, read_source
from expert.train.adapter.recipe import (
    ABOVE_ZERO,
    Adapter,
    Data,
    Distillation,
    Evaluation,
    Preferences,
    Recipe,
    Task,
    Training,
    fits,
    read_recipe,
)
from support.experts import RECIPE, write_expert

PLAIN = RECIPE.format(adapter='kind = "lora"\nrank = 32')


def read(folder: Path, text: str | bytes) -> Recipe:
    """Read a recipe of this text."""
    path = write_expert(folder)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recipe(path)


def why(folder: Path, text: str | bytes) -> str:
    """Return what is said against a recipe."""
    with pytest.raises(UsageError) as caught:
        read(folder, text)
    assert caught.value.what and caught.value.fix
    return caught.value.why


def given(key: str, value: str) -> str:
    """Return the plain recipe with a setting of [data], [training] or [evaluation] replaced."""
    line = re.compile(rf"(?m)^{key} = .*$")
    if line.search(PLAIN):
        return line.sub(f"{key} = {value}", PLAIN)
    return PLAIN.replace("[training]", f"[training]\n{key} = {value}")


NO_TABLES = [
    ("[tasks.snips]\nshare = 1.0", "[tasks]\nsnips = 1.0", "tasks.snips"),
    ("[tasks.snips]\nshare = 1.0", "[tasks]\nsnips = []", "tasks.snips"),
    ('name = "songs"', 'name = "songs"\npreferences = 3', "preferences"),
    ('name = "songs"', 'name = "songs"\npreferences = ["a.jsonl"]', "preferences"),
    ('name = "songs"', 'name = "songs"\ndistillation = true', "distillation"),
    ("[tasks.snips]\nshare = 1.0", "[[tasks]]\nshare = 1.0", "tasks"),
    ("[bases.big]\nwidth = 1024", "[bases]\nbig = 1024\n[x]", "bases.big"),
    ("[bases.big]", "[[bases]]", "bases"),
    ("training = { rate = 2e-4 }", "training = 3", "bases.big.training"),
    ("training = { rate = 2e-4 }", "adapter = [1]", "bases.big.adapter"),
]


@pytest.mark.parametrize(("old", "new", "named"), NO_TABLES)
def test_what_is_no_table_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    """A value, or a list of tables, where settings belong."""
    assert old in PLAIN
    said = why(tmp_path, PLAIN.replace(old, new, 1))
    assert f"[{named}]" in said and "table" in said


@pytest.mark.parametrize("name", ["data", "training", "evaluation", "adapter", "tasks", "bases"])
@pytest.mark.parametrize("value", ["3", '"x"', "[]", "true", "1979-05-27"])
def test_a_section_that_is_a_value_is_refused(tmp_path: Path, name: str, value: str) -> None:
    """Whichever section, whatever the value."""
    without = re.sub(rf"(?ms)^\[{name}[\w.]*\]\n.*?(?=^\[|\Z)", "", PLAIN)
    assert name in why(tmp_path, f"{name} = {value}\n{without}")


@pytest.mark.parametrize(
    "key",
    [
        "longest", "validation", "validation_tokens", "rank", "minutes", "rate", "tokens_a_batch",
        "batches_a_step", "patience", "log_steps", "max_tokens",
    ],
)  # fmt: skip
def test_zero_is_refused_where_nothing_works_with_it(tmp_path: Path, key: str) -> None:
    """It would divide by it, or train nothing, only after the data was read."""
    said = why(tmp_path, given(key, "0"))
    assert key in said and "above zero" in said


def test_every_such_setting_is_one() -> None:
    """The list names no setting that there is not."""
    sections = (Data, Task, Adapter, Training, Evaluation, Preferences, Distillation)
    known = {name for kind in sections for name in kind.__dataclass_fields__}
    assert known >= ABOVE_ZERO


@pytest.mark.parametrize("key", ["rate", "minutes", "warmup", "decay", "weight_decay"])
@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "-1.0", "true", '"1"', "[1]"])
def test_numbers_are_finite_and_not_below_zero(tmp_path: Path, key: str, value: str) -> None:
    """TOML has infinity and NaN, and so had the record of a run, which is JSON."""
    assert f"[training] {key} is" in why(tmp_path, given(key, value))


@pytest.mark.parametrize("key", ["warmup", "decay"])
def test_a_share_of_the_budget_is_at_most_all_of_it(tmp_path: Path, key: str) -> None:
    """A warm-up of three budgets never reaches the rate."""
    assert "shares" in why(tmp_path, given(key, "1.5"))
    assert getattr(read(tmp_path, given(key, "1")).training, key) == 1


@pytest.mark.parametrize("value", ["[0.0]", "[1.0, -2.0]", "[true]", '["1"]', "[nan]", "[[1.0]]"])
def test_factors_of_a_sweep_are_numbers_above_zero(tmp_path: Path, value: str) -> None:
    """Each multiplies the rate."""
    assert "sweep" in why(tmp_path, given("sweep", value))


def test_a_seed_that_torch_cannot_take_is_refused(tmp_path: Path) -> None:
    """TOML's whole numbers have no end here, the generator's have."""
    assert "seed" in why(tmp_path, given("seed", str(1 << 63)))
    import torch

    torch.manual_seed(read(tmp_path, given("seed", str((1 << 63) - 1))).training.seed)


OTHER_BASES = [
    ('adapter = { rank = "a" }', "rank"),
    ("adapter = { rank = 0 }", "above zero"),
    ('adapter = { kind = "zzz" }', "kind"),
    ('adapter = { kind = "ia3", activation = "answer" }', "ia3"),
    ("training = { rate = inf }", "rate"),
    ("training = { batches_a_step = 0 }", "above zero"),
    ("training = { decay = 2.0 }", "shares"),
    ("training = { sweep = [0.0] }", "sweep"),
    ("evaluation = { rows = 3 }", "evaluation"),
    ("widht = 1", "widht"),
]


@pytest.mark.parametrize(("line", "named"), OTHER_BASES)
def test_settings_of_another_base_are_checked_as_the_recipes_own(
    tmp_path: Path, line: str, named: str
) -> None:
    """Whoever trains for that base is told before the base is there."""
    assert named in why(tmp_path, PLAIN.replace("training = { rate = 2e-4 }", line))


@pytest.mark.parametrize("width", ["true", '"1024"', "1024.0", "-1", "[1024]"])
def test_a_width_is_a_whole_number(tmp_path: Path, width: str) -> None:
    """No base is as wide as anything else."""
    assert "width" in why(tmp_path, PLAIN.replace("width = 1024", f"width = {width}"))


def test_settings_of_another_base_replace_only_what_they_name(tmp_path: Path) -> None:
    """A list becomes a tuple there as well, so that both recipes can be told apart by value."""
    more = "training = { sweep = [0.5, 1], rate = 1e-4 }\nadapter = { rank = 64 }"
    recipe = read(tmp_path, PLAIN.replace("training = { rate = 2e-4 }", more))
    other = recipe.for_base(1024)
    assert other.training.sweep == (0.5, 1) and other.adapter.rank == 64
    assert other.adapter.alpha == recipe.adapter.alpha
    assert other.training.seed == recipe.training.seed
    assert identity_of(other) != identity_of(recipe) == identity_of(recipe.for_base(1))


def test_no_share_at_all_is_refused(tmp_path: Path) -> None:
    """One task may be left out by a share of zero, not every one."""
    none = PLAIN.replace("share = 1.0", "share = 0")
    assert "share" in why(tmp_path, none)
    one = read(tmp_path, none.replace("[adapter]", "[tasks.nlrx]\nshare = 1\n\n[adapter]"))
    assert [task.share for task in one.tasks.values()] == [0, 1]


@pytest.mark.parametrize("name", ["3", "true", "[]", "{ a = 1 }"])
def test_a_name_is_text(tmp_path: Path, name: str) -> None:
    """It goes into the record."""
    assert "name" in why(tmp_path, PLAIN.replace('name = "songs"', f"name = {name}"))


def test_a_mark_before_the_text_is_none_of_it(tmp_path: Path) -> None:
    """Editors on Windows write one; line ends of theirs are no fault either."""
    assert read(tmp_path, b"\xef\xbb\xbf" + PLAIN.encode()) == read(tmp_path, PLAIN)
    assert read(tmp_path, PLAIN.replace("\n", "\r\n")) == read(tmp_path, PLAIN)


HOSTILE: list[bytes] = [
    b"", b"\0", b"\xff\xfe", PLAIN.encode("utf-16"), b"a = " + b"[" * 9000 + b"]" * 9000,
    b"name = \x00", PLAIN.encode()[:100], PLAIN.encode() + b"\n[data]\n", b"[" * 100,
    b'name = "\\ud800"\n', b"\r" * 10, b"a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: bytes) -> None:
    """Binary, cut, nested without end: one error that says why."""
    assert why(tmp_path, content)


def test_a_folder_and_a_lone_link_are_told(tmp_path: Path) -> None:
    """Neither can be read."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(ExpertError, match="cannot be read"):
            read_recipe(path)


VALUES = (
    "0", "1", "-1", "3.5", "inf", "nan", "true", '"x"', '""', "[]", "[1]", '["a"]', "{}",
    "{ a = 1 }", "1979-05-27T07:32:00Z", str(1 << 80),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_any_value_anywhere_is_an_error_or_a_recipe(tmp_path: Path, seed: int) -> None:
    """Lines of a recipe, each with another value, taken out or doubled."""
    rng = random.Random(seed)
    for _ in range(20):
        lines = PLAIN.splitlines()
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(lines))
            key, equals, _ = lines[place].partition(" = ")
            change = rng.choice(("value", "value", "drop", "double"))
            if change == "value" and equals:
                lines[place] = f"{key} = {rng.choice(VALUES)}"
            elif change == "double":
                lines.insert(place, lines[place])
            else:
                lines[place] = ""
        try:
            recipe = read(tmp_path, "\n".join(lines))
        except UsageError:
            continue
        for one in (recipe, recipe.for_base(1024)):
            assert one.training.log_steps > 0 < one.data.validation
            assert one.adapter.rank > 0 and one.training.minutes > 0


@pytest.mark.parametrize(
    ("value", "declared", "fit"),
    [
        (1, "int", True), (1, "float", True), (1.0, "int", False), (True, "int", False),
        (False, "float", False), (-1, "int", False), ("a", "str", True), (1, "str", False),
        ([], "tuple[str, ...]", True), (["a", 1], "tuple[str, ...]", False),
        ([1, 2.5], "tuple[float, ...]", True), ([float("inf")], "tuple[float, ...]", False),
        ((1,), "tuple[float, ...]", False), (True, "bool", True), (1, "bool", False),
    ],
)  # fmt: skip
def test_values_fit_what_is_declared(value: Any, declared: str, fit: bool) -> None:
    """True is no number, and a number no truth."""
    assert fits(value, declared) is fit


ABOUTS: list[tuple[str, bytes, str]] = [
    (ABOUT, b'routing = "song"\n', "routing"),
    (ABOUT, b"grammar = 3\n", "grammar"),
    (ABOUT, b"[grammar]\nfile = 3\n", "grammar"),
    (ABOUT, b"\xff\n", "manifest.toml is not UTF-8"),
    (ABOUT, b"a = " + b"[" * 9000, "not TOML"),
    (ROUTING, b"song\n" * 60 + b"\xff\n", "routing.txt is not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "said"), ABOUTS)
def test_the_file_that_is_wrong_is_the_one_that_is_named(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """Not the manifest for the prompts, nor a crash for a value in place of a table."""
    write_expert(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_source(tmp_path)


def test_prompts_are_lines_and_nothing_less(tmp_path: Path) -> None:
    """A mark at the beginning is no part of the first; other separators than line ends part
    nothing.
    """
    write_expert(tmp_path)
    text = "one\u2028two\x0bthree\r\n" + "".join(f"song {n}\r\n" for n in range(49))
    (tmp_path / ROUTING).write_bytes(text.encode("utf-8-sig"))
    routing = read_source(tmp_path).routing
    assert len(routing) == 50 and routing[0] == "one\u2028two\x0bthree"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "x", ""])
def test_a_time_on_the_command_line_is_above_zero_and_ends(text: str) -> None:
    """A run of NaN minutes is never over, and one of less than none has nothing learnt."""
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        training.minutes(text)
    assert training.minutes("0.5") == 0.5


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (eval_verb.build_parser, ["train.toml", "--shots", "-1"]),
        (eval_verb.build_parser, ["train.toml", "--rows", "0"]),
    ],
)
def test_counts_below_what_means_something_are_usage(
    build: Callable[[], argparse.ArgumentParser],
    line: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are refused by the parser, which names the option."""
    with pytest.raises(SystemExit) as caught:
        build().parse_args(line)
    assert caught.value.code == 2 and line[1] in capsys.readouterr().err


def test_rows_of_a_training_may_be_none_but_not_fewer() -> None:
    """0 measures nothing; -1 would have measured all rows but one."""
    assert training.count("0") == 0
    with pytest.raises(argparse.ArgumentTypeError):
        training.count("-1")


@pytest.mark.parametrize(
    ("settings", "said"),
    [(Evaluation(("snips",), rows=0), "rows"), (Evaluation(()), "tasks")],
)
def test_an_evaluation_of_nothing_is_told(settings: Evaluation, said: str) -> None:
    """Rather than an empty table, or a crash over no rows."""
    with pytest.raises(UsageError, match=f"no {said}"):
        eval_verb.rows(argparse.Namespace(rows=None), settings)
    asked = argparse.Namespace(rows=7)
    assert eval_verb.rows(asked, Evaluation(("snips",), rows=0)) == 7
