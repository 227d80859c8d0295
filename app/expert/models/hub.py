"""What a repository on the Hugging Face Hub holds: its commit, its files, and their hashes.

Only asked when the user asks for something from there. The bytes come by `download.py`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from expert.errors import ExpertError, NetworkNeededError, NotFoundError, VerificationError
from expert.models.download import Progress, Remote, download
from expert.models.responses import no_access

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo
    from huggingface_hub.hf_api import RepoSibling

TIMEOUT = 30.0
MAX_FILES = 10_000
_COMMIT = re.compile("[0-9a-f]{40}")
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository."""

    path: str
    size: int
    digest: str
    """SHA-256 of large files; of small ones, what git calls them."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in one state."""

    name: str
    """`ORG/REPO`."""
    commit: str
    files: dict[str, HubFile]
    license: str | None
    """As its card states it."""


def endpoint() -> str:
    """Return the hub's address; HF_ENDPOINT names a mirror."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def read_repository(name: str, revision: str | None = None) -> Repository:
    """Ask the hub what a repository holds at *revision*, by default its newest state.

    Raises:
        NetworkNeededError: the hub cannot be reached, or wants no requests now.
        NotFoundError: there is no such repository or revision, or not for this user.
        VerificationError: the answer makes no sense.
    """
    import httpx2  # the transport of huggingface_hub
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        api = HfApi(endpoint=endpoint(), token=_token() or False, library_name="expert")
        info = api.model_info(name, revision=revision, timeout=TIMEOUT, files_metadata=True)
        found = _repository(name, info)
    except HfHubHTTPError as error:
        raise _refusal(name, revision, error.response.status_code) from error
    except HFValidationError as error:
        raise NotFoundError(f"{name!a} is no repository's name.", "", "Write ORG/REPO.") from error
    except OfflineModeIsEnabled as error:
        raise _offline(name, "HF_HUB_OFFLINE is set") from error
    except (httpx2.HTTPError, OSError) as error:
        raise _offline(name, str(error) or type(error).__name__) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _nonsense(name, f"{type(error).__name__}: {error}") from error
    if revision is not None and _COMMIT.fullmatch(revision) and found.commit != revision:
        raise _nonsense(name, f"it was asked for the commit {revision} and tells of another")
    return found


def fetch(
    repository: Repository, file: HubFile, folder: Path, progress: Progress | None = None
) -> Path:
    """Fetch a file into *folder*, under its hash; one that is half there already is completed.

    Raises:
        as `expert.models.download.download`.
    """
    path = f"{repository.name}/resolve/{repository.commit}/{quote(file.path)}"
    remote = Remote(f"{endpoint()}/{path}", file.size, file.digest, repository.commit, _token())
    return download(remote, folder / f"{file.digest}.part", progress)


def _token() -> str | None:
    """Return the user's token, which travels only where nobody can read along."""
    from huggingface_hub import get_token

    address = urlsplit(endpoint())
    safe = address.scheme == "https" or address.hostname in ("127.0.0.1", "::1", "localhost")
    return get_token() if safe else None


def _repository(name: str, info: "ModelInfo") -> Repository:
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise _nonsense(name, "it names no commit")
    siblings = info.siblings or []
    if len(siblings) > MAX_FILES:
        raise _nonsense(name, f"it lists more than {MAX_FILES} files")
    files = {one.rfilename: file for one in siblings if (file := _file(one)) is not None}
    license = info.card_data.get("license") if info.card_data is not None else None
    return Repository(name, info.sha, files, license if isinstance(license, str) else None)


def _file(sibling: "RepoSibling") -> HubFile | None:
    """Return a listed file; None for what could not be fetched safely."""
    path = PurePosixPath(sibling.rfilename)
    size, digest = sibling.size, sibling.blob_id
    if sibling.lfs is not None:
        size, digest = sibling.lfs.size, sibling.lfs.sha256
    if path.is_absolute() or ".." in path.parts or not isinstance(size, int) or size < 0:
        return None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    return HubFile(sibling.rfilename, size, digest)


def _refusal(name: str, revision: str | None, status: int) -> ExpertError:
    if status in (401, 403):
        return no_access(name)
    if status == 404:
        at = "" if revision is None else f" with a revision {revision!a}"
        return NotFoundError(f"The hub has no repository {name}{at}.", "", "Check the name.")
    when = "It wants fewer requests" if status == 429 else f"It answers {status}"
    return NetworkNeededError(f"The hub says nothing about {name}.", f"{when}.", "Try again later.")


def _offline(name: str, why: str) -> NetworkNeededError:
    return NetworkNeededError(
        f"{name} is not on this machine, and {endpoint()} cannot be reached.",
        f"{why[:200]}.",
        "Connect to the network; or bring the file here, and use it by its path.",
    )


def _nonsense(name: str, why: str) -> VerificationError:
    return VerificationError(
        f"The hub's answer about {name} cannot be used.", f"{why[:200]}.", "Try again later."
    )
