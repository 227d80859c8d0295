"""What the hub says about repositories: believed where it makes sense, else refused."""

from collections.abc import Callable
from typing import Any

import pytest

from expert.errors import NetworkNeededError, NotFoundError, VerificationError
from expert.models.hub import endpoint, read_repository
from models.conftest import FILE, QWEN
from support.hub import FIRST, SECOND, Hub, git_id

Change = Callable[[dict[str, Any]], Any]


def test_a_repository_is_read(hub: Hub) -> None:
    """Its commit, licence, and each file with size and hash."""
    found = read_repository(QWEN)
    assert (found.commit, found.license) == (FIRST, "apache-2.0")
    assert len(found.files[FILE].digest) == 64
    small = found.files["README.md"]
    assert (small.size, small.digest) == (10, git_id(b"# A model\n"))
    (asked,) = hub.asked("hub")
    assert asked.path == f"/api/models/{QWEN}?blobs=true"
    assert asked.headers["authorization"] == "Bearer hf_secret"


def test_a_revision_is_read(hub: Hub) -> None:
    """And only that one."""
    hub.add(QWEN, {FILE: b"newer"}, SECOND)
    assert read_repository(QWEN).commit == SECOND
    assert read_repository(QWEN, FIRST).commit == FIRST
    with pytest.raises(NotFoundError):
        read_repository(QWEN, "3" * 40)


def test_unknown_names(hub: Hub) -> None:
    """Whatever is wrong with them."""
    for name in ("org/none", "none", "a/b/c", "../x", ""):
        with pytest.raises((NotFoundError, VerificationError)):
            read_repository(name)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_refusals(hub: Hub, status: int) -> None:
    """Gated is not found, trouble is trouble."""
    hub.refuse = status
    kind = NotFoundError if status < 429 else NetworkNeededError
    with pytest.raises(kind):
        read_repository(QWEN)


def test_no_network(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    """Code 8, with what cannot be reached."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkNeededError, match=r"127\.0\.0\.1:9 cannot be reached"):
        read_repository(QWEN)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkNeededError, match="HF_HUB_OFFLINE"):
        read_repository(QWEN)
    assert hub.seen == []


def test_the_token_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    """A mirror without TLS on another machine must not see it."""
    from expert.models.hub import _token

    assert _token() == "hf_secret"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example/")
    assert endpoint() == "http://mirror.example"
    assert _token() is None


def without(key: str) -> Change:
    """Return a change that leaves a key out."""
    return lambda found: {name: value for name, value in found.items() if name != key}


@pytest.mark.parametrize(
    "change",
    [
        without("sha"),
        lambda found: found | {"sha": 5},
        lambda found: found | {"sha": "main"},
        lambda found: found | {"siblings": "x"},
        lambda found: found | {"siblings": [{"no": "name"}]},
        lambda found: found | {"siblings": [{"rfilename": "x", "lfs": {"size": 1}}]},
        lambda found: found | {"siblings": [{"rfilename": str(n)} for n in range(10_001)]},
        lambda found: [found],
        lambda found: None,
    ],
)
def test_nonsense_is_refused(hub: Hub, change: Change) -> None:
    """As an error of the hub, not of ours."""
    hub.metadata = change
    with pytest.raises(VerificationError, match="cannot be used"):
        read_repository(QWEN)


@pytest.mark.parametrize(
    "row",
    [
        {"rfilename": "../x.gguf", "size": 1, "blobId": "a" * 40},
        {"rfilename": "/x.gguf", "size": 1, "blobId": "a" * 40},
        {"rfilename": "x.gguf", "size": -1, "blobId": "a" * 40},
        {"rfilename": "x.gguf", "size": "1", "blobId": "a" * 40},
        {"rfilename": "x.gguf", "size": 1, "blobId": "../a"},
        {"rfilename": "x.gguf"},
    ],
)
def test_files_that_cannot_be_fetched_safely_are_left_out(hub: Hub, row: dict[str, Any]) -> None:
    """A listing cannot lead out of a folder, or to a file without a hash."""
    hub.metadata = lambda found: found | {"siblings": [row]}
    assert read_repository(QWEN).files == {}


def test_another_commit_than_asked_for_is_refused(hub: Hub) -> None:
    """A hub cannot swap what was pinned."""
    hub.metadata = lambda found: found | {"sha": SECOND}
    with pytest.raises(VerificationError, match="another"):
        read_repository(QWEN, FIRST)
