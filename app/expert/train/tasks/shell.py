"""Requests to shell commands: nl2bash and the tldr pages."""

from __future__ import annotations

from collections.abc import Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn, read_rows
from expert.train.split import file_group, is_heldout, page_group, texts_of
from expert.train.tasks.arguments import Arguments, exchanged
from expert.train.tasks.spelling import one_spelling, repaired

LONGEST_COMMAND = 200  # characters
TEMPLATES = (
    "{request}",
    "Shell command: {request}",
    "Write a shell command to do this: {request}",
    "How do I do this in the terminal? {request}",
    "bash: {request}",
)
SYSTEMS = {"windows": "Windows", "osx": "macOS", "android": "Android"}


def nl2bash(source: Source) -> Iterator[Example]:
    """Yield bash one-liners; training rows with a command of the validation file join its group.

    Rows that are learnt from have one spelling, and but for the first variant other arguments; one
    that becomes a command of the validation file, in whatever spelling, is left out.
    """
    validation = source.task("shell/nl2bash_dev")
    files = (source.task(f"shell/{name}") for name in ("nl2bash_train", "nl2bash_dev"))
    rows = [row for file in files for row in read_rows(file) if len(row["cmd"]) <= LONGEST_COMMAND]
    groups = [file_group("nl2bash", row["cmd"], validation, "cmd") for row in rows]
    learnt = [not is_heldout("shell", group) for group in groups]
    arguments = Arguments.of(
        (row["nl"], row["cmd"]) for row, kept in zip(rows, learnt, strict=True) if kept
    )
    judged = {one_spelling(command) for command in texts_of(validation, "cmd")}
    for row, group, kept in zip(rows, groups, learnt, strict=True):
        request, command = row["nl"], row["cmd"]
        rng = drawn(request, source.variant)
        prompt = rng.choice(TEMPLATES)
        if not kept:
            yield single("shell", group, prompt.format(request=request), repaired(command))
            continue
        if source.variant:
            request, command = exchanged(request, command, arguments, rng)
        command = one_spelling(command)
        if command not in judged:
            yield single("shell", group, prompt.format(request=request), command)


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
