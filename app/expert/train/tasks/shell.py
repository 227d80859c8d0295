"""Requests to shell commands: nl2bash and the tldr pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn, read_rows
from expert.train.split import file_group, page_group

LONGEST_COMMAND = 200  # characters
TEMPLATES = (
    "{request}",
    "Shell command: {request}",
    "Write a shell command to do this: {request}",
    "How do I do this in the terminal? {request}",
    "bash: {request}",
)
SYSTEMS = {"windows": "Windows", "osx": "macOS", "android": "Android"}


def repaired(command: str) -> str:
    """Return a command with the backslash that some rows lost before the `;` of `find -exec`."""
    return re.sub(r"(?<=\{\}) ;", r" \;", command.strip())


def nl2bash(source: Source) -> Iterator[Example]:
    """Yield bash one-liners; training rows with a command of the validation file join its group."""
    validation = source.task("shell/nl2bash_dev")
    for name in ("nl2bash_train", "nl2bash_dev"):
        for row in read_rows(source.task(f"shell/{name}")):
            if len(row["cmd"]) > LONGEST_COMMAND:
                continue
            group = file_group("nl2bash", row["cmd"], validation, "cmd")
            template = drawn(row["nl"], source.variant).choice(TEMPLATES)
            yield single("shell", group, template.format(request=row["nl"]), repaired(row["cmd"]))


def tldr(source: Source) -> Iterator[Example]:
    """Yield commands of the tldr pages; half of the requests name the program, which many leave
    open.
    """
    for row in read_rows(source.task("shell/tldr_train")):
        if len(row["cmd"]) > LONGEST_COMMAND:
            continue
        rng = drawn(row["nl"], row["cmd"], source.variant)
        request = row["nl"]
        program = row["cmd"].split()[0]
        if program.lower() not in request.lower() and rng.random() < 0.6:
            request = rng.choice((f"with {program}: {request}", f"{request} (use {program})"))
        if row["os"] in SYSTEMS:
            request = f"{request} on {SYSTEMS[row['os']]}"
        prompt = rng.choice(TEMPLATES).format(request=request)
        yield single("shell", page_group(row["page"]), prompt, row["cmd"].strip())
