"""The base models that can be fetched by name. Their revisions and hashes are learned from the hub.

Nothing here says what the files contain: that is asked at the first pull, written down, and
from then on expected (`pull.py`).
"""

import re
from dataclasses import dataclass

from expert.errors import NotFoundError, UsageError

_HUB = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?:(?P<choice>[\w./-]+)"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A base model in the catalogue."""

    name: str
    repository: str
    quantisations: tuple[str, ...]
    """What the repository is known to have, the recommended one first."""
    license: str = "Apache-2.0"


_SEVERAL = ("Q4_K_M", "Q5_0", "Q5_K_M", "Q6_K", "Q8_0")
CATALOGUE = (
    Listed("qwen3-0.6b", "Qwen/Qwen3-0.6B-GGUF", ("Q8_0",)),
    Listed("qwen3-1.7b", "Qwen/Qwen3-1.7B-GGUF", ("Q8_0",)),
    Listed("qwen3-4b", "Qwen/Qwen3-4B-GGUF", _SEVERAL),
    Listed("qwen3-8b", "Qwen/Qwen3-8B-GGUF", _SEVERAL),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a repository, as someone named it, and what it will be called here."""

    name: str
    repository: str
    revision: str | None
    """None: the one written down, or else the newest."""
    choice: str
    """A quantisation, or the path of a file."""


def find_listed(name: str) -> Listed | None:
    """Return the catalogue's entry of this name."""
    return next((listed for listed in CATALOGUE if listed.name == name), None)


def parse_wanted(text: str) -> Wanted:
    """Return what `NAME`, `NAME:QUANTISATION` or `ORG/REPO[@REVISION]:FILE` means.

    Raises:
        UsageError: it is none of these.
        NotFoundError: the catalogue has no such name.
    """
    name, colon, choice = text.partition(":")
    listed = find_listed(name.lower())
    if listed is not None and (choice or not colon):
        chosen = choice.upper() or listed.quantisations[0]
        usual = chosen == listed.quantisations[0]
        label = listed.name if usual else f"{listed.name}-{chosen.lower()}"
        if not re.fullmatch("[A-Z0-9_]+", chosen):
            raise _unclear(text)
        return Wanted(label, listed.repository, None, chosen)
    found = _HUB.fullmatch(text)
    if found is not None:
        repository, choice = found["repository"], found["choice"]
        stem = choice.rpartition("/")[2].removesuffix(".gguf")
        label = stem if choice.endswith(".gguf") else f"{repository.partition('/')[2]}-{stem}"
        if not label[:1].isalnum():
            raise _unclear(text)
        return Wanted(label.lower(), repository, found["revision"], choice)
    if colon or "/" in text:
        raise _unclear(text)
    raise NotFoundError(
        f"There is no model {text!a} to fetch.",
        f"The catalogue has {', '.join(listed.name for listed in CATALOGUE)}.",
        "Name one of these, or a file on the hub: ORG/REPO:FILE.gguf",
    )


def _unclear(text: str) -> UsageError:
    return UsageError(
        f"{text!a} names no model to fetch.",
        "",
        "Write NAME, NAME:QUANTISATION, or ORG/REPO:FILE.gguf; "
        "see `expert model list --available`.",
    )
