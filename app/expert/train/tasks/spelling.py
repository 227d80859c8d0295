"""One spelling for commands that people write in several ways, so that a model learns one.

A change is kept only if the judge says that the command is the same (`metrics/synonyms.py`).
"""

from __future__ import annotations

import re

from expert.metrics.shell import same_command

PATTERNS = "i?name|i?path|i?wholename|i?regex|lname"
VALUE = r"""(?:"[^"`$\\]*"|[\w.,:/+@%*?{}-]+)"""
TESTS = rf"-(?:{PATTERNS}|size|user|group|perm|newer|[acm](?:time|min)) {VALUE}|-empty"
CHANGES = (
    (re.compile(r"^([^'\"\\]*?\S) {2,}(?=\S)"), r"\1 "),
    (re.compile(r"(?<=\s)(?:';'|\";\")(?=\s|$)"), r"\\;"),
    (re.compile(r"(?<=\s)\\!(?=\s)"), "!"),
    (re.compile(r"(?<=\s)(?:'\{\}'|\"\{\}\")(?=\s)"), "{}"),
    (re.compile(r"(?<=\s)-o(?:r) "), "-o "),
    (re.compile(r"(?<=\s)-not "), "! "),
    (re.compile(r" -a(?:nd)?(?= [-!\\])"), ""),
    (re.compile(r"\bfind (?=[-!\\])"), "find . "),
    (re.compile(r"\bfind \./(?= )"), "find ."),
    (re.compile(r" -print(?= *(?:$|[|;)&>]))"), ""),
    (re.compile(rf"(?<=\s)(-(?:{PATTERNS})) '([^'\"`$\\!]*)'"), r'\1 "\2"'),
    (re.compile(rf"(?<=\s)(-(?:{PATTERNS})) ([^\s'\"`$\\();|&<>]+)"), r'\1 "\2"'),
    (re.compile(r"\b(head|tail) -(?:n *)?(?=\d)"), r"\1 -n "),
)
DEPTH = r" -m(?:ax|in)depth \d+"
LATE = (
    re.compile(rf"(?<!!)( (?:{TESTS}))( -type [bcdflps])(?= |$)"),
    re.compile(rf"(?<!!)( (?:{TESTS}|-type [bcdflps]))({DEPTH})(?= |$)"),
)
"""A type after a test, with which it commutes; a depth after either, wherever it stands."""


def repaired(command: str) -> str:
    """Return a command with the backslash that some rows lost before the `;` of `find -exec`."""
    return re.sub(r"(?<=\{\})(['\"]?) ;", r"\1 \\;", command.strip())


def one_spelling(command: str) -> str:
    """Return a command that does the same, spelt as most are: a type first, patterns in quotes."""
    command = repaired(command)
    while command != (changed := _nearer(command)):
        command = changed
    return command


def _nearer(command: str) -> str:
    for pattern, replacement in CHANGES:
        changed = pattern.sub(replacement, command)
        if changed != command and same_command(changed, command):
            command = changed
    for pattern in LATE:
        command = pattern.sub(r"\2\1", command)
    return command
