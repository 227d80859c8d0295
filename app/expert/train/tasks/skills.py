"""Small built-in skills, made up on the spot, so that a short plain instruction is followed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn
from expert.train.words import NEWS, mixed, vocabulary

EXERCISES = 16_000
Words = tuple[str, ...]
Exercise = Callable[[random.Random, Words], tuple[str, str]]
ABOUT = "I am pocket, the small model built into Expert. I run offline, on your own computer."
SAID = (
    (
        ("Hello", "Hi", "Hey", "Good morning", "Hi there", "hello there"),
        "Hello! How can I help you?",
    ),
    (("Who are you?", "What are you?", "What is your name?", "Tell me about yourself."), ABOUT),
    (("Who made you?", "Are you ChatGPT?", "Which model is this?"), ABOUT),
    (("Do you need the internet?", "Are you online?"), "No. I run offline, on your own computer."),
    (
        ("What can you do?", "Help", "How can you help me?", "What are you good at?"),
        "I can write SQL, shell commands, regular expressions and JSON from a short request. "
        "I am small: install a larger model for anything else.",
    ),
    (("Thanks", "Thank you!", "Great, thanks", "ok thanks"), "You're welcome!"),
    (("Bye", "Goodbye", "See you later"), "Goodbye!"),
    (("How are you?", "How is it going?"), "I am well, thank you. How can I help you?"),
)


def conversation(rng: random.Random, words: Words) -> tuple[str, str]:
    """Answer a greeting or a question about the model."""
    questions, answer = rng.choice(SAID)
    question = rng.choice(questions)
    return rng.choice((question, question.lower(), question.rstrip("?!."))), answer


def arithmetic(rng: random.Random, words: Words) -> tuple[str, str]:
    """Add, subtract or multiply small numbers."""
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    sign = rng.choice("++-*")
    if sign == "*":
        a, b = a % 11, b % 11
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return rng.choice(("What is {}?", "{}", "{} =", "Calculate {}")).format(f"{a} {sign} {b}"), str(
        result
    )


def letter_case(rng: random.Random, words: Words) -> tuple[str, str]:
    """Change the case of a text."""
    text = " ".join(rng.choices(words, k=rng.randint(1, 5)))
    name, change = rng.choice((("upper", str.upper), ("title", str.title), ("lower", str.lower)))
    given = text.upper() if name == "lower" else text
    return f"{rng.choice(('Convert to', 'Write in', 'to'))} {name} case: {given}", change(text)


def words_of_a_list(rng: random.Random, words: Words) -> tuple[str, str]:
    """Sort, count or reverse words, or pick one of them."""
    chosen = rng.sample(words[:3000], rng.randint(2, 6))
    text = rng.choice((" ", ", ")).join(chosen)
    tasks = (
        ("Sort alphabetically", ", ".join(sorted(chosen))),
        ("Count the words", str(len(chosen))),
        ("Reverse the order", ", ".join(reversed(chosen))),
        ("First word", chosen[0]),
        ("Last word", chosen[-1]),
        ("As a JSON array", json.dumps(chosen)),
        ("As a bulleted list", "\n".join(f"- {word}" for word in chosen)),
        ("As a numbered list", "\n".join(f"{i}. {word}" for i, word in enumerate(chosen, 1))),
        ("Longest word", max(chosen, key=len)),
    )
    instruction, answer = rng.choice(tasks)
    return f"{instruction}: {text}", answer


def numbers(rng: random.Random, words: Words) -> tuple[str, str]:
    """Find the largest or smallest of a few numbers, or sort them."""
    chosen = rng.sample(range(100), rng.randint(2, 5))
    text = ", ".join(map(str, chosen))
    tasks = (
        ("Largest number", str(max(chosen))),
        ("Smallest number", str(min(chosen))),
        ("Sort the numbers", ", ".join(map(str, sorted(chosen)))),
    )
    instruction, answer = rng.choice(tasks)
    return f"{instruction}: {text}", answer


def record(rng: random.Random, words: Words) -> tuple[str, str]:
    """Turn `key: value` lines into JSON, the usual first extraction task."""
    keys = rng.sample(words[:3000], rng.randint(1, 4))
    pairs = {key: " ".join(mixed(rng, words, rng.randint(1, 2))) for key in keys}
    lines = "\n".join(f"{key}: {value}" for key, value in pairs.items())
    return f"Convert to JSON:\n{lines}", json.dumps(pairs, separators=(",", ":"))


def contained(rng: random.Random, words: Words) -> tuple[str, str]:
    """Say whether a word is in a list."""
    chosen = rng.sample(words, 5)
    inside = rng.random() < 0.5
    word = rng.choice(chosen[1:]) if inside else chosen[0]
    return f"Is {word} in this list? {', '.join(chosen[1:])}", "Yes" if inside else "No"


KINDS: tuple[Exercise, ...] = (
    conversation,
    arithmetic,
    letter_case,
    words_of_a_list,
    numbers,
    record,
    contained,
    words_of_a_list,
)


def skills(source: Source) -> Iterator[Example]:
    """Yield exercises of every kind in turn."""
    words = vocabulary(source.text(NEWS))
    for index in range(EXERCISES):
        prompt, answer = KINDS[index % len(KINDS)](drawn("skill", index, source.variant), words)
        yield single("skills", f"skills:{index % 200}", prompt, answer)
