"""Descriptions to Python regular expressions, from NL-RX, KB13 and StructuredRegex."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn, read_rows
from expert.train.split import file_group, is_heldout
from expert.train.tasks.characters import exchanged
from expert.train.tasks.notation import NotationError, read_nlrx, read_term
from expert.train.tasks.pattern import searched
from expert.train.words import NEWS, invented, vocabulary

TEMPLATES = (
    "Regex: {text}",
    "Write a regular expression for: {text}",
    "Give me a regex that matches {text}",
    "regular expression for {text}",
)
NLRX = ("nlrx_turk_train", "nlrx_turk_val", "nlrx_synth_train_decontaminated", "kb13_train")
PLACEHOLDER = re.compile(r"<M\d>")


def filled(text: str, pattern: str, words: tuple[str, ...], rng: random.Random) -> tuple[str, str]:
    """Put the same random words for the placeholders in a description (quoted) and its pattern."""
    for name in sorted(set(PLACEHOLDER.findall(text + pattern))):
        word = invented(rng) if rng.random() < 0.3 else rng.choice(words)
        text = text.replace(name, f'"{word}"')
        pattern = pattern.replace(name, re.escape(word))
    return text, pattern


def tidy(text: str) -> str:
    """Undo the spaces that tokenised descriptions have before punctuation."""
    return re.sub(r" ([.,;:'])", r"\1", text.strip()).removesuffix(".").strip()


def compiles(pattern: str) -> bool:
    """Tell whether Python accepts a pattern."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def nlrx(source: Source) -> Iterator[Example]:
    """Yield descriptions of lines; placeholders become random words, a lesson in copying.

    In all variants but the first those that are learnt from speak of other kinds of characters.
    """
    words = vocabulary(source.text(NEWS))
    validation = source.task("regex/nlrx_turk_val")
    for name in NLRX:
        for row in read_rows(source.task(f"regex/{name}")):
            rng = drawn(row["nl"], row["regex"], source.variant)
            description, expression = row["nl"], row["regex"]
            group = file_group("nlrx", description, validation, "nl")
            if source.variant and not is_heldout("regex", group):
                description, expression = exchanged(description, expression, rng)
                group = file_group("nlrx", description, validation, "nl")
            try:
                pattern = searched(read_nlrx(expression))
            except NotationError:
                continue
            if set(PLACEHOLDER.findall(pattern)) - set(PLACEHOLDER.findall(description)):
                continue
            text, pattern = filled(tidy(description), pattern, words, rng)
            if compiles(pattern):
                prompt = rng.choice(TEMPLATES).format(text=text)
                yield single("regex", group, prompt, pattern)


def structured(source: Source) -> Iterator[Example]:
    """Yield longer descriptions whose pattern Python can express."""
    validation = source.task("regex/structuredregex_dev")
    for name in ("structuredregex_train", "structuredregex_dev"):
        for row in read_rows(source.task(f"regex/{name}")):
            try:
                pattern = searched(read_term(row["regex"]))
            except NotationError:
                continue
            if compiles(pattern):
                text = row["description"].strip()
                group = file_group("structured", row["description"], validation, "description")
                prompt = drawn(text, source.variant).choice(TEMPLATES).format(text=text)
                yield single("regex", group, prompt, pattern)
