"""Tasks with nothing to convert: intents, instructions and translation."""

from __future__ import annotations

from collections.abc import Iterator

from expert.train.examples import Example, Source, Turn, single
from expert.train.rows import digest, drawn, read_rows
from expert.train.split import file_group, page_group

LONGEST_RESPONSE = 300  # characters
LANGUAGES = {"de": "German", "es": "Spanish", "fr": "French", "pt_BR": "Portuguese"}


def intent(source: Source) -> Iterator[Example]:
    """Yield requests with the name of their intent."""
    templates = ("Intent: {text}", "Which intent is this? {text}", "{text}\n\nIntent?")
    validation = source.task("intent/clinc150_val")
    for name in ("clinc150_train", "clinc150_val", "banking77_train"):
        for row in read_rows(source.task(f"intent/{name}")):
            text = row["text"].strip()
            group = file_group("clinc", text, validation, "text")
            if name.startswith("banking"):
                group = "banking:" + digest(row["text"])
            prompt = drawn(text, source.variant).choice(templates).format(text=text)
            yield single("intent", group, prompt, row["intent"])


def instruct(source: Source) -> Iterator[Example]:
    """Yield questions and instructions with a short response."""
    for name in ("dolly_open_qa", "self_instruct_seeds"):
        for row in read_rows(source.task(f"instruct/{name}")):
            prompt = "\n\n".join(filter(None, (row["instruction"], row.get("input"))))
            if len(row["response"]) <= LONGEST_RESPONSE and len(prompt) <= 600:
                response = row["response"].strip()
                yield single("instruct", digest(row["instruction"]), prompt, response)


def translate(source: Source) -> Iterator[Example]:
    """Yield short English descriptions of commands in four languages."""
    for code, language in LANGUAGES.items():
        for row in read_rows(source.task(f"translation/tldr_en.{code}_train")):
            turn = Turn(f"Translate to {language}: {row['en']}", row["xx"].strip())
            yield Example("translate", page_group(row["page"]), (turn,))
