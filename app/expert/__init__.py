"""Expert: an offline assistant with one resident base model and many experts."""

from expert._version import __version__

__all__ = ["__version__"]
