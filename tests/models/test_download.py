"""Downloads from a server that misbehaves: resumed, refused, never half right."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expert.errors import ExpertError, NetworkNeededError, NotFoundError, ResourceError
from expert.errors import VerificationError as Wrong
from expert.models import download as room
from expert.models.download import Remote, download
from expert.models.responses import LATER
from expert.store.locks import exclusive
from support.hub import FIRST, Hub, git_id

DATA = random.Random(3).randbytes(3_000_000)
REPO, NAME = "org/repo", "model.gguf"


@pytest.fixture(name="remote")
def file_on_the_hub(hub: Hub) -> Remote:
    """A file of three megabytes behind a redirect."""
    hub.add(REPO, {NAME: DATA})
    url = f"{hub.address}/{REPO}/resolve/{FIRST}/{NAME}"
    return Remote(url, len(DATA), hashlib.sha256(DATA).hexdigest(), FIRST, "hf_secret")


@pytest.fixture(name="part")
def part_file(tmp_path: Path) -> Path:
    """Where it arrives."""
    return tmp_path / "downloads" / "file.part"


def ranges(hub: Hub) -> list[str | None]:
    """Return what each request for bytes asked for."""
    return [one.headers.get("Range") for one in hub.asked("store")]


def test_a_whole_download(hub: Hub, remote: Remote, part: Path) -> None:
    """One request, the right bytes, and progress to the end."""
    seen: list[tuple[int, int]] = []
    download(remote, part, lambda done, total: seen.append((done, total)))
    assert part.read_bytes() == DATA
    assert ranges(hub) == [None]
    assert seen == sorted(seen)
    assert seen[-1] == (len(DATA), len(DATA))


def test_the_token_stays_with_the_hub(hub: Hub, remote: Remote, part: Path) -> None:
    """The place that has the bytes is another server, which must not learn it."""
    download(remote, part)
    (asked,), (fetched,) = hub.asked("hub"), hub.asked("store")
    assert asked.headers["Authorization"] == "Bearer hf_secret"
    assert "Authorization" not in fetched.headers
    assert "hf_secret" not in repr(remote)


def test_a_redirect_on_the_same_server_keeps_the_token(
    hub: Hub, remote: Remote, part: Path
) -> None:
    """A renamed repository is still the hub's."""
    hub.redirect = f"/other/repo/resolve/{FIRST}/{NAME}"
    hub.add("other/repo", {NAME: DATA})
    with pytest.raises(ExpertError):  # it redirects for ever, which must end
        download(remote, part)
    tokens = [one.headers.get("Authorization") for one in hub.asked("hub")]
    assert len(tokens) > 1
    assert set(tokens) == {"Bearer hf_secret"}


def test_what_is_there_is_not_fetched_again(hub: Hub, remote: Remote, part: Path) -> None:
    """Only the rest is asked for, by whatever process."""
    part.parent.mkdir()
    part.write_bytes(DATA[:2_100_000])
    download(remote, part)
    assert part.read_bytes() == DATA
    assert ranges(hub) == ["bytes=2100000-"]
    download(remote, part)
    assert len(ranges(hub)) == 1


def test_cut_streams_are_continued(
    hub: Hub, remote: Remote, part: Path, waits: list[float]
) -> None:
    """As often as they bring something."""
    hub.faults = ["cut 500000"] * 5
    download(remote, part)
    assert part.read_bytes() == DATA
    assert ranges(hub) == [None] + [f"bytes={500_000 * n}-" for n in range(1, 6)]
    assert waits == [0.5] * 5


def test_a_server_that_brings_nothing_is_given_up(
    hub: Hub, remote: Remote, part: Path, waits: list[float]
) -> None:
    """With longer and longer pauses; what came stays."""
    hub.faults = ["cut 700000", *["cut 10"] * 20]
    with pytest.raises(NetworkNeededError, match="goes on where it stopped") as caught:
        download(remote, part)
    assert "cut" in caught.value.why.lower()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert part.read_bytes() == DATA[: 700_000 + 50]


def test_a_part_that_was_damaged_is_fetched_again(hub: Hub, remote: Remote, part: Path) -> None:
    """The hash at the end tells, and one whole fetch follows."""
    part.parent.mkdir()
    part.write_bytes(b"x" * 1_000_000)
    download(remote, part)
    assert part.read_bytes() == DATA
    assert ranges(hub) == ["bytes=1000000-", None]


def test_a_part_that_is_too_long_is_dropped(hub: Hub, remote: Remote, part: Path) -> None:
    """It cannot be the beginning of this file."""
    part.parent.mkdir()
    part.write_bytes(DATA + b"more")
    download(remote, part)
    assert part.read_bytes() == DATA
    assert ranges(hub) == [None]


@pytest.mark.parametrize("redirect", ["store", None])
@pytest.mark.parametrize("have", [0, 1_500_000])
def test_same_size_corruption_is_refused(
    hub: Hub, remote: Remote, part: Path, redirect: str | None, have: int
) -> None:
    """On every route: from the hub or its store, whole or resumed."""
    hub.redirect = redirect
    hub.faults = ["same size"] * 3
    part.parent.mkdir()
    part.write_bytes(DATA[:have])
    with pytest.raises(Wrong, match="is not model.gguf"):
        download(remote, part)
    assert not part.exists()


def test_small_files_are_checked_by_their_git_name(hub: Hub, remote: Remote, part: Path) -> None:
    """Which is all the hub says about them."""
    small = Remote(remote.url, len(DATA), git_id(DATA), FIRST)
    assert download(small, part).read_bytes() == DATA
    hub.faults = ["same size"]
    part.unlink()
    with pytest.raises(Wrong):
        download(small, part)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("gzip", "encoded"), ("longer", "not 3000000"), ("shorter", "not 3000000")],
)
def test_other_answers_than_announced_are_refused(
    hub: Hub, remote: Remote, part: Path, fault: str, words: str
) -> None:
    """Before a byte of them is kept."""
    hub.faults = [fault]
    with pytest.raises(Wrong) as caught:
        download(remote, part)
    assert words in caught.value.why
    assert not part.exists()


def test_more_bytes_than_announced_are_not_kept(
    hub: Hub, remote: Remote, part: Path, waits: list[float]
) -> None:
    """A stream without a length ends at the file's size, and is begun again."""
    hub.faults = ["endless"]
    download(remote, part)
    assert part.read_bytes() == DATA
    hub.faults = ["endless"] * 9
    part.unlink()
    with pytest.raises(NetworkNeededError, match="could not be fetched"):
        download(remote, part)


def test_a_server_that_knows_no_ranges_starts_again(hub: Hub, remote: Remote, part: Path) -> None:
    """200 instead of 206 is the whole file, not the rest."""
    part.parent.mkdir()
    part.write_bytes(DATA[:1_000_000])
    hub.faults = ["ignore range"]
    assert download(remote, part).read_bytes() == DATA
    assert len(ranges(hub)) == 1


def test_a_wrong_range_is_refused(hub: Hub, remote: Remote, part: Path) -> None:
    """Bytes from elsewhere must not be appended; what is there stays."""
    part.parent.mkdir()
    part.write_bytes(DATA[:1_000_000])
    hub.faults = ["wrong range"]
    with pytest.raises(Wrong) as caught:
        download(remote, part)
    assert "another part" in caught.value.why
    assert part.read_bytes() == DATA[:1_000_000]


def test_416_starts_again(hub: Hub, remote: Remote, part: Path, waits: list[float]) -> None:
    """The part is of no use to that server."""
    part.parent.mkdir()
    part.write_bytes(DATA[:1_000_000])
    hub.faults = ["status 416"]
    assert download(remote, part).read_bytes() == DATA
    assert ranges(hub) == ["bytes=1000000-", None]
    hub.faults = ["status 416"]
    part.unlink()
    with pytest.raises(Wrong):
        download(remote, part)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NotFoundError), (403, NotFoundError), (404, NotFoundError), (418, NetworkNeededError)],
)
def test_refusals_by_the_server(
    hub: Hub, remote: Remote, part: Path, status: int, kind: type[ExpertError]
) -> None:
    """At once, and each as what it is."""
    hub.faults = [f"status {status}"] * 2
    with pytest.raises(kind) as caught:
        download(remote, part)
    assert len(hub.faults) == 1
    assert ("HF_TOKEN" in caught.value.fix) == (status in (401, 403))


def test_a_busy_server_is_asked_again(
    hub: Hub, remote: Remote, part: Path, waits: list[float]
) -> None:
    """After the time it names, in seconds or as a date, or our own where it names none."""
    hub.faults = ["wait 7", "wait Fri, 01 Jan 2021 00:00:00 GMT", "wait soon", "status 503"]
    assert download(remote, part).read_bytes() == DATA
    assert waits == [7.0, 0.0, 4.0, 8.0]
    assert 429 in LATER


def test_a_server_that_wants_much_patience_is_reported(
    hub: Hub, remote: Remote, part: Path, waits: list[float]
) -> None:
    """Instead of hanging for an hour."""
    for text in ("3600", "inf"):
        hub.faults = [f"wait {text}"]
        with pytest.raises(NetworkNeededError) as caught:
            download(remote, part)
        assert "asks to wait" in caught.value.why
    assert waits == []


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-Repo-Commit": "3" * 40}, "commit"),
        ({"X-Linked-Etag": f'"{"4" * 64}"'}, "content"),
        ({"X-Linked-Etag": f'W/"{"4" * 64}"'}, "content"),
        ({"X-Linked-Size": "5"}, "5 bytes"),
    ],
)
@pytest.mark.parametrize("redirect", ["store", None])
def test_a_file_that_changed_meanwhile_is_refused(
    hub: Hub, remote: Remote, part: Path, headers: dict[str, str], words: str, redirect: str | None
) -> None:
    """Between two attempts as well; what the hub says is compared every time."""
    hub.redirect = redirect
    part.parent.mkdir()
    part.write_bytes(DATA[:1000])
    hub.headers = headers
    with pytest.raises(Wrong) as caught:
        download(remote, part)
    assert words in caught.value.why


def test_tags_of_other_hosts_mean_nothing(hub: Hub, remote: Remote, part: Path) -> None:
    """A store may name its bytes as it likes; their hash decides."""
    hub.headers = {"X-Linked-Etag": '"short"', "ETag": f'"{"5" * 64}"'}
    assert download(remote, part).read_bytes() == DATA


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/y", "//[bad"]
)
def test_redirects_to_other_kinds_of_addresses_are_refused(
    hub: Hub, remote: Remote, part: Path, target: str, waits: list[float]
) -> None:
    """Nothing on this machine can be passed off as a download."""
    hub.redirect = target
    with pytest.raises(ExpertError):
        download(remote, part)
    assert not part.exists()


def test_protection_is_not_given_up(remote: Remote) -> None:
    """From https never to http."""
    import io
    from http.client import HTTPMessage
    from urllib.request import Request

    from expert.models.responses import Redirects

    secure = Request("https://hub.example/file")
    with pytest.raises(Wrong):
        Redirects(remote).redirect_request(
            secure, io.BytesIO(), 302, "", HTTPMessage(), "http://hub.example/file"
        )


def test_no_server_at_all(remote: Remote, part: Path, waits: list[float]) -> None:
    """After some attempts, with what to do."""
    gone = Remote("http://127.0.0.1:9/x", 10, "0" * 64)
    with pytest.raises(NetworkNeededError, match="could not be fetched"):
        download(gone, part)


def test_a_slow_server_is_left(
    hub: Hub, remote: Remote, part: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that keeps the connection open and sends nothing counts as cut."""
    monkeypatch.setattr(room, "TIMEOUT", 0.3)
    hub.faults = ["cut 400000", "hang"]
    assert download(remote, part).read_bytes() == DATA
    assert ranges(hub) == [None, "bytes=400000-"]


def test_a_trickle_is_left(
    hub: Hub, remote: Remote, part: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection below the least pace is given up, even if it never pauses."""
    monkeypatch.setattr(room, "PACE_S", -1.0)
    monkeypatch.setattr(room, "PACE_BYTES", 10 * len(DATA))
    monkeypatch.setattr(room, "GAIN", len(DATA))
    monkeypatch.setattr(room, "_BLOCK", 1000)
    with pytest.raises(NetworkNeededError) as caught:
        download(remote, part)
    assert "slow" in caught.value.why


def test_a_full_disk_is_refused_first(
    hub: Hub, remote: Remote, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a request for bytes is made."""
    free = shutil.disk_usage(part.parent.parent)
    almost = free._replace(free=room.SPARE + len(DATA) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: almost)
    with pytest.raises(ResourceError, match="not enough room"):
        download(remote, part)
    assert hub.seen == []


def test_a_disk_that_fills_up_meanwhile(
    hub: Hub, remote: Remote, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is a typed error, and nothing that looks complete is left."""
    real: Callable[..., Any] = Path.open

    def full(self: Path, mode: str = "r", *rest: Any) -> Any:
        if self == part and "w" in mode:
            raise OSError(28, "No space left on device")
        return real(self, mode, *rest)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ResourceError, match="No space left"):
        download(remote, part)


def test_two_processes_do_not_write_one_part(remote: Remote, part: Path) -> None:
    """The second is told, at once."""
    import threading

    part.parent.mkdir()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive(part.with_suffix(".lock")):
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        with pytest.raises(ResourceError, match="fetching this file"):
            download(remote, part)
    finally:
        release.set()
        thread.join()
