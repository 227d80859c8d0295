"""Writing a file or folder as a whole: the target appears complete, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from expert.errors import ResourceError, UsageError


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose contents become *target* when the block ends well.

    Raises:
        ResourceError: the file cannot be written.
    """
    draft: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
        draft = Path(name)
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.chmod(draft, 0o644)
        draft.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes *target* when the block ends well.

    Raises:
        UsageError: *target* exists.
        ResourceError: it cannot be written.
    """
    if target.exists():
        raise UsageError(
            f"{target} exists.", "Nothing is overwritten.", "Choose another name, or remove it."
        )
    draft: Path | None = None
    try:
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
        yield draft
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _cannot_write(target: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"Cannot write {target}.",
        f"{error.strerror or error}.",
        "Choose another place, or free some disk space; nothing was left behind.",
    )
