"""Recognises what was pasted into a prompt, such as a diff, a table or a traceback.

Every pattern works line by line or on a bounded text and takes linear time, so that no input,
however long or odd, makes it slow.
"""

import re
from collections.abc import Iterator

from expert.router.lists import patterns

DECISIVE = frozenset(("diff", "ddl", "schema", "cypher"))
"""Formats that hardly anyone pastes but for one purpose."""
_TELLING = DECISIVE | {"sql", "traceback"}
_LOOSE = frozenset(("json", "code", "shell", "pairs", "log", "regex", "mail"))
"""Formats that parts of the telling ones look like."""
_SYMBOLS = re.compile(r"[{}\[\]<>=;|\\/_*@#$%^&+~`()\"]")
_YAML = re.compile(r"\s*(?:- )?[\w-]{1,40}:(?:\s|$)|\s*- \w")
_PATCH = ("diff --git", "--- ", "+++ ", "@@ ", "index ", "new file mode", "deleted file mode")
_IN_PATCH = (*_PATCH, "+", "-", " ", "@", "\\", "\t")
_CELL_SEPARATORS = ",;\t|"


def formats(text: str) -> frozenset[str]:
    """Return the names of the formats found in *text*."""
    known = patterns("formats.txt", re.MULTILINE)
    found = {name for name, pattern in known if pattern.search(text)}
    lines = [line for line in text.splitlines() if line.strip()]
    if "code" in found:
        found.discard("schema")  # a function has the form of a table
    if "diff" in found:
        return frozenset({"diff"})  # whatever it changes is not what is asked for
    if found & _TELLING:
        return frozenset(found - _LOOSE)
    if is_table(lines):
        found.add("csv")
    elif is_yaml(lines):
        found.add("yaml")
    return frozenset(found)


def is_table(lines: list[str]) -> bool:
    """Tell whether at least two lines have the same number of short cells."""
    for separator in _CELL_SEPARATORS:
        counts = [line.count(separator) for line in lines]
        for first, second, line in zip(counts, counts[1:], lines, strict=False):
            longest = max(len(cell.split()) for cell in line.split(separator))
            if first and first == second and longest <= 3 and "  " not in line.strip():
                return True
    return False


def is_yaml(lines: list[str]) -> bool:
    """Tell whether there are at least two lines `key: value` or `- value`, and they are most."""
    like = sum(bool(_YAML.match(line)) for line in lines)
    return like >= 2 and 2 * like > len(lines)


def prose(text: str) -> str:
    """Return the lines of *text* that are words for the reader, not pasted matter."""
    return "\n".join(line for line in _prose_lines(text.splitlines()) if line.strip())


def _prose_lines(lines: list[str]) -> Iterator[str]:
    fenced, patch = False, False
    for number, line in enumerate(lines):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        patch = line.startswith(_PATCH) if not patch else _continues(line)
        tabular = is_table(lines[number : number + 2]) and not line.rstrip().endswith((".", "?"))
        if not fenced and not patch and not tabular and is_prose(line):
            yield line


def _continues(line: str) -> bool:
    """Tell whether a line belongs to the patch before it."""
    return line.startswith(_IN_PATCH) or not line.strip()


def is_prose(line: str) -> bool:
    """Tell whether a line is mostly words."""
    words = sum(word.isalpha() for word in re.split(r"[\s.,:;!?'\"()-]+", line) if word)
    symbols = len(_SYMBOLS.findall(line))
    return bool(words) and symbols <= max(2, words)
