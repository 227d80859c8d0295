"""SSH's binary encoding (RFC 4251, section 5): length-prefixed strings and 32-bit numbers."""

import struct
from dataclasses import dataclass


def string(data: bytes) -> bytes:
    """Return *data* behind its length."""
    return struct.pack(">I", len(data)) + data


def uint32(number: int) -> bytes:
    """Return a number in four bytes."""
    return struct.pack(">I", number)


class WireError(ValueError):
    """The bytes end early or go on too long; callers turn it into an error of their own."""


@dataclass(slots=True)
class Reader:
    """Takes values off the front of a buffer."""

    data: bytes
    offset: int = 0

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes.

        Raises:
            WireError: there are not so many.
        """
        end = self.offset + count
        if end > len(self.data):
            raise WireError("it ends early")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def uint32(self) -> int:
        number: int = struct.unpack(">I", self.take(4))[0]
        return number

    def string(self) -> bytes:
        return self.take(self.uint32())

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            WireError: there is more.
        """
        if self.offset != len(self.data):
            raise WireError("it goes on after its end")
