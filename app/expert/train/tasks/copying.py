"""The copying curriculum: tiny exercises that teach a new model to repeat parts of its prompt.

Without them a model this small invents the names it should copy (measured; see the model card).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn
from expert.train.words import NEWS, mixed, vocabulary

EXERCISES = 24_000
Words = tuple[str, ...]
Exercise = Callable[[random.Random, Words], tuple[str, str]]


def repeat(rng: random.Random, words: Words) -> tuple[str, str]:
    """Repeat a few words."""
    text = " ".join(mixed(rng, words, rng.randint(2, 10)))
    return rng.choice(("Repeat: {}", "Copy this: {}", "Say: {}", "echo {}")).format(text), text


def repeat_much(rng: random.Random, words: Words) -> tuple[str, str]:
    """Repeat many words: every token of the answer is a lesson in finding and copying the next."""
    text = " ".join(mixed(rng, words, rng.randint(12, 40)))
    return f"Repeat: {text}", text


def after(rng: random.Random, words: Words) -> tuple[str, str]:
    """Copy the words that follow a marker."""
    chosen = mixed(rng, words, rng.randint(5, 16))
    at = rng.randrange(len(chosen) - 2)
    count = min(rng.randint(1, 4), len(chosen) - at - 1)
    noun = "word" if count == 1 else f"{count} words"
    prompt = f"{' '.join(chosen)}\n\nCopy the {noun} after {chosen[at]}"
    return prompt, " ".join(chosen[at + 1 : at + 1 + count])


def lookup(rng: random.Random, words: Words) -> tuple[str, str]:
    """Give the value of a key."""
    pairs = dict(zip(mixed(rng, words, 7), mixed(rng, words, 7), strict=True))
    keys = list(pairs)[: rng.randint(2, 7)]
    joined = rng.choice(("; ", ", ", "\n")).join(f"{key}={pairs[key]}" for key in keys)
    wanted = rng.choice(keys)
    return f"{joined}\n\n{wanted}?", pairs[wanted]


def quoted(rng: random.Random, words: Words) -> tuple[str, str]:
    """Copy what stands in quotation marks."""
    chosen = mixed(rng, words, rng.randint(5, 14))
    start = rng.randrange(len(chosen))
    end = min(len(chosen), start + rng.randint(1, 4))
    inside = " ".join(chosen[start:end])
    text = " ".join([*chosen[:start], f'"{inside}"', *chosen[end:]])
    return f"{text}\n\nWhat is in quotes?", inside


def replace(rng: random.Random, words: Words) -> tuple[str, str]:
    """Copy a text with one word replaced."""
    chosen = mixed(rng, words, rng.randint(3, 9))
    old, new = rng.choice(chosen), mixed(rng, words, 1)[0]
    answer = " ".join(new if word == old else word for word in chosen)
    return f"Replace {old} with {new}: {' '.join(chosen)}", answer


def field(rng: random.Random, words: Words) -> tuple[str, str]:
    """Say which table has a column, the first step of writing SQL."""
    tables = {name: mixed(rng, words, rng.randint(2, 5)) for name in mixed(rng, words, 3)}
    listed = "\n".join(f"{name}({', '.join(columns)})" for name, columns in tables.items())
    name = rng.choice(list(tables))
    column = rng.choice(tables[name])
    return f"{listed}\n\nSELECT {column}", f"SELECT {column} FROM {name}"


KINDS: tuple[Exercise, ...] = (
    repeat,
    repeat_much,
    after,
    lookup,
    repeat_much,
    quoted,
    replace,
    field,
)


def copying(source: Source) -> Iterator[Example]:
    """Yield exercises of every kind in turn."""
    words = vocabulary(source.text(NEWS))
    for index in range(EXERCISES):
        prompt, answer = KINDS[index % len(KINDS)](drawn("copy", index, source.variant), words)
        yield single("copying", f"copying:{index % 200}", prompt, answer)
