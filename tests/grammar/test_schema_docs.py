"""The examples of docs/schemas.md do what the page says."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from expert.grammar.schema import compile_schema, verify
from expert.grammar.schema.reader import read_schema
from expert.grammar.tokens import TokenTable

PAGE = (Path(__file__).parents[2] / "docs" / "schemas.md").read_text()
COPIES, REFUSALS, DECODER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COPIED, REFUSED = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), [(COPIES, COPIED), (REFUSALS, REFUSED)])
def test_examples_print_what_the_page_says(
    code: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is copied and what is not; and refusals that name the keyword and where it is."""
    exec(compile(code, "schemas.md", "exec"), {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "contains": {"const": "x"}, "maxItems": 4},
    ],
    ids=["mask", "uniqueItems", "contains"],
)
def test_the_decoder_of_the_page_works(table: TokenTable, schema: dict[str, Any]) -> None:
    """With tokens drawn evenly it ends in valid answers, going back where it must."""
    names: dict[str, Any] = {}
    exec(compile(DECODER, "schemas.md", "exec"), names)
    order = random.Random(3)
    for _ in range(5):
        constraint = compile_schema(schema, table).start(table, limit=120)
        text = names["decode"](
            constraint, table, lambda: order.sample(range(table.size), table.size)
        )
        verify(read_schema(schema), text)
