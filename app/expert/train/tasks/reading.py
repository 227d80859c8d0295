"""Plain text as documents, and questions whose answer stands in a given text or in a dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expert.train.examples import Document, Example, Source, single
from expert.train.rows import digest, drawn, read_rows

FILES = (
    "reference",
    "african_storybook_ccby",
    "wikinews_en",
    "openstax_ccby",
    "docs_tech",
    "wikipedia_en_2015",
)
SENTENCE = re.compile(r"[^.!?\n]{20,200}[.!?](?=\s|$)")
ENTRY = re.compile(r"^([\w ,'-]{2,60}) \((noun|verb|adjective|adverb)\): ([^.\n]{5,120})\.", re.M)
YEAR = re.compile(r"\b(1[5-9]\d\d|20[0-2]\d)\b")


def documents(source: Source, limit: int) -> Iterator[Document]:
    """Yield documents, files in turn, until about `limit` characters each file."""
    for name in FILES:
        size = 0
        for row in read_rows(source.text(name)):
            if size > limit:
                break
            size += len(row["text"])
            yield Document("text:" + digest(row["text"][:200]), row["text"])


def _articles(source: Source) -> Iterator[tuple[str, str]]:
    """Yield title and beginning of encyclopedia articles and news reports."""
    for name in ("wikipedia_en_2015", "wikinews_en"):
        for row in read_rows(source.text(name)):
            title, _, body = row["text"].partition("\n")
            if 2 < len(title) < 80 and len(body) > 100:
                yield title.strip(), body.strip()[:420].rsplit(" ", 1)[0]


def reading(source: Source) -> Iterator[Example]:
    """Yield questions on the beginning of an article, answered in its own words."""
    for title, body in _articles(source):
        sentences = [sentence.strip() for sentence in SENTENCE.findall(body)]
        if len(sentences) < 2:
            continue
        rng = drawn(title, source.variant)
        dated = [(s, YEAR.findall(s)) for s in sentences]
        years = [found[0] for _, found in dated if len(found) == 1]
        word = rng.choice(sentences[1].split()).strip(".,()\"'") or title
        asked = [
            (f"What is {title}?", sentences[0]),
            (f"Summarise in one sentence about {title}.", sentences[0]),
            ("What is the last full sentence?", sentences[-1]),
        ]
        if len(years) == 1 and len(YEAR.findall(body)) == 1:
            asked += [("Which year is mentioned?", years[0])] * 3
        if sum(word in sentence for sentence in sentences) == 1:
            asked.append((f'Which sentence mentions "{word}"?', sentences[1]))
        question, answer = rng.choice(asked)
        prompt = rng.choice((f"{body}\n\n{question}", f"{question}\n\n{body}"))
        yield single("reading", f"reading:{digest(title)}", prompt, answer)


def dictionary(source: Source) -> Iterator[Example]:
    """Yield words with their meaning, from WordNet."""
    for row in read_rows(source.text("reference")):
        for names, kind, meaning in ENTRY.findall(row["text"]):
            word = names.split(",")[0]
            rng = drawn(word, meaning, source.variant)
            prompt = rng.choice(
                (f"Define {word}", f"What does {word} mean?", f"Define the {kind} {word}")
            )
            yield single("dictionary", f"dictionary:{digest(word)}", prompt, meaning)
