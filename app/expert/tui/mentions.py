"""What a question mentions: experts as `@sql`, files as `@notes.txt` or `@"two words.txt"`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from expert.attachments import read_attachment
from expert.paths import expanded
from expert.types import Attachment

MENTION = re.compile(r'(?<![\w@/.])@(?:"([^"\n]+)"|([^\s"@]+))')
_CLOSING = ".,;:!?)]}'"
"""May stand behind a name without being part of it."""
NOBODY = ("base", "none")
"""What asks for the base model alone, as in `@base`."""
LOOKED_AT = 5000
"""Most files of a folder that are looked at while someone types."""


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A question, with what it mentions."""

    text: str
    """As the model reads it: files by their plain names."""
    files: tuple[Attachment, ...] = ()
    names_expert: bool = False
    """It says itself who is to answer, which is for the router to read."""


def read_mentions(text: str, experts: Sequence[str], folder: Path) -> Mentioned:
    """Return what *text* mentions: installed experts by their names, files in *folder*.

    Whatever is neither stays as it is: an address of e-mail, a decorator, a handle.

    Raises:
        ExpertError: a file that is there cannot be attached.
    """
    known = set(experts) | {name.rpartition("/")[2] for name in experts} | set(NOBODY)
    files: dict[str, Attachment] = {}
    parts, end, named = [], 0, False
    for match in MENTION.finditer(text):
        name = match[1] or match[2]
        bare = name if match[1] else name.rstrip(_CLOSING)
        if not match[1] and bare in known:
            named = True
            continue
        path = _file(folder, (name, bare))
        if path is not None:
            if path not in files:
                files[path] = read_attachment(folder / expanded(path))
            parts += [text[end : match.start()], path, "" if match[1] else name[len(path) :]]
            end = match.end()
    attachments = tuple(Attachment(name, file.text) for name, file in files.items())
    return Mentioned("".join([*parts, text[end:]]), attachments, named)


def _file(folder: Path, names: Sequence[str]) -> str | None:
    """Return the first of *names* that is a file; a system may refuse to look for some names."""
    for name in names:
        try:
            if (folder / expanded(name)).is_file():
                return name
        except (OSError, RuntimeError, ValueError):
            continue
    return None


def written(path: str) -> str:
    """Return how a file is mentioned."""
    return f'@"{path}"' if re.search(r"[\s\"@]", path) or path[-1:] in _CLOSING else f"@{path}"


def files_like(beginning: str, folder: Path, most: int) -> Iterator[str]:
    """Yield the files and folders whose paths begin so; folders end with a slash.

    Hidden ones come when their dot was typed.
    """
    parent, _, start = beginning.rpartition("/")
    slash = beginning[: len(beginning) - len(start)]
    try:
        whole = (folder / expanded(slash or ".")).iterdir()
        found = sorted(islice(whole, LOOKED_AT))
    except (OSError, RuntimeError, ValueError):
        return
    for path in found:
        hidden = path.name.startswith(".") and not start.startswith(".")
        if path.name.startswith(start) and not hidden and path.name.isprintable():
            yield slash + path.name + ("/" if path.is_dir() else "")
            most -= 1
            if most == 0:
                return
