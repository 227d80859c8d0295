"""Code in an answer: the fenced blocks of its Markdown (CommonMark 0.31, section 4.5)."""

import re

_OPENING = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)")


def extract_code(text: str) -> str | None:
    """Return the contents of the first code block, to the byte; None if there is none.

    A block that is never closed, as in an answer cut short, ends with the text.
    """
    fence = ""
    code: list[str] = []
    for line in text.splitlines(keepends=True):
        if not fence:
            found = _OPENING.match(line)
            if found and not ("`" in found["info"] and found["fence"][0] == "`"):
                fence, indent = found["fence"], len(line) - len(line.lstrip(" "))
        elif _closes(line, fence):
            return "".join(code)
        else:
            code.append(_unindented(line, indent))
    return "".join(code) if fence else None


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    same = len(bare) >= len(fence) and set(bare) == {fence[0]}
    return same and len(line) - len(line.lstrip(" ")) <= 3


def _unindented(line: str, indent: int) -> str:
    """Take away the opening fence's own indentation, as far as it is there."""
    return re.sub(f"^ {{0,{indent}}}", "", line)
