"""Confining programs to a folder: the kernel refuses what would change anything outside.

Landlock (landlock(7), Linux 5.13 and later) restricts a thread and everything it starts, for good.
So programs are started from a thread that restricts itself first and then ends. Elsewhere, and
under older kernels, nothing is confined.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

Started = TypeVar("Started")

# System calls of linux/landlock.h, with one number on every architecture, and prctl.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_WRITE_FILE, _REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 1, 1 << 13, 1 << 14, 1 << 15
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing, removing and making of every kind, as the first version knew them."""
_LATER = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
"""Rights by the version that brought them."""
_TCP, _TCP_SINCE, _SCOPES, _SCOPES_SINCE = 0b11, 4, 0b11, 6
"""Binding and connecting; abstract sockets and signals to programs outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("filesystem", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


@cache
def version() -> int:
    """Return the version of Landlock that this kernel has; 0 if none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_system().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


def confined(folder: Path, start: Callable[[], Started]) -> Started:
    """Return what *start* returns; programs that it starts can change nothing outside *folder*.

    They can read what they could, write to /dev/null, and neither use TCP nor signal others, as far
    as the kernel's version goes.

    Raises:
        OSError: the kernel has Landlock and refuses it.
    """
    if not version():
        return start()

    def inside() -> Started:
        _restrict(folder)
        return start()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(inside).result()


def _restrict(folder: Path) -> None:
    """Take from this thread, and all it starts, the right to change what is outside *folder*."""
    rights = _CHANGES | sum(right for since, right in _LATER if version() >= since)
    ruleset = _Ruleset(
        rights,
        _TCP if version() >= _TCP_SINCE else 0,
        _SCOPES if version() >= _SCOPES_SINCE else 0,
    )
    size = ctypes.c_size_t(ctypes.sizeof(ruleset))
    handle = _call(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    try:
        _allow(handle, folder, rights)
        _allow(handle, Path(os.devnull), rights & (_WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE))
        if _system().prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0))):
            raise OSError(ctypes.get_errno(), "the kernel keeps the right to new privileges")
        _call(_RESTRICT_SELF, handle, 0)
    finally:
        os.close(handle)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(rights, beneath)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(beneath)


def _call(number: int, *arguments: object) -> int:
    found = int(_system().syscall(number, *arguments))
    if found < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return found


@cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
