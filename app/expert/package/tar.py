"""The one ustar header each member can have (POSIX 1003.1, pax interchange format, ustar).

There is a single valid encoding of every package: readers make the header they expect and compare
bytes. What a tar library would have to interpret, such as links, devices, owners or long names,
does not exist here; it is the header that Python's tarfile writes, and `tar tvf` reads it.
"""

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_SIZE = 8**11 - 1
"""Largest size that a ustar header can state."""
_NAME = slice(0, 100)
_SIZE = slice(124, 136)


def header(name: str, size: int) -> bytes:
    """Return the header of a regular file.

    Raises:
        ValueError: the name or the size does not fit.
    """
    if len(name) > 100 or not 0 <= size <= MAX_SIZE:
        raise ValueError(f"no ustar header can hold {name!a} of {size} bytes")
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,  # mode, owner, group
        b"%011o\0" % size + b"0" * 11 + b"\0",  # size, time
        b" " * 8 + b"0" + bytes(100),  # checksum, type, link
        b"ustar\x0000" + bytes(64),  # magic, version, names of owner and group
        bytes(16 + 155 + 12),  # device, prefix, unused
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padding(size: int) -> int:
    """Return how many zero bytes follow a member of *size* bytes."""
    return -size % BLOCK


def member_size(size: int) -> int:
    """Return the bytes that a member takes with its header and padding."""
    return BLOCK + size + padding(size)


def parse_header(block: bytes) -> tuple[str, int] | None:
    """Return name and size, or None if *block* is not exactly the header that they have."""
    try:
        name = block[_NAME].rstrip(b"\0").decode("ascii")
        size = int(block[_SIZE][:11], 8)
        return (name, size) if header(name, size) == block else None
    except ValueError:
        return None
