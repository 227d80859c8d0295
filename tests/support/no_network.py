"""Denies a program the internet, in the kernel: the first attempt ends it with SIGSYS.

A seccomp filter (man 2 seccomp, BPF of linux/filter.h) kills a process that calls socket() for
AF_INET or AF_INET6, whoever makes the call: Python, a C library, or a child.
"""

import ctypes
import os
import platform
import struct
import sys

_SOCKET = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}  # call, AUDIT_ARCH
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000  # SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS
_NUMBER, _ARCHITECTURE, _FAMILY = 0, 4, 16  # offsets in struct seccomp_data, little endian
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # of prctl


def supported() -> bool:
    """Tell whether this system has such filters."""
    return sys.platform == "linux" and platform.machine() in _SOCKET


def deny_internet() -> None:
    """Deny it to this process and all it starts, for good; use it as `preexec_fn`."""
    number, architecture = _SOCKET[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 5, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 3, number),
        (_LOAD, 0, 0, _FAMILY),
        (_EQUAL, 2, 0, 2),  # AF_INET
        (_EQUAL, 1, 0, 10),  # AF_INET6
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":  # no_network.py COMMAND …: run it so
    deny_internet()
    os.execvp(sys.argv[1], sys.argv[1:])
