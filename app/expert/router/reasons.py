"""Why an expert was chosen or not, in plain words for the user."""

from collections.abc import Sequence

from expert.router.features import Measured
from expert.router.index import Index
from expert.router.naming import Naming
from expert.router.reading import TALK, Reading
from expert.router.types import Choice

ALIKE = 0.2
"""Cosine from which an example is worth showing."""
NAMES = {
    "diff": "a diff", "ddl": "a table definition", "sql": "SQL", "schema": "a schema",
    "cypher": "a graph pattern", "json": "JSON", "xml": "XML", "regex": "a regular expression",
    "traceback": "a traceback", "error": "an error message", "log": "log lines",
    "shell": "a command", "code": "code", "csv": "a table", "yaml": "YAML", "pairs": "settings",
    "mail": "a letter",
}  # fmt: skip


def reasons(index: Index, measured: Measured, number: int, reading: Reading) -> tuple[str, ...]:
    """Return what speaks for and against the candidate of this *number*."""
    found = []
    if measured.column("excluded")[number]:
        found.append("it is ruled out by what the prompt does not want, or by its own exclusions")
    if hits := measured.hits[number]:
        found.append(f"the prompt asks for {_quoted(hits[:3])}")
    if formats := measured.formats[number]:
        found.append(f"the text holds {' and '.join(NAMES.get(each, each) for each in formats)}")
    if measured.words.best[number] >= ALIKE:
        example = index.texts[int(measured.words.documents[number])]
        found.append(f"it is like the example {_quoted([_short(example)])}")
    if measured.column("previous")[number]:
        found.append("this expert answered before")
    if reading.task in TALK and measured.column("topic")[number]:
        found.append("its subject is only the topic here")
    return tuple(found)


def explain(named: Naming, chosen: Sequence[Choice], ranked: Sequence[Choice]) -> tuple[str, ...]:
    """Return the reasons of a whole decision."""
    found = [f"there is no expert called @{name}" for name in named.unknown]
    if named.decides and not chosen:
        return (*found, "you asked for the base model")
    if named.decides:
        return (*found, *(f"you named {choice.name}" for choice in chosen))
    if chosen:
        return (*found, *(_sentence(choice) for choice in chosen))
    if not ranked:
        return (*found, "no expert is installed")
    best = ranked[0]
    return (*found, f"no expert fits; the likeliest is {best.name} ({best.probability:.0%})")


def _sentence(choice: Choice) -> str:
    why = f": {'; '.join(choice.reasons)}" if choice.reasons else ""
    return f"{choice.name} ({choice.probability:.0%}){why}"


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
