"""Rows of conversations: each form that is read, each that is refused, and how far is read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert.bench.divergence import Passage, _divergence, _normalised, read_passages
from expert.errors import NotFoundError, UsageError, VerificationError
from expert.types import Message


def rows(tmp_path: Path, *values: Any) -> Path:
    """Write rows as JSON Lines."""
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(value) for value in values), encoding="utf-8")
    return path


USER = Message("user", "größe 🙂\n")


@pytest.mark.parametrize(
    ("row", "passage"),
    [
        ("größe 🙂\n", Passage((USER,))),
        ({"prompt": USER.content}, Passage((USER,))),
        ({"prompt": USER.content, "answer": None}, Passage((USER,))),
        ({"prompt": USER.content, "answer": ""}, Passage((USER,), "")),
        ({"prompt": USER.content, "answer": "a", "more": 1}, Passage((USER,), "a")),
        ({"messages": [{"role": "user", "content": USER.content}]}, Passage((USER,))),
        (
            {"messages": [{"role": "user", "content": USER.content, "name": "x"}], "prompt": "no"},
            Passage((USER,)),
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": USER.content},
                    {"role": "assistant", "content": "a"},
                ]
            },
            Passage((Message("system", "s"), USER), "a"),
        ),
    ],
)
def test_every_form_of_a_row(row: Any, passage: Passage, tmp_path: Path) -> None:
    """A text, a prompt with or without its answer, or whole turns."""
    assert read_passages(rows(tmp_path, row), 5) == [passage]


@pytest.mark.parametrize(
    "row",
    [
        None,
        5,
        True,
        [],
        ["text"],
        {},
        {"prompt": None},
        {"prompt": ["a"]},
        {"prompt": "a", "answer": 5},
        {"answer": "a"},
        {"messages": []},
        {"messages": None},
        {"messages": "text"},
        {"messages": [5]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"content": "a"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ],
)
def test_rows_that_are_no_conversation(row: Any, tmp_path: Path) -> None:
    """The error names the row and the file, says what is wrong, and shows a right one."""
    path = rows(tmp_path, "good", row)
    with pytest.raises(VerificationError) as caught:
        read_passages(path, 5)
    assert caught.value.what == f"Row 2 of {path} is no conversation."
    assert caught.value.why and '{"prompt": "…", "answer": "…"}' in caught.value.fix
    assert read_passages(path, 1) == [Passage((Message("user", "good"),))], "not read so far"


@pytest.mark.parametrize("text", ["{", '{"prompt": "a"', "nothing", "[" * 100_000, "'a'"])
def test_lines_that_are_no_json(text: str, tmp_path: Path) -> None:
    """Broken, cut and bottomless ones are the file's fault."""
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(VerificationError, match="Row 1 of"):
        read_passages(path, 5)


def test_rows_are_counted_as_people_count_lines(tmp_path: Path) -> None:
    """Empty lines are skipped, and still count for the number in an error."""
    path = tmp_path / "rows.jsonl"
    path.write_text('\n"a"\n   \n\n"b"\n{}\n')
    assert [one.messages[0].content for one in read_passages(path, 2)] == ["a", "b"]
    with pytest.raises(VerificationError, match="Row 6 of"):
        read_passages(path, 3)


@pytest.mark.parametrize(("wanted", "found"), [(1, 1), (3, 3), (9, 4)])
def test_only_so_many_are_read(wanted: int, found: int, tmp_path: Path) -> None:
    """The first of the file, in order."""
    passages = read_passages(rows(tmp_path, *"abcd"), wanted)
    assert [one.messages[0].content for one in passages] == list("abcd"[:found])


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    """None, a folder, an empty one, one of spaces, and one of another encoding."""
    empty = tmp_path / "empty.jsonl"
    for text in ("", "\n\n  \n"):
        empty.write_text(text)
        with pytest.raises(UsageError, match="holds no row"):
            read_passages(empty, 5)
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(NotFoundError) as caught:
            read_passages(path, 5)
        assert str(path) in caught.value.what and caught.value.why and caught.value.fix
    empty.write_bytes("größe".encode("latin-1"))
    with pytest.raises(VerificationError, match="not UTF-8"):
        read_passages(empty, 5)


@pytest.mark.parametrize("seed", range(3))
def test_divergences_of_known_distributions(seed: int) -> None:
    """The sum of p log(p / q), by hand: none for equal ones, above it for all others."""
    draw = np.random.default_rng(seed)
    one, two = draw.dirichlet(np.ones(50), 4), draw.dirichlet(np.ones(50), 4)
    by_hand = sum(p * np.log(p / q) for p, q in zip(one.flat, two.flat, strict=True))
    assert _divergence(np.log(one), np.log(two)) == pytest.approx(by_hand)
    assert by_hand > 0 and _divergence(np.log(one), np.log(one)) == 0


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_logits_become_probabilities(shift: float) -> None:
    """They add up to one, whatever is added to all of them, and keep their differences."""
    logits = np.random.default_rng(0).normal(size=300).astype(np.float32)
    found = _normalised(logits + np.float32(shift))
    assert found.dtype == np.float64
    assert np.exp(found).sum() == pytest.approx(1)
    assert found - found[0] == pytest.approx(logits.astype(np.float64) - logits[0], abs=2e-3)
