"""Where Expert keeps its files; the only module that knows.

`EXPERT_HOME` puts everything under one folder; otherwise the system's own conventions hold.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from expert.errors import ResourceError


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and files of one user."""

    config: Path
    """Settings: `config.toml`."""
    data: Path
    """What must not be lost: models and, later, installed experts and conversations."""
    cache: Path
    """What can be made again: inspected model headers, partial downloads."""
    runtime: Path
    """What ends with the login: sockets."""

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def headers(self) -> Path:
        return self.cache / "headers"


def expanded(path: str | Path) -> Path:
    """Return *path* with its user's folder for `~`; a user that there is not keeps the tilde."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises for an unknown user


def user_paths() -> Paths:
    """Return where this user's files belong; creates nothing."""
    if home := os.environ.get("EXPERT_HOME"):
        root = expanded(home).absolute()
        return Paths(root / "config", root / "data", root / "cache", root / "run")
    dirs = platformdirs.PlatformDirs("expert", appauthor=False)
    # platformdirs would fall back to a shared folder under /tmp; the cache is this user's own.
    session = os.environ.get("XDG_RUNTIME_DIR")
    runtime = Path(session) / "expert" if session else dirs.user_cache_path / "run"
    return Paths(dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, runtime)


def make_private(folder: Path) -> Path:
    """Create *folder*, readable by its owner only, and return it.

    Raises:
        ResourceError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"Cannot create the folder {folder}.",
            error.strerror or str(error),
            "Make its parent writable, or set EXPERT_HOME to a folder of yours.",
        ) from error
    return folder
