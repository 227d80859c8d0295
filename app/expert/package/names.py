"""Which names a file in a package may have: such as are safe and distinct on every system."""

import re

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DEVICES = frozenset({"con", "prn", "aux", "nul"}) | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789"
}
MAX_LENGTH = 80
"""Leaves room for `files/` and `.zst` in the 100 bytes of a ustar name."""


def path_problem(path: str) -> str | None:
    """Return why *path* cannot be a file's name in a package, or None if it can."""
    if not path or len(path) > MAX_LENGTH:
        return f"a file name has 1 to {MAX_LENGTH} characters"
    for segment in path.split("/"):
        if not _SEGMENT.fullmatch(segment):
            return "names consist of A-Z a-z 0-9 . _ - and do not start with a dot or dash"
        if segment.endswith("."):
            return "names do not end with a dot"
        if segment.split(".")[0].lower() in _DEVICES:
            return "it is the name of a device on Windows"
    if path.endswith(".zst"):
        return "names do not end with .zst, which marks a compressed file"
    return None


def collision(paths: list[str]) -> str | None:
    """Return a path that is another one's twin where case does not count, or its folder."""
    seen: set[str] = set()
    for path in sorted(paths, key=str.lower):
        low = path.lower()
        parents = {low.rsplit("/", depth)[0] for depth in range(1, low.count("/") + 1)}
        if low in seen or parents & seen:
            return path
        seen.add(low)
    return None
