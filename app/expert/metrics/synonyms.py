"""Words of commands that mean the same, written one way, so that only what differs counts.

Sources: the GNU findutils manual (a missing path is `.`, a missing action `-print`, `-and` is
implied), POSIX's Utility Syntax Guidelines (an option's value may be joined to it), the Filesystem
Hierarchy Standard (where programs lie), the manuals of the programs named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BINARIES = re.compile(r"/(usr/)?s?bin/(?=[^/]+$)")
MEANING = {
    "egrep": ("grep", "-E"),
    "fgrep": ("grep", "-F"),
    "gunzip": ("gzip", "-d"),
}
"""Programs that are another one with an option."""
VALUED = {
    "awk": "Fvf",
    "cut": "bcdf",
    "du": "dBt",
    "fold": "w",
    "gawk": "Fvf",
    "grep": "efmABCdD",
    "head": "nc",
    "join": "12aejotv",
    "mkdir": "m",
    "od": "AjNSt",
    "paste": "d",
    "seq": "fs",
    "sort": "kotST",
    "split": "abCln",
    "ssh": "bcDEeFIiJLlmOopQRSWw",
    "tail": "nc",
    "uniq": "fsw",
    "watch": "n",
    "xargs": "adEILnPs",
    "xxd": "cgls",
}
"""Programs and the options of one letter that take a value, joined or as the next word."""
RUNNERS = frozenset(("xargs", "sudo", "nohup", "time", "exec"))
"""Programs whose first argument is another program, with options of its own."""
CLUSTER = re.compile(r"-[A-Za-z0-9].*", re.S)
SPELLING = {
    "-or": "-o",
    "-not": "!",
    "-mount": "-xdev",
    "-wholename": "-path",
    "-iwholename": "-ipath",
}
IMPLIED = ("-a", "-and")
BEFORE_PATHS = re.compile(r"-[HLP]|-O\d")
COMMANDS = ("-exec", "-execdir", "-ok", "-okdir")
WRITES = ("-print0", "-printf", "-fprint", "-fprint0", "-fprintf", "-ls", "-fls")
ACTIONS = frozenset(("-print", "-delete", "-quit", *COMMANDS, *WRITES))
NAMES = ("-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename", "-lname", "-ilname")
OWNERS = ("-user", "-group", "-uid", "-gid", "-perm")
TIMES = ("-mtime", "-atime", "-ctime", "-mmin", "-amin", "-cmin", "-used")
NEWER_THAN = ("-newer", "-anewer", "-cnewer", "-samefile")
COUNTS = ("-size", "-links", "-inum", "-maxdepth", "-mindepth")
KINDS = ("-type", "-xtype", "-fstype", "-context", "-regex", "-iregex", "-regextype")
FILES = ("-printf", "-fprint", "-fprint0", "-fls")
ARGUMENT = frozenset((*NAMES, *OWNERS, *TIMES, *NEWER_THAN, *COUNTS, *KINDS, *FILES))
NEWER = re.compile(r"-newer[aBcm][aBcmt]")


def one_form(words: list[str]) -> list[str]:
    """Return a program and its words in the form that stands for all of the same meaning."""
    if not words:
        return words
    program, *others = words
    program = BINARIES.sub("", program)
    if program == "find":
        return [program, *_find(others)]
    if program == "tar" and others and others[0].isalpha():
        others = ["-" + others[0], *others[1:]]
    program, *implied = MEANING.get(program, (program,))
    return [program, *implied, *_options(program, others)]


def _options(program: str, words: list[str]) -> list[str]:
    """Return words with an option in each, its value in the next."""
    valued = VALUED.get(program, "")
    made: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            return [*made, word, *words[at:]]
        if program in ("head", "tail") and re.fullmatch(r"-\d+", word):
            word = "-n" + word[1:]
        if valued and CLUSTER.fullmatch(word):
            options, value = _apart(word, valued)
            made += options
            if value is None and options[-1][1] in valued and at < len(words):
                value = words[at]
                at += 1
            made += [] if value is None else [value]
        elif program in RUNNERS and not word.startswith("-"):
            return [*made, *one_form(words[at - 1 :])]
        else:
            made.append(word)
    return made


def _apart(word: str, valued: str) -> tuple[list[str], str | None]:
    """Return the options of a cluster, and the value that is joined to the last one."""
    options = []
    for place, letter in enumerate(word[1:], 2):
        if not letter.isalnum():
            return [word], None
        options.append("-" + letter)
        if letter in valued:
            return options, word[place:] or None
    return options, None


def _find(words: list[str]) -> list[str]:
    options = 0
    while options < len(words) and BEFORE_PATHS.fullmatch(words[options]):
        options += 1
    start = options
    while start < len(words) and not _begins_expression(words[start]):
        start += 1
    paths = ["." if word == "./" else word for word in words[options:start]] or ["."]
    expression = list(_primaries(words[start:]))
    if _prints_only_at_the_end(expression):
        expression.pop()
    return [*words[:options], *paths, *(word for primary in expression for word in primary)]


def _begins_expression(word: str) -> bool:
    return word in ("(", ")", "!", ",") or (word.startswith("-") and word != "-")


def _primaries(words: list[str]) -> Iterator[list[str]]:
    """Yield tests, actions and operators with their arguments, without what is implied."""
    at = 0
    while at < len(words):
        end = at + _length(words, at)
        word = SPELLING.get(words[at], words[at])
        if word in COMMANDS:
            yield [word, *one_form(words[at + 1 : end - 1]), words[end - 1]]
        elif word not in IMPLIED:
            yield [word, *words[at + 1 : end]]
        at = end


def _length(words: list[str], at: int) -> int:
    word = words[at]
    if word == "-fprintf":
        return 3
    if word not in COMMANDS:
        return 2 if word in ARGUMENT or NEWER.fullmatch(word) else 1
    for end in range(at + 1, len(words)):
        if words[end] == ";" or (words[end] == "+" and words[end - 1] == "{}"):
            return end + 1 - at
    return len(words) - at


def _prints_only_at_the_end(expression: list[list[str]]) -> bool:
    """Tell whether the last word is a `-print` that `find` would do anyway.

    After an `-o` outside parentheses it would print only what the last part found.
    """
    if not expression or expression[-1] != ["-print"]:
        return False
    depth = 0
    for word, *_ in expression[:-1]:
        depth += (word == "(") - (word == ")")
        if word in ACTIONS or (word in ("-o", ",") and not depth):
            return False
    return not depth and expression[-2:-1] != [["!"]]
