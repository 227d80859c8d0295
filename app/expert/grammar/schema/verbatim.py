"""Strings that must be words of the question: `"format": "verbatim"` in a schema.

A model that fills fields from a text then cannot invent a value, nor misspell one.
"""

import re
from itertools import pairwise

from expert.errors import UsageError
from expert.grammar.schema.document import Document, schemas_of

VERBATIM = "verbatim"
LONGEST = 24  # words of one value
_WORD = re.compile(r"\w+|[^\w\s]+")


def hold_to(document: Document, question: str) -> None:
    """Replace the format in *document* by the runs of whole words of *question*.

    A run has up to 24 words; each mark of punctuation, or several in a row, counts as one.

    Raises:
        UsageError: the question has no word that could be copied.
    """
    asking = [
        schema
        for schema in schemas_of(document)
        if isinstance(schema, dict) and schema.get("format") == VERBATIM
    ]
    if not asking:
        return
    expression = _runs(question)
    if not expression:
        raise UsageError(
            "There are no words to copy.",
            f"The schema's format {VERBATIM!r} takes values from the question, which has none.",
            "Give the text in the question or through a pipe.",
        )
    name = VERBATIM
    while name in document.definitions:
        name += "_"
    for schema in asking:
        del schema["format"]
        schema["$ref"] = name
    document.definitions[name] = {"type": "string", "pattern": f"^(?:{expression})$"}


def _runs(question: str) -> str:
    """Return the expression of all runs of words: from each word on, as many as one likes."""
    words = list(_WORD.finditer(question))
    gaps = [question[one.end() : two.start()] for one, two in pairwise(words)]
    further = [re.escape(gap + word[0]) for gap, word in zip(gaps, words[1:], strict=True)]
    runs = []
    for place, word in enumerate(words):
        rest = further[place : place + LONGEST - 1]
        runs.append(re.escape(word[0]) + "".join(f"(?:{part}" for part in rest) + ")?" * len(rest))
    return "|".join(dict.fromkeys(runs))
