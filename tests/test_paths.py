"""Where files belong: one variable moves all of them, and folders are private."""

import stat
from pathlib import Path

import pytest

from expert.errors import ResourceError
from expert.paths import make_private, user_paths


def test_expert_home_moves_everything(home: Path) -> None:
    """Every path lies under EXPERT_HOME, and asking creates nothing."""
    paths = user_paths()
    for path in (paths.config_file, paths.models, paths.headers, paths.runtime):
        assert home in path.parents
    assert list(home.iterdir()) == []


def test_the_system_decides_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without EXPERT_HOME the XDG variables hold, each for its own kind."""
    monkeypatch.delenv("EXPERT_HOME")
    for name in ("CONFIG_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    paths = user_paths()
    assert paths.config_file == tmp_path / "CONFIG_HOME/expert/config.toml"
    assert paths.models == tmp_path / "DATA_HOME/expert/models"
    assert paths.headers == tmp_path / "CACHE_HOME/expert/headers"
    assert paths.runtime == tmp_path / "RUNTIME_DIR/expert"


def test_no_runtime_folder_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a login session's own folder, the cache is used, not a folder under /tmp."""
    monkeypatch.delenv("EXPERT_HOME")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert user_paths().cache in user_paths().runtime.parents


def test_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    """A created folder has mode 0700."""
    folder = make_private(tmp_path / "new")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is code 9, and the message names EXPERT_HOME."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="EXPERT_HOME"):
        make_private(tmp_path / "file" / "below")
