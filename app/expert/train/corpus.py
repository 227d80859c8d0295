"""Examples as token sequences on disk: one file a task, read back without parsing.

A sequence carries a mask of the tokens a loss is taken on: everything in plain text, only answers
in conversations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from expert.train.examples import Document, Example, Source
from expert.train.recipe import Recipe
from expert.train.rows import digest, drawn
from expert.train.split import is_heldout
from expert.train.tasks import BUILDERS
from expert.train.tasks.reading import documents
from expert.train.tokenizer import EMPTY_THOUGHT, END, STOP, token_id, train_tokenizer, turn_prompt

TEXT = "text"
HELD_OUT_TEXT = 200  # one document, exercise or article in so many is held out
Tokens = NDArray[np.unsignedinteger[Any]]
Progress = Callable[[int, int], None]


def nothing(done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Sequences:
    """Sequences of one task, end to end; sequence i spans offsets[i] to offsets[i + 1]."""

    tokens: Tokens
    mask: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def length(self, index: int) -> int:
        """Return the number of tokens of a sequence."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def get(self, index: int) -> tuple[Tokens, NDArray[np.uint8]]:
        """Return the tokens of a sequence and their loss mask."""
        span = slice(self.offsets[index], self.offsets[index + 1])
        return self.tokens[span], self.mask[span]


def held_out(example: Example | Document) -> bool:
    """Tell whether an example is kept for evaluation: by its file, its task's list, or by hash."""
    if isinstance(example, Example) and (
        example.held_out or is_heldout(example.task, example.group)
    ):
        return True
    made_up = isinstance(example, Document) or example.task in (
        "copying",
        "skills",
        "reading",
        "dictionary",
    )
    return made_up and int(digest(example.group), 16) % HELD_OUT_TEXT == 0


def encode_conversation(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    """Return tokens and loss mask of a conversation.

    Half of the longer ones show past answers without the think block, as the template does. The
    loss on the think block, which is always the same, is taken in one conversation of four.
    """
    rng = drawn(example.turns[0].prompt, example.turns[-1].answer)
    bare_history, learn_thought = rng.random() < 0.5, rng.random() < 0.25
    tokens: list[int] = []
    mask: list[int] = []

    def add(text: str, learnt: bool) -> None:
        ids = tokenizer.encode(text).ids
        tokens.extend(ids)
        mask.extend([int(learnt)] * len(ids))

    for number, turn in enumerate(example.turns):
        add(turn_prompt(turn.prompt.strip(), example.system if number == 0 else ""), False)
        if number == len(example.turns) - 1 or not bare_history:
            add(EMPTY_THOUGHT, learn_thought)
        add(turn.answer.strip() + STOP, True)
        add("\n", False)
    return tokens, mask


def encode_document(tokenizer: Tokenizer, text: str, longest: int) -> Iterator[list[int]]:
    """Yield a document in pieces of at most `longest` tokens, the end of text marked."""
    ids = [*tokenizer.encode(text).ids, token_id(tokenizer, END)]
    for start in range(0, len(ids), longest):
        if len(ids) - start >= 16:
            yield ids[start : start + longest]


def sample_texts(recipe: Recipe, data: Path) -> Iterator[str]:
    """Yield what the tokenizer learns from: some of every task and of every text file."""
    source = Source(data)
    for task in recipe.mix:
        if task != TEXT:
            for example in islice(BUILDERS[task](source), 0, 12_000, 2):
                if not held_out(example):
                    yield from (t.prompt for t in example.turns[:1])
                    yield from (t.answer for t in example.turns)
    yield from (d.text for d in documents(source, 600_000) if not held_out(d))


def load_tokenizer(recipe: Recipe, data: Path, run: Path) -> Tokenizer:
    """Return the run's tokenizer, training it first if there is none."""
    path = run / "tokenizer.json"
    if not path.exists():
        tokenizer = train_tokenizer(sample_texts(recipe, data), recipe.model.vocab_size)
        tokenizer.save(str(path.with_suffix(".part")))
        os.replace(path.with_suffix(".part"), path)
    return Tokenizer.from_file(str(path))


def _encoded(
    recipe: Recipe, data: Path, task: str, tokenizer: Tokenizer
) -> Iterator[tuple[list[int], list[int]]]:
    if task == TEXT:
        for document in documents(Source(data), recipe.data.characters):
            if not held_out(document):
                for piece in encode_document(tokenizer, document.text, recipe.data.document):
                    yield piece, [1] * len(piece)
        return
    variants = range(recipe.data.variants.get(task, 1))
    for example in chain.from_iterable(
        BUILDERS[task](Source(data, variant)) for variant in variants
    ):
        if not held_out(example):
            tokens, mask = encode_conversation(tokenizer, example)
            if len(tokens) <= recipe.data.longest:
                yield tokens, mask


def load_sequences(
    recipe: Recipe, data: Path, run: Path, task: str, tokenizer: Tokenizer
) -> Sequences:
    """Return the training sequences of a task, encoding them first if the run has none."""
    path = run / "sequences" / f"{task}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        tokens, mask, offsets = [], [], [0]
        for piece, learnt in _encoded(recipe, data, task, tokenizer):
            tokens.append(np.array(piece, np.uint16))
            mask.append(np.array(learnt, np.uint8))
            offsets.append(offsets[-1] + len(piece))
        with path.with_suffix(".part").open("wb") as partial:
            np.savez(
                partial,
                tokens=np.concatenate(tokens),
                mask=np.concatenate(mask),
                offsets=np.array(offsets),
            )
        os.replace(path.with_suffix(".part"), path)
    with np.load(path) as stored:
        return Sequences(stored["tokens"], stored["mask"], stored["offsets"])


def load_corpus(
    recipe: Recipe, data: Path, run: Path, progress: Progress = nothing
) -> dict[str, Sequences]:
    """Return the training sequences of every task in the mix."""
    tokenizer = load_tokenizer(recipe, data, run)
    corpus = {}
    for done, task in enumerate(recipe.mix):
        progress(done, len(recipe.mix))
        corpus[task] = load_sequences(recipe, data, run, task, tokenizer)
    return corpus
