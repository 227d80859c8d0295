"""Labelled requests: JSON Lines with a prompt, the experts it is for, and its group.

Prompts of one template share a group. A hash of the group's name says which half it belongs to;
only the development half may be used to fit anything.
"""

import hashlib
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from expert.errors import NotFoundError, UsageError
from expert.router.types import RouteRequest
from expert.types import Attachment

Half: TypeAlias = Literal["development", "heldout", "all"]


class Labelled(Struct, frozen=True, forbid_unknown_fields=True):
    """One labelled request."""

    prompt: str
    group: str
    experts: tuple[str, ...] = ()
    """Short names of the experts it is for; none: the base model."""
    kind: str = "plain"
    """What makes it hard, such as `typo` or `adversarial`."""
    attachments: tuple[Attachment, ...] = ()
    previous: str | None = None

    @property
    def request(self) -> RouteRequest:
        return RouteRequest(self.prompt, self.attachments, self.previous)

    @property
    def half(self) -> Half:
        return "heldout" if bucket(self.group, 2) else "development"


def bucket(group: str, count: int) -> int:
    """Return a number below *count* that depends on the group's name alone.

    Different counts give independent numbers.
    """
    digest = hashlib.sha256(f"{count}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def load_labelled(path: Path, half: Half = "all") -> list[Labelled]:
    """Read labelled requests of one half, or all of them.

    Raises:
        NotFoundError: the file cannot be read.
        UsageError: a line is not a labelled request.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read.", error.strerror or str(error), "Check the path."
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=Labelled))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(
                f"Line {number} of {path} is not a labelled prompt.",
                str(error),
                'A line is such as {"prompt": "…", "group": "…", "experts": ["sql"]}.',
            ) from error
    return [each for each in found if half in ("all", each.half)]
