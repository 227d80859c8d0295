"""What is known of a set of candidates, prepared once: grams, keywords and profiles.

The index depends on the candidates' texts alone, so it is kept in the cache under their hash.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from expert.router.ngrams import Bayes, Postings, bayes, by_document, char_grams, word_grams
from expert.router.phrases import Phrases, phrases
from expert.router.profiles import Profile, profile
from expert.router.reading import TECHNOLOGIES, Reading, read_example, spaced, words_of
from expert.router.spelling import corrected, spellings
from expert.router.types import Candidate

VERSION = 2
"""Raise it when an index of the same texts would come out otherwise."""
_OFTEN = 3  # examples with a word, for it to be worth a correction


class Index(Struct):
    """The candidates in the form in which requests are compared with them; the base is the last."""

    words: Postings
    owners: list[int]
    """Which candidate each document of `words` belongs to."""
    texts: list[str]
    """The example that each of these documents was made of."""
    word_bayes: Bayes
    char_bayes: Bayes
    keywords: Phrases
    """Each candidate's keywords, with how much each one says (0 to 1)."""
    excludes: Phrases
    profiles: list[Profile]
    technologies: list[set[str]]
    """The tools and languages that each candidate's texts name."""
    spelling: dict[str, str]
    """Which word a misspelling stands for."""

    def corrected(self, reading: Reading) -> Reading:
        """Return a reading with its typing errors corrected."""
        known, table = self.words.idf, self.spelling
        fixed = {
            word: right
            for word in dict.fromkeys(reading.words)
            if (right := corrected(word, known, table)) != word
        }
        if not fixed:
            return reading

        def text(part: str) -> str:
            return spaced([fixed.get(word, word) for word in part.split()])

        return replace(
            reading,
            words=tuple(fixed.get(word, word) for word in reading.words),
            asked=text(reading.asked),
            topic=text(reading.topic),
            refused=text(reading.refused),
        )


def general_examples() -> tuple[str, ...]:
    """Return prompts that are for the base model itself."""
    text = (files("expert.router") / "general.txt").read_text(encoding="utf-8")
    return tuple(line.replace("\\n", "\n") for line in text.splitlines())


def content_hash(candidates: Sequence[Candidate]) -> str:
    """Return a hash of everything that an index of these candidates depends on."""
    parts = [
        (c.name, c.about, c.keywords, c.excludes, c.examples, c.capabilities) for c in candidates
    ]
    text = json.dumps([VERSION, general_examples(), parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def load_index(candidates: Sequence[Candidate], cache: Path | None) -> Index:
    """Return the index of these candidates, from the folder *cache* if it is there."""
    if cache is None:
        return build_index(candidates)
    path = cache / f"{content_hash(candidates)[:32]}.msgpack"
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.MsgspecError):
        index = build_index(candidates)
        _keep(index, path)
        return index


def _keep(index: Index, path: Path) -> None:
    """Write the cache; one that cannot be written costs time, not correctness."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_bytes(msgspec.msgpack.encode(index))
        draft.replace(path)
    except OSError:
        return


def build_index(candidates: Sequence[Candidate]) -> Index:
    """Prepare the candidates, and the base model as one more after them."""
    base = Candidate(id="", name="base", examples=_unclaimed(candidates))
    everyone = [*candidates, base]
    documents: list[list[str]] = []
    asked: list[str] = []
    owners: list[int] = []
    texts: list[str] = []
    for number, candidate in enumerate(everyone):
        for text in _documents(candidate):
            reading = read_example(text)
            documents.append(list(reading.words))
            asked.append(reading.asked)
            owners.append(number)
            texts.append(text)
    grams = [word_grams(words) for words in documents]
    return Index(
        words=by_document(grams),
        owners=owners,
        texts=texts,
        word_bayes=bayes(grams, owners, len(everyone)),
        char_bayes=bayes([char_grams(words) for words in documents], owners, len(everyone)),
        keywords=phrases([_keywords(c, n, asked, owners) for n, c in enumerate(candidates)]),
        excludes=phrases([[(spaced(words_of(t)), 1.0) for t in c.excludes] for c in candidates]),
        profiles=[profile(candidate) for candidate in everyone],
        technologies=[_technologies(candidate) for candidate in candidates],
        spelling=spellings(_telling_words(candidates, documents)),
    )


def _telling_words(
    candidates: Sequence[Candidate], documents: Sequence[Sequence[str]]
) -> list[str]:
    """Return the words of keywords, and those that occur in several examples."""
    count = Counter(word for words in documents for word in set(words))
    words = [word for word, number in count.items() if number >= _OFTEN]
    return words + [word for c in candidates for text in c.keywords for word in words_of(text)]


def _unclaimed(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the base's examples without those that an expert makes its own.

    With an expert for poems installed, `write a poem about the sea` is not the base's any more.
    """
    keywords = [spaced(words_of(text)) for c in candidates for text in c.keywords]

    def claimed(text: str) -> bool:
        reading = read_example(text)
        return reading.task == "creative" and any(each in reading.asked for each in keywords)

    return tuple(text for text in general_examples() if not claimed(text))


def _documents(candidate: Candidate) -> list[str]:
    """Return the texts that describe a candidate; one without any has its name alone."""
    return [
        text for text in (*candidate.examples, candidate.about, *candidate.keywords) if text
    ] or [candidate.name]


def _keywords(
    candidate: Candidate, number: int, asked: list[str], owners: list[int]
) -> list[tuple[str, float]]:
    """Return the keywords with their weight: the fewer examples of others ask for it, the more."""
    others = [text for text, owner in zip(asked, owners, strict=True) if owner != number]
    weighted = []
    for keyword in dict.fromkeys((candidate.short_name, *candidate.keywords)):
        text = spaced(words_of(keyword))
        if text.strip():
            foreign = sum(text in other for other in others)
            weighted.append((text, round(1 / (1 + foreign), 4)))
    return weighted


def _technologies(candidate: Candidate) -> set[str]:
    texts = (candidate.short_name, *candidate.keywords, *_documents(candidate))
    return {word for text in texts for word in words_of(text)} & TECHNOLOGIES
