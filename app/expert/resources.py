"""Where the bundled data folders are: inside the installed package, or the checkout's own."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def data(name: str) -> Traversable:
    """Return the folder of bundled *name* files: "experts" or "grammars"."""
    bundled = files("expert") / "data" / name
    return bundled if bundled.is_dir() else Path(__file__).parents[2] / name


def pocket() -> Path:
    """Return the embedded base model's GGUF file."""
    return Path(str(data("experts"))) / "pocket" / "pocket.gguf"
