"""An adapter in the two forms that tests compare."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MadeAdapter:
    """An adapter in both forms."""

    folder: Path
    path: Path
