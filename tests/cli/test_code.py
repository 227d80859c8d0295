"""Code blocks in an answer, by CommonMark's rules."""

import pytest

from expert.cli.code import extract_code
from expert.cli.sh import command_in


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no code", None),
        ("", None),
        ("a\n```sql\nSELECT 1;\n```\nb\n```\nother\n```", "SELECT 1;\n"),
        ("```\nx", "x"),
        ("```\n```", ""),
        ("````md\n```\nx\n```\n````\n", "```\nx\n```\n"),
        ("~~~\n```\n~~~\n", "```\n"),
        ("```\na\n~~~\nb\n```", "a\n~~~\nb\n"),
        ("  ```py\n  x\n    y\n  ```", "x\n  y\n"),
        ("    ```\nnot a fence", None),
        ("``` a`b\nnot a fence", None),
        ("`x` and ``y``", None),
        ("```\n\tkept exactly \r\n```", "\tkept exactly \r\n"),
        ("```\n    ```\n```\n", "    ```\n"),
    ],
)
def test_the_first_block(text: str, code: str | None) -> None:
    """To the byte; a block cut short counts."""
    assert extract_code(text) == code


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ("ls -la", "ls -la"),
        ("$ ls\n", "ls"),
        ("`ls -la`", "ls -la"),
        ("Use this:\n```bash\nls\npwd\n```\nIt lists.", "ls\npwd"),
        ("ls\n\nThis lists files.", "ls"),
        ("  \n", ""),
    ],
)
def test_the_command_of_an_answer(answer: str, command: str) -> None:
    """The code block, or the first paragraph without its decoration."""
    assert command_in(answer) == command
