"""Answers by the embedded base in every form there is, with any settings."""

from pathlib import Path

import pytest

from benchmarks.constrained import LIMIT, SCHEMAS, answer_many, forms
from expert.assistant import Assistant
from expert.config import Config
from expert.errors import ContractError
from expert.forms import byte_table, read_schema


@pytest.mark.slow
def test_answers_in_every_form_are_valid_or_a_clear_error(pocket: Path) -> None:
    """None is invalid; nearly all are whole within their limit of tokens.

    This is a sample: `benchmarks/constrained.py` answers 2,000 times and asks for 95 %.
    """
    with Assistant(pocket, Config(threads=1, history=False)) as assistant:
        tally = answer_many(assistant, len(forms()), seed=7)
    assert tally.count == len(forms()) >= 40
    assert tally.valid >= 0.85 * tally.count, tally
    for message in tally.errors:
        assert message.endswith("."), message


def test_the_judge_can_tell_an_invalid_answer() -> None:
    """The forms of the sample refuse what breaks them."""
    table = byte_table()
    refused = 0
    for schema in SCHEMAS:
        for text in ("{}", "[1, 1]", '"x"', "maybe", '{"a": '):
            try:
                read_schema(schema).check(text, table)
            except ContractError:
                refused += 1
    assert refused > 4 * len(SCHEMAS)
    assert LIMIT >= 256
