"""What an expert is trained on is what it sees in use: the same tokens, and a form that holds."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from expert.assistant import Assistant
from expert.cli.sh import ASKING
from expert.config import Config
from expert.errors import ContractError
from expert.forms import AnswerForm, byte_table, choose_form
from expert.train.adapter.recipe import read_recipe
from expert.train.corpus import encode_conversation
from expert.train.evaluation.conditions import messages
from expert.train.examples import Example, Source
from expert.train.start import read_tokenizer
from expert.train.tasks import BUILDERS
from expert.train.tasks.shell import TEMPLATES
from expert.types import Message, Request
from support.program import expert

EXPERTS = Path(__file__).parents[2] / "experts"
RECIPES = sorted(EXPERTS.glob("*/manifest.toml"))
TASKS = sorted({t for p in RECIPES for t in read_recipe(p.parent / "train.toml").evaluation.tasks})


@pytest.fixture(scope="module")
def rows(data: Path) -> dict[str, list[Example]]:
    """Return a few rows of every task that an expert is measured on."""
    return {task: list(islice(BUILDERS[task](Source(data)), 0, 60, 20)) for task in TASKS}


def test_use_shows_the_tokens_of_training(rows: dict[str, list[Example]], pocket: Path) -> None:
    """The assistant's own prompt for a question is, token by token, what stood before the answer
    in training.
    """
    tokenizer = read_tokenizer(pocket)
    with Assistant(pocket, Config()) as assistant:
        for example in [example for task in TASKS for example in rows[task]]:
            first = Example(example.task, example.group, example.turns[:1])
            request = Request(messages(first, ()), experts=(), max_tokens=8, record=False)
            _, rendered = assistant.preview(request)
            trained, _ = encode_conversation(tokenizer, first)
            assert trained[: len(rendered.prompt)] == list(rendered.prompt), example.group
            answer = tokenizer.decode(trained[len(rendered.prompt) :])
            assert answer.strip() == first.turns[0].answer.strip()


@pytest.mark.parametrize("task", TASKS)
def test_the_form_of_a_question_allows_its_answer(
    task: str, rows: dict[str, list[Example]]
) -> None:
    """Functions and tables hold the right answer, by the code that reads them in use."""
    table = byte_table()
    for example in rows[task]:
        if example.form is None:
            continue
        form = form_of(example)
        form.check(example.turns[0].answer, table)
        with pytest.raises(ContractError):
            form.check("SELECT nothing FROM nowhere", table)
        with pytest.raises(ContractError):
            form.check('{"name":"Nothing","arguments":{}}', table)


def form_of(example: Example) -> AnswerForm:
    """Return the form of a question as a request asks for it."""
    assert example.form is not None
    option, text = example.form
    held: dict[str, Any] = {option: text}
    form = choose_form(Request([Message("user", "")], **held))
    assert form is not None
    return form


def test_expert_sh_asks_as_in_training() -> None:
    """`expert sh` and a bare question are two of the forms that commands are trained on."""
    assert ASKING in TEMPLATES and "{request}" in TEMPLATES


def test_a_piped_diff_is_asked_for_as_in_training(data: Path, pocket: Path, tmp_path: Path) -> None:
    """`git diff -U1 | expert ask "Commit message:"` gives the prompt of a training row."""
    example = next(iter(BUILDERS["commit"](Source(data))))
    diff = example.turns[0].prompt.removesuffix("\n\nCommit message:")
    assert diff.startswith("diff --git a/")
    shown = expert(
        "ask",
        "-m",
        str(pocket),
        "--dry-run",
        "--json",
        "Commit message:",
        stdin=f"{diff}\n".encode(),
    )
    assert shown.code == 0, shown.message
    prompt = json.loads(shown.text)["prompt"]
    assert example.turns[0].prompt in prompt
