"""Requests with other values: in the text and in the slots alike, and nothing else changed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from expert.train.corpus import held_out
from expert.train.examples import Source
from expert.train.tasks.calls import snips
from expert.train.tasks.swapping import Slots, Values, swapped
from train.conftest import write_rows

TRAINING: list[tuple[str, Slots]] = [
    ("play song two by blur", {"track": "song two", "artist": "blur"}),
    ("add yesterday to my list of rock", {"entity_name": "yesterday", "playlist": "list of rock"}),
    ("book for ann and bob in rome", {"party_size_description": "ann and bob", "city": "rome"}),
    ("rate it 5 of 6", {"rating_value": "5", "best_rating": "6"}),
    ("add jazz and rock to both", {"music_item": ["jazz", "rock"]}),
]
VALUES = Values.of(TRAINING)


def draws(text: str, slots: Slots, count: int = 60) -> list[tuple[str, Slots]]:
    """Return a request with its values replaced in many ways."""
    return [swapped(text, slots, VALUES, random.Random(seed)) for seed in range(count)]


def each(slots: Slots) -> list[str]:
    """Return all values."""
    return [one for held in slots.values() for one in (held if isinstance(held, list) else [held])]


@pytest.mark.parametrize(("text", "slots"), TRAINING)
def test_every_value_is_in_the_text(text: str, slots: Slots) -> None:
    """And what is around the values stays; so a template filled twice is the same template."""
    made = draws(text, slots)
    assert len({one for one, _ in made}) > 3 or text.startswith("rate")
    for new_text, new in made:
        assert list(new) == list(slots)
        rest, before = new_text, text
        for value, old in zip(each(new), each(slots), strict=True):
            assert f" {value} " in f" {new_text} "
            rest, before = rest.replace(value, "?", 1), before.replace(old, "?", 1)
        if all(len(value) > 3 for value in each(new)):
            assert rest.split("?")[0] == before.split("?")[0]


def test_numbers_come_from_the_same_slot() -> None:
    """Only names are made of any words; others hold what that slot held somewhere."""
    for _, new in draws("rate it 5 of 6", {"rating_value": "5", "best_rating": "6"}):
        assert new == {"rating_value": "5", "best_rating": "6"}
    names = [new["city"] for _, new in draws("go to rome", {"city": "rome"})]
    assert any(name not in ("rome",) for name in names)
    assert all(set(str(name).split()) <= set(VALUES.words) for name in names)


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("rome in rome", {"city": "rome"}),  # which of them?
        ("romeo", {"city": "rome"}),  # no whole word
        ("new york city", {"city": "york", "artist": "new york"}),  # one in the other
        ("play it", {"track": "another"}),  # not there
        ("play x by x", {"track": "x", "artist": "x"}),  # both the same
    ],
)
def test_what_cannot_be_told_apart_stays(text: str, slots: Slots) -> None:
    """Rather an unchanged request than one whose slots do not tell what it says."""
    assert all(found == (text, slots) for found in draws(text, slots))


def test_the_same_seed_gives_the_same_request() -> None:
    """Runs can be repeated."""
    text, slots = TRAINING[0]
    assert draws(text, slots, 9) == draws(text, slots, 9)


def rows(pairs: list[tuple[str, Slots]]) -> list[dict[str, object]]:
    """Return rows as the public files have them."""
    return [{"text": text, "json": {"intent": "Do", "slots": slots}} for text, slots in pairs]


def test_held_out_requests_are_never_swapped(tmp_path: Path) -> None:
    """They are asked as they are, their values are given to no other, and variant 0 is as given."""
    secret: tuple[str, Slots] = ("play hidden by nobody", {"track": "hidden", "artist": "nobody"})
    write_rows(tmp_path / "experts/json/snips_train.jsonl.zst", rows([*TRAINING, secret]))
    write_rows(tmp_path / "experts/json/snips_valid.jsonl.zst", rows([secret]))
    plain = list(snips(Source(tmp_path)))
    given = [json.loads(one.question.answer)["slots"] for one in plain]
    assert given == [slots for _, slots in [*TRAINING, secret, secret]]
    for variant in range(1, 30):
        found = list(snips(Source(tmp_path, variant)))
        assert [held_out(one) for one in found] == [False] * 5 + [True] * 2
        for one in found[:5]:
            assert "hidden" not in one.question.answer and "nobody" not in one.question.answer
        for one in found[5:]:
            assert json.loads(one.question.answer)["slots"] == secret[1]
            assert secret[0] in one.question.prompt
