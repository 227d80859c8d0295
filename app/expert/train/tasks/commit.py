"""Diffs, as `git diff -U1` prints them, to the first line of a Conventional Commits message.

Most repositories write their messages freely. The types are read from the files a diff touches and
from the verb that a message begins with; what neither tells is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import Row, digest, read_rows

LONGEST_DIFF = 900  # characters of a row's diff
LONGEST_SUBJECT = 72
MOST = 1000  # rows of a repository
TYPES = "feat|fix|docs|style|refactor|perf|test|build|ci|chore|revert"
CONVENTIONAL = re.compile(
    rf"(?P<type>{TYPES})(?:\((?P<scope>[\w./-]+)\))?!?: (?P<summary>.+)", re.I
)
SCOPED = re.compile(r"\[?(?P<scope>[A-Za-z][\w./-]{1,19})(?:\]:?|:) (?P<summary>.+)")
NUMBER = re.compile(r"\s*\(?#\d+\)?$")
VERBS = {
    "fix": "fix correct handle avoid prevent resolve repair ensure bugfix workaround",
    "feat": "add allow support implement enable introduce create include provide expose",
    "refactor": "remove move rename refactor simplify use make change replace clean tidy convert "
    "extract drop delete switch split reorganize restructure",
    "docs": "document clarify mention describe explain link readme doc docs typo changelog edit",
    "chore": "update bump pin upgrade downgrade prepare release",
    "perf": "speed optimize optimise cache reduce",
    "style": "format reformat lint style",
    "revert": "revert",
    "test": "test tests",
}
TYPE_OF = {verb: kind for kind, verbs in VERBS.items() for verb in verbs.split()}
FILES = (
    ("ci", re.compile(r"\.github/workflows/|\.travis\.yml|\.gitlab-ci|azure-pipelines")),
    ("test", re.compile(r"(?:^|/)tests?/|(?:^|/)test_|_test\.|\.test\.|\.spec\.")),
    ("docs", re.compile(r"(?:^|/)docs?/|\.(?:md|rst|txt)$|(?:^|/)(?:README|CHANGELOG)")),
    ("build", re.compile(r"(?:^|/)(?:setup\.py|setup\.cfg|pyproject\.toml|requirements.*|Makefile|"
                         r"Dockerfile|package(?:-lock)?\.json|Cargo\.(?:toml|lock))$")),
)  # fmt: skip
PATH = re.compile(r"^file (.+)$", re.M)


def commit(source: Source) -> Iterator[Example]:
    """Yield small diffs with the subject of their commit, not too many of one repository."""
    taken: Counter[str] = Counter()
    for row in read_rows(source.task("commit/permissive_train")):
        subject = conventional(row) if len(row["diff"]) <= LONGEST_DIFF else None
        if subject is not None and taken[row["repo"]] < MOST:
            taken[row["repo"]] += 1
            prompt = f"{git_diff(row['diff'].strip())}\n\nCommit message:"
            yield single("commit", row["repo"], prompt, subject)


def conventional(row: Row) -> str | None:
    """Return a row's message as `type(scope): summary`; None where its type is not clear."""
    message = NUMBER.sub("", row["msg"].strip().split("\n")[0]).strip().rstrip(".")
    scope = ""
    if found := CONVENTIONAL.fullmatch(message):
        kind, scope, message = found["type"].lower(), found["scope"] or "", found["summary"]
    else:
        if found := SCOPED.fullmatch(message):
            scope, message = found["scope"].lower(), found["summary"]
        kind = _touched(row["diff"]) or TYPE_OF.get(_imperative(message.split(" ")[0].lower()), "")
    summary = _summary(message)
    if kind == "fix":
        summary = summary.removeprefix("fix ")
    if scope in TYPE_OF or scope in TYPES.split("|"):
        kind, scope = TYPE_OF.get(scope, scope), ""
    subject = f"{kind}({scope}): {summary}" if scope else f"{kind}: {summary}"
    told = kind and summary.isascii() and re.match(r"[\w`'\"]", summary) and len(summary) >= 8
    return subject if told and len(subject) <= LONGEST_SUBJECT else None


def _touched(diff: str) -> str:
    """Return the type that all files of a diff have in common, if any."""
    paths = PATH.findall(diff)
    for kind, pattern in FILES:
        if paths and all(pattern.search(path) for path in paths):
            return kind
    return ""


def _summary(message: str) -> str:
    """Return a message in the imperative, without a capital that only begins the sentence."""
    first, _, rest = message.strip().partition(" ")
    if first[1:].islower() or len(first) == 1:
        first = _imperative(first.lower())
    return f"{first} {rest}".strip()


def _imperative(verb: str) -> str:
    """Return the imperative of a verb that `VERBS` knows, else the word itself."""
    bases = [verb.removesuffix(end) for end in ("ed", "es", "s", "d", "ing")]
    doubled = [base[:-1] for base in bases if len(base) > 2 and base[-1] == base[-2]]
    for base in (*bases, *doubled, *(base + "e" for base in bases)):
        if base in TYPE_OF:
            return base
    return verb


def git_diff(diff: str) -> str:
    """Return a row's diff with the lines that git writes before a file's hunks."""
    head, *parts = re.split(r"^file (?=\S)", diff, flags=re.M)
    return head + "".join(map(_file, parts))


def _file(part: str) -> str:
    path, _, rest = part.partition("\n")
    mode = re.match(r"(new|deleted) file mode \d+\n", rest)
    old, new = f"a/{path}", f"b/{path}"
    lines = [f"diff --git {old} {new}"]
    if mode:
        lines.append(mode[0].rstrip())
        rest = rest[mode.end() :]
        old, new = ("/dev/null", new) if mode[1] == "new" else (old, "/dev/null")
    lines.append(f"index {_blob(old + path, mode)}..{_blob(new + rest, mode)}")
    if rest.startswith("@@"):
        lines += [f"--- {old}", f"+++ {new}"]
    return "\n".join([*lines, rest])


def _blob(text: str, mode: re.Match[str] | None) -> str:
    return "0" * 7 if mode and text.startswith("/dev/null") else digest(text)[:7]
