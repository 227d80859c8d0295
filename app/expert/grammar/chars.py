"""Sets of characters, as sorted ranges of code points that do not touch.

U+0000 and the surrogates are in no set: no answer can hold them, in llama.cpp or in UTF-8.
"""

import bisect
from collections.abc import Iterable
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive ranges, ascending, with a gap between each two."""

ANY: Ranges = ((1, 0xD7FF), (0xE000, 0x10FFFF))
NONE: Ranges = ()


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return the set of the inclusive *pairs*, which may overlap or be reversed (empty)."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for pair in pairs if pair[0] <= pair[1]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return intersect(tuple(merged), ANY)


def of(text: str) -> Ranges:
    """Return the set of the characters of *text*."""
    if len(text) == 1 and holds(ord(text)):
        return ((ord(text), ord(text)),)
    return ranges((ord(char), ord(char)) for char in text)


def holds(point: int) -> bool:
    """Tell whether an answer can have this code point."""
    return 0 < point < 0xD800 or 0xDFFF < point <= 0x10FFFF


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """Return what both sets have."""
    common, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            common.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(common)


def complement(members: Ranges) -> Ranges:
    """Return every other character."""
    gaps, low = [], 0
    for first, last in members:
        gaps.append((low, first - 1))
        low = last + 1
    return ranges([*gaps, (low, 0x10FFFF)])


def overlap(left: Ranges, right: Ranges) -> bool:
    """Tell whether a character is in both sets."""
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i][0] <= right[j][1] and right[j][0] <= left[i][1]:
            return True
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return False


def union(sets: Iterable[Ranges]) -> Ranges:
    """Return what any of the sets has."""
    return ranges(pair for members in sets for pair in members)


def partition(sets: Iterable[Ranges]) -> list[tuple[int, int]]:
    """Return the coarsest ranges such that each is wholly inside or outside of every set."""
    members = list(sets)
    bounds = {low for one in members for low, _ in one}
    bounds |= {high + 1 for one in members for _, high in one}
    parts = []
    cuts = sorted(bounds)
    for low, high in union(members):
        first, last = bisect.bisect_left(cuts, low), bisect.bisect_left(cuts, high + 1)
        parts += [(cuts[i], cuts[i + 1] - 1) for i in range(first, last)]
    return parts


def lead_bytes(members: Ranges) -> int:
    """Return the first bytes of the characters in UTF-8, as a set of bits."""
    found = 0
    for low, high in members:
        first, last = chr(low).encode()[0], chr(high).encode()[0]
        found |= (2 << last) - (1 << first)
    return found
