"""The error tree: one exit code a kind, drawn as it is."""

import re

from expert import errors
from expert.errors import ExpertError


def kinds() -> list[type[ExpertError]]:
    """Return every error class of the tree."""
    found = [item for item in vars(errors).values() if isinstance(item, type)]
    return [item for item in found if issubclass(item, ExpertError)]


def test_the_docstring_draws_the_tree() -> None:
    """Every class is in the drawing with its exit code, and nothing else is."""
    drawn = dict(re.findall(r"(\w+Error) \((\d+)\)", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(kind.code) for kind in kinds()}


def test_codes_are_those_of_the_design() -> None:
    """Scripts rely on them."""
    assert {kind.code for kind in kinds()} == {1, 2, 3, 4, 5, 6, 7, 8, 9, 124}


def test_an_error_says_what_why_and_how() -> None:
    """As text and as a record."""
    error = ExpertError("It broke.", "It was old.", "Buy another.")
    assert str(error) == "It broke.\nWhy: It was old.\nFix: Buy another."
    assert error.as_dict() == {
        "code": 1, "what": "It broke.", "why": "It was old.", "fix": "Buy another."
    }  # fmt: skip
