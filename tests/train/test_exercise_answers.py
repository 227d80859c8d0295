"""Answers of exercises worked out again from their questions, apart from what made them."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from expert.train.rows import drawn
from expert.train.tasks.copying import KINDS as COPYING
from expert.train.tasks.copying import after, field, lookup, repeat, repeat_much, replace
from expert.train.tasks.copying import quoted as in_quotes
from expert.train.tasks.skills import KINDS as SKILLS
from expert.train.tasks.skills import (
    arithmetic,
    contained,
    letter_case,
    numbers,
    record,
    words_of_a_list,
)
from expert.train.words import invented, mixed, vocabulary

WORDS = (
    "apple", "river", "stone", "green", "little", "over", "under", "house", "cloud", "paper",
    "window", "seven", "orange", "quiet", "bird", "garden", "letter", "music", "winter", "bridge",
)  # fmt: skip
Exercise = Callable[[random.Random, tuple[str, ...]], tuple[str, str]]


def many(exercise: Exercise, count: int = 400) -> list[tuple[str, str]]:
    """Return prompts and answers of an exercise."""
    return [exercise(drawn("test", exercise.__name__, n), WORDS) for n in range(count)]


def test_sums_are_right() -> None:
    """Worked out from the question's own numbers."""
    for prompt, answer in many(arithmetic):
        a, sign, b = re.findall(r"\d+|[-+*]", prompt)
        right = {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]
        assert int(answer) == right, prompt


def test_cases_are_changed_and_nothing_else() -> None:
    """The same letters, in the case that is asked for."""
    for prompt, answer in many(letter_case):
        head, _, given = prompt.partition(": ")
        assert answer.casefold() == given.casefold()
        if "upper" in head:
            assert answer.isupper()
        elif "lower" in head:
            assert answer.islower() and given.isupper()
        else:
            assert all(word[0].isupper() and word[1:].islower() for word in answer.split())


LISTS: dict[str, Callable[[list[str]], str]] = {
    "Sort alphabetically": lambda words: ", ".join(sorted(words)),
    "Count the words": lambda words: str(len(words)),
    "Reverse the order": lambda words: ", ".join(words[::-1]),
    "First word": lambda words: words[0],
    "Last word": lambda words: words[-1],
    "As a JSON array": json.dumps,
    "As a bulleted list": lambda words: "".join(f"- {word}\n" for word in words).rstrip(),
    "As a numbered list": lambda words: "\n".join(
        f"{place + 1}. {word}" for place, word in enumerate(words)
    ),
    "Longest word": lambda words: sorted(words, key=lambda word: -len(word))[0],
}


def test_lists_are_what_the_question_makes_of_them() -> None:
    """Every instruction is met, with either separator."""
    met = set()
    for prompt, answer in many(words_of_a_list):
        instruction, _, text = prompt.partition(": ")
        met.add((instruction, ", " in text))
        assert answer == LISTS[instruction](re.findall(r"\w+", text)), prompt
    assert len(met) == 2 * len(LISTS)


def test_numbers_lines_and_members_are_found() -> None:
    """The largest, the smallest, the order; the keys and values; what is in a list."""
    for prompt, answer in many(numbers):
        found = [int(n) for n in re.findall(r"\d+", prompt)]
        wanted = {"La": max(found), "Sm": min(found)}.get(prompt[:2])
        assert answer == (str(wanted) if wanted is not None else ", ".join(map(str, sorted(found))))
    for prompt, answer in many(record):
        lines = prompt.splitlines()[1:]
        assert json.loads(answer) == dict(line.split(": ", 1) for line in lines)
        assert answer == json.dumps(json.loads(answer), separators=(",", ":"))
    said = []
    for prompt, answer in many(contained):
        word, _, listed = prompt.removeprefix("Is ").partition(" in this list? ")
        assert (word in listed.split(", ")) is (answer == "Yes")
        said.append(answer)
    assert 0.3 < said.count("Yes") / len(said) < 0.7


def test_copies_stand_where_the_question_says() -> None:
    """After a marker, in quotes, behind a key, or in place of another word."""
    for exercise in (repeat, repeat_much):
        for prompt, answer in many(exercise):
            assert prompt.endswith(answer) and answer
    for prompt, answer in many(in_quotes):
        assert re.findall('"([^"]*)"', prompt) == [answer]
    for prompt, answer in many(lookup):
        head, _, key = prompt.rpartition("\n\n")
        pairs = dict(part.split("=", 1) for part in re.split("; |, |\n", head))
        assert pairs[key.removesuffix("?")] == answer
    for prompt, answer in many(after):
        text, _, asked = prompt.partition("\n\nCopy the ")
        count, marker = asked.split(" ")[0], asked.rsplit(" ", 1)[1]
        assert f" {marker} {answer} " in f" {text} "
        assert len(answer.split()) == (1 if count == "word" else int(count))
    for prompt, answer in many(replace):
        head, _, text = prompt.removeprefix("Replace ").partition(": ")
        old, new = head.split(" with ")
        assert answer.split() == [new if word == old else word for word in text.split()]


def test_a_column_is_found_in_its_table() -> None:
    """The query that is the answer runs on the tables of the question."""
    for prompt, answer in many(field, 60):
        tables, _, asked = prompt.partition("\n\n")
        with closing(sqlite3.connect(":memory:")) as database:
            for line in tables.splitlines():
                name, columns = line.rstrip(")").split("(")
                unique = dict.fromkeys(f'"{c.lower()}"' for c in columns.split(", "))
                try:
                    database.execute(f'CREATE TABLE "{name.lower()}" ({", ".join(unique)})')
                except sqlite3.OperationalError as error:
                    assert "already exists" in str(error)
            _, column, _, table = answer.split(" ")
            assert asked == f"SELECT {column}"
            database.execute(f'SELECT "{column}" FROM "{table.lower()}"')


@pytest.mark.parametrize("exercise", [*COPYING, *SKILLS])
def test_exercises_are_drawn_again_the_same(exercise: Exercise) -> None:
    """From the same key; another variant is another exercise."""
    assert many(exercise, 20) == many(exercise, 20)
    other = [exercise(drawn("other", n), WORDS) for n in range(20)]
    assert other != many(exercise, 20)


def test_a_vocabulary_is_what_is_common(tmp_path: Path) -> None:
    """Words of letters alone that come more than twice, the commonest first."""
    text = "apple " * 9 + "river " * 5 + "stone " * 2 + "Big x1 ab " * 20 + "longerthannine " * 8
    path = tmp_path / "news.jsonl.zst"
    path.write_bytes(zstandard.compress(json.dumps({"text": text}).encode() + b"\n"))
    assert vocabulary(path) == ("apple", "river")
    rng = random.Random(1)
    made = [invented(rng) for _ in range(500)]
    assert all(re.fullmatch(r"[a-z]{3,8}|\d{1,6}|[A-Z]{3}\d{1,3}|[a-z]+_[a-z]+", m) for m in made)
    assert len(mixed(rng, WORDS, 30)) == 30
