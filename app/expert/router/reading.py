"""Parses a request a little: what is asked, about what, in what words, and what was pasted.

`write a poem about SQL` asks for a poem, and SQL is only its topic; `not SQL` refuses it; a diff
needs no words at all. The same reading is made of an expert's examples, so that requests are
compared with them part by part.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from expert.router.formats import formats, prose
from expert.router.lists import patterns, word_sets
from expert.router.types import RouteRequest, Task

HEAD, TAIL = 6000, 2000
"""How many characters of a long text are read, at its beginning and at its end."""
MAX_WORDS = 80
_LOOK = 600  # the task is told in the first characters
MENTION = re.compile(r"(?<![\w@/.])@([a-z0-9][a-z0-9/-]{0,80})(?![\w@.])")

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[+#]{2}")
_QUOTED = re.compile(
    r"\"[^\"\n]{0,400}\"|“[^”\n]{0,400}”|`[^`\n]{0,400}`|(?<!\w)'[^'\n]{1,400}'(?!\w)"
)
_REFUSED = re.compile(
    r"\b(?:not|no|without|don't (?:want|need|use|give)|do not (?:want|need|use)?|instead of|"
    r"rather than|never|kein|keine|sans|sin)\b(?: (?:any|a|an|the|using|use))* ([^,.:;!?\n]{1,40})"
)  # fmt: skip
_POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|ok|so|please|pls|can you|could you|would you|will you|can i have|"
    r"i want you to|i'd like you to|i would like|i'd like|i want|i need|we need|help me|"
    r"bitte|also|now|just|and|then)\b[ ,!]*)+"
)

TALK: frozenset[Task] = frozenset(("chat", "creative", "discuss", "summarise", "rewrite"))
"""Tasks whose subject does not say who should answer."""

_WORDS = word_sets("words.txt")
TECHNOLOGIES = _WORDS["technologies"]
"""Names of tools and languages: a request that names some is about these."""
_TONGUES = {code: _WORDS[code] for code in ("de", "fr", "es", "pt")}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a request."""

    words: tuple[str, ...]
    """The prose of the request, in lower case, at most `MAX_WORDS`."""
    asked: str
    """The part that says what to make, between spaces."""
    topic: str
    """The part that only says what it is about, between spaces."""
    refused: str
    """What the request says it does not want, between spaces."""
    task: Task
    formats: frozenset[str]
    language: str
    mentions: tuple[str, ...]


def read(request: RouteRequest) -> Reading:
    """Read a request: its prompt, and what is attached."""
    prompt = clean(request.prompt)
    found = formats(prompt)
    for attachment in request.attachments:
        found |= formats(clean(attachment.text))
    mentions = tuple(MENTION.findall(prompt))
    text = prose(MENTION.sub(" ", prompt)).lower()
    return _reading(text, found, mentions)


@lru_cache(maxsize=4096)
def read_example(text: str) -> Reading:
    """Read one of an expert's examples."""
    return read(RouteRequest(text))


def clean(text: str) -> str:
    """Return the beginning and end of *text*, composed and without control characters."""
    if len(text) > HEAD + TAIL:
        head, tail = text[:HEAD], text[-TAIL:]
        # Cut between lines, so that a long diff still reads as one.
        text = head[: head.rfind("\n")] + "\n" + tail[tail.find("\n") + 1 :]
    text = unicodedata.normalize("NFKC", text)
    return "".join(c if c in "\n\t" or c.isprintable() else " " for c in text)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


def spaced(words: list[str]) -> str:
    """Return words between single spaces, so that whole words can be searched for."""
    return f" {' '.join(words)} "


def _reading(text: str, found: frozenset[str], mentions: tuple[str, ...]) -> Reading:
    instruction = _instruction(text)
    plain = _QUOTED.sub(" … ", instruction)
    bare = _POLITE.sub("", plain.strip()) or plain.strip()
    task, end = _task(bare)
    words = words_of(instruction)
    if len(words) > MAX_WORDS:
        words = words[: MAX_WORDS * 2 // 3] + words[-MAX_WORDS // 3 :]
    talk = task in TALK
    refused = " ".join(_REFUSED.findall(plain))
    return Reading(
        words=tuple(words),
        asked=spaced(words_of(_asked(task, bare[:end] if talk else _REFUSED.sub(" ", plain)))),
        topic=spaced(words_of(bare[end:])) if talk else " ",
        refused=spaced(words_of(refused)),
        task="paste" if found and not words else task,
        formats=found,
        language=_language(words),
        mentions=mentions,
    )


def _instruction(text: str) -> str:
    """Return what is said to the assistant: of a long text its first and last lines."""
    lines = text.splitlines()
    if len(text) <= 400 or len(lines) < 2:
        return text
    return f"{lines[0]}\n{lines[-1]}"


def _asked(task: Task, text: str) -> str:
    """Return *text* without what is to be translated."""
    head, _, rest = text.partition(":")
    return head if task == "translate" and rest.strip() else text


def _task(text: str) -> tuple[Task, int]:
    """Return the task, and where the words that tell it end."""
    for task, pattern in patterns("tasks.txt", re.NOFLAG):
        if match := pattern.search(text[:_LOOK]):
            return cast(Task, task), match.end()
    return "statement", len(text)


def _language(words: list[str]) -> str:
    known = set(words)
    scores = {code: len(known & common) for code, common in _TONGUES.items()}
    best = max(scores, key=lambda code: scores[code])
    if scores[best] >= 2 or (scores[best] and len(words) < 5):
        return best
    return "other" if words and not "".join(words).isascii() and not scores[best] else "en"
