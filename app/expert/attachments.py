"""Files that go with a question: read whole, as text, or refused with the reason."""

from pathlib import Path

from expert.errors import InputTooLongError, NotFoundError, UsageError
from expert.paths import expanded
from expert.types import Attachment

LONGEST = 16 << 20
"""Most bytes of a file; no context holds a hundredth of them."""


def read_attachment(path: Path) -> Attachment:
    """Return a file's text under its name.

    Raises:
        NotFoundError: it cannot be read.
        UsageError: it is not text in UTF-8.
        InputTooLongError: it is longer than any context.
    """
    try:
        with expanded(path).open("rb") as stream:
            raw = stream.read(LONGEST + 1)
    except OSError as error:
        raise NotFoundError(
            f"The file {path} cannot be read.", f"{error.strerror}.", "Check the path."
        ) from error
    if len(raw) > LONGEST:
        raise InputTooLongError(
            f"The file {path} is longer than {LONGEST >> 20} MiB.",
            "No context holds that much.",
            "Attach the part that matters.",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The file {path} is not text in UTF-8.",
            f"Byte {error.start} (0x{raw[error.start]:02x}) begins no character.",
            "Only text can be attached; convert it first.",
        ) from error
    if "\0" in text:
        raise UsageError(
            f"The file {path} is not text.", "It holds zero bytes.", "Only text can be attached."
        )
    return Attachment(str(path), text.replace("\r\n", "\n"))
