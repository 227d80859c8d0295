"""A git repository, cloned by the system's git into the cache and then read as a folder.

Only the newest commit is fetched. Git runs without prompts, hooks, submodules and symbolic links,
and never with an address it could take for an option or a command.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from expert.errors import NetworkNeededError, NotFoundError, UsageError
from expert.market.sources.base import Offer, Progress, Rejected
from expert.market.sources.folder import FolderSource

TIMEOUT = 600
"""Seconds for one git command."""
_ADDRESS = re.compile(
    r"(?:(?:https|ssh|git|file)://[^\s\0#-][^\s\0#]*|[\w.-]+@[\w.-]+:[^\s\0#-][^\s\0#]*)"
    r"(?:#(?P<ref>[\w./-]+))?"
)
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "-c", "core.fsmonitor=false"),
    *("-c", "protocol.ext.allow=never", "-c", "submodule.recurse=false", "-c", "gc.auto=0"),
)


def is_git_address(text: str) -> bool:
    """Tell whether *text* is an address that git can clone, with an optional `#BRANCH`."""
    return _ADDRESS.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class GitSource:
    """Packages in a git repository."""

    address: str
    """With `#BRANCH` behind it if it is not the default one."""
    cache: Path

    @property
    def local(self) -> bool:
        return False

    @property
    def clone(self) -> Path:
        """Where its newest commit is checked out."""
        return self.cache / hashlib.sha256(self.address.encode()).hexdigest()[:24]

    def stamp(self) -> str:
        return self._folder.stamp()

    def update(self) -> None:
        if not is_git_address(self.address):
            raise UsageError(
                f"{self.address!a} is not the address of a git repository.",
                "Addresses look like https://example.org/experts.git or git@example.org:experts.",
                "Correct it.",
            )
        url, _, ref = self.address.partition("#")
        if (self.clone / ".git").is_dir():
            _git("-C", str(self.clone), "fetch", "--depth=1", "--no-tags", "origin", ref or "HEAD")
            _git("-C", str(self.clone), "reset", "--hard", "--quiet", "FETCH_HEAD")
            _git("-C", str(self.clone), "clean", "-dffx", "--quiet")
            return
        self.cache.mkdir(parents=True, exist_ok=True)
        draft = self.clone.with_suffix(f".{os.getpid()}")
        branch = ("--branch", ref) if ref else ()
        try:
            _git("clone", "--depth=1", "--no-tags", "--quiet", *branch, "--", url, str(draft))
            shutil.rmtree(self.clone, ignore_errors=True)
            draft.rename(self.clone)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def offers(self, known: Mapping[str, str]) -> Iterator[Offer | Rejected]:
        return self._folder.offers(known)

    def statements(self) -> Iterator[bytes]:
        return self._folder.statements()

    def fetch(self, location: str, progress: Progress | None) -> Path:
        return self._folder.fetch(location, progress)

    def push(self, message: str) -> None:
        """Commit what was put into the clone, and send it.

        Raises:
            NetworkNeededError: git failed, for example because it may not write there.
        """
        ref = self.address.partition("#")[2]
        _git("-C", str(self.clone), "add", "--all")
        _git("-C", str(self.clone), "commit", "--quiet", "--message", message)
        _git("-C", str(self.clone), "push", "--quiet", "origin", f"HEAD:{ref}" if ref else "HEAD")

    @property
    def _folder(self) -> FolderSource:
        return FolderSource(self.clone)


def _git(*arguments: str) -> None:
    """Run git without any way for it to ask or to run something else.

    Raises:
        NotFoundError: git is not installed.
        NetworkNeededError: it failed.
    """
    environment = os.environ | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "LC_ALL": "C",
    }
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    try:
        subprocess.run(
            ["git", *_OPTIONS, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
    except FileNotFoundError as error:
        raise NotFoundError(
            "git is not installed.", "Git sources need it.", "Install git, or use a folder."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NetworkNeededError(
            "git took too long.", f"It was stopped after {TIMEOUT} seconds.", "Try again later."
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        why = re.sub(r"[^ -~]", "?", said[-1] if said else "It said nothing")[:200]
        raise NetworkNeededError(
            "git could not reach the repository.", f"{why}.", "Check the address and the network."
        ) from error
