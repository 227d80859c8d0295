"""Pulling base models: pinned at first sight, resumed after a kill, checked before use."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.models import find_model
from expert.models.catalogue import CATALOGUE, parse_wanted
from expert.models.identity import identify
from expert.models.pull import downloads, pull, pulled, read_record, remove
from expert.paths import user_paths
from models.conftest import FILE, QWEN
from support.hub import FIRST, SECOND, Hub
from support.program import PROGRAM, expert

NAME = "qwen3-0.6b"


def test_a_pull_puts_the_model_into_place(hub: Hub, tiny_path: Path) -> None:
    """Complete, named as in the catalogue, with what was learned beside it."""
    record = pull(NAME)
    model = find_model(NAME)
    assert model.path.read_bytes() == tiny_path.read_bytes()
    assert (record.repository, record.commit, record.file) == (QWEN, FIRST, FILE)
    assert record.sha256 == hashlib.sha256(tiny_path.read_bytes()).hexdigest()
    assert (record.license, pulled()) == ("apache-2.0", {NAME: record})
    assert [path.suffix for path in downloads().iterdir()] == [".lock"]


def test_what_is_here_is_not_asked_for_again(hub: Hub) -> None:
    """A second pull reads the file and asks nobody."""
    record = pull(NAME)
    hub.seen.clear()
    assert pull(NAME) == record
    assert hub.seen == []


def test_the_first_pull_is_a_pin(hub: Hub, tiny_path: Path) -> None:
    """Later pulls bring the same commit, whatever is new, until the newest is asked for."""
    first = pull(NAME)
    newer = tiny_path.read_bytes() + bytes(32)
    hub.add(QWEN, {FILE: newer}, SECOND)
    remove(NAME)
    assert pull(NAME) == first
    assert pull(NAME, newest=True).commit == SECOND
    assert find_model(NAME).path.read_bytes() == newer
    assert pull(NAME).commit == SECOND


def test_a_pinned_commit_with_other_content_is_refused(hub: Hub) -> None:
    """Commits do not change; a hub that says otherwise is wrong."""
    pull(NAME)
    remove(NAME)
    hub.add(QWEN, {FILE: b"other"}, FIRST)
    with pytest.raises(VerificationError, match="another qwen3"):
        pull(NAME)


def test_damage_on_the_disk_is_repaired(hub: Hub, tiny_path: Path) -> None:
    """A pull reads what is here, and fetches it again if it is not what was pulled."""
    pull(NAME)
    path = find_model(NAME).path
    path.write_bytes(b"x" + path.read_bytes()[1:])
    pull(NAME)
    assert path.read_bytes() == tiny_path.read_bytes()


def test_what_is_no_model_gets_no_name(hub: Hub) -> None:
    """Right bytes of the wrong kind are refused, and not kept."""
    hub.add(QWEN, {FILE: b"GGUF and nothing else"})
    with pytest.raises(VerificationError, match="not a usable model"):
        pull(NAME)
    assert not (user_paths().models / f"{NAME}.gguf").exists()
    assert not list(downloads().glob("*.part"))


def test_a_file_without_a_sha256_is_refused(hub: Hub) -> None:
    """A model is large; a hub that names no SHA-256 for it is not to be believed."""
    hub.plain = (FILE,)
    with pytest.raises(VerificationError, match="does not say"):
        pull(NAME)


def test_the_users_own_files_stay(hub: Hub, tiny_path: Path) -> None:
    """Neither pull nor rm touches a file of that name which Expert did not fetch."""
    folder = user_paths().models
    folder.mkdir(parents=True)
    (folder / f"{NAME}.gguf").write_bytes(b"mine")
    with pytest.raises(UsageError, match="of your own"):
        pull(NAME)
    with pytest.raises(UsageError, match="not fetched"):
        remove(NAME)
    assert remove(NAME, own=True) == 4
    with pytest.raises(NotFoundError):
        remove(NAME)


def test_other_quantisations_and_repositories(hub: Hub, tiny_path: Path) -> None:
    """By quantisation or by file, each under a name of its own."""
    data = tiny_path.read_bytes()
    files = {"Qwen3-4B-Q4_K_M.gguf": data, "Qwen3-4B-Q8_0.gguf": data + bytes(32)}
    hub.add("Qwen/Qwen3-4B-GGUF", files)
    assert pull("qwen3-4b").file == "Qwen3-4B-Q4_K_M.gguf"
    assert pull("qwen3-4b:q8_0").name == "qwen3-4b-q8_0"
    hub.add("me/mine", {"sub/My.Model.gguf": data})
    assert pull("me/mine:sub/My.Model.gguf").name == "my.model"
    with pytest.raises(NotFoundError, match=r"Qwen3-4B-Q8_0\.gguf"):
        pull("qwen3-4b:q2_k")


def test_names() -> None:
    """Every listed model can be named; what names nothing is refused with what does."""
    for listed in CATALOGUE:
        wanted = parse_wanted(listed.name)
        assert (wanted.name, wanted.repository) == (listed.name, listed.repository)
    assert parse_wanted("me/mine@v1:a.gguf").revision == "v1"
    for text in (
        "qwen3-0.6b:",
        "qwen3-0.6b:../x",
        "me/mine",
        "a:b",
        "me/mine:/.gguf",
        "me/x:..gguf",
    ):
        with pytest.raises(UsageError):
            parse_wanted(text)
    with pytest.raises(NotFoundError, match="qwen3-8b"):
        parse_wanted("qwen9")


def test_a_record_that_cannot_be_read_counts_as_none(hub: Hub) -> None:
    """A damaged note is learned again."""
    pull(NAME)
    path = user_paths().models / f"{NAME}.json"
    path.write_text("{")
    assert read_record(NAME) is None
    assert pulled() == {}


def test_the_identity_is_computed_once(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again only for another file."""
    from expert.models import identity

    first = identify(tiny_path)
    monkeypatch.delattr(identity, "base_identity")
    assert identify(tiny_path) == first
    os.utime(tiny_path)
    with pytest.raises(NameError):
        identify(tiny_path)


# The program ----------------------------------------------------------------------------------


def test_the_whole_life_of_a_model(hub: Hub, tiny_path: Path, home: Path) -> None:
    """List, pull, show, use, ask, remove."""
    rows = json.loads(expert("model", "list", "--available", "--json").out)
    assert [row["name"] for row in rows] == [listed.name for listed in CATALOGUE]
    missing = expert("ask", "-m", NAME, "Hi")
    assert (missing.code, f"expert model pull {NAME}" in missing.message) == (3, True)
    done = expert("model", "pull", NAME)
    assert (done.code, done.message) == (0, "")
    assert FIRST in done.text
    assert f"* {NAME}" in expert("model", "list", "--available").text
    shown = json.loads(expert("model", "show", NAME, "--json").out)
    assert shown["pulled"]["commit"] == FIRST
    assert set(shown["base"]) == {"architecture", "shapes", "tokenizer", "norms"}
    assert expert("model", "use", NAME).code == 0
    assert expert("ask", "--max-tokens", "2", "Hi").code == 0
    assert "default model" in expert("model", "rm", NAME).text
    assert expert("model", "rm", NAME).code == 3


def test_without_a_network(hub: Hub) -> None:
    """Code 8, and no traceback."""
    done = expert("model", "pull", NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.code, "cannot be reached" in done.message) == (8, True)
    off = expert("model", "pull", NAME, "--json", HF_HUB_OFFLINE="1")
    assert json.loads(off.err)["code"] == 8


def test_a_killed_pull_goes_on_where_it_was(hub: Hub, tiny_path: Path) -> None:
    """Killed at seven tenths; the next one asks for the rest only, even of a moved repository."""
    data = tiny_path.read_bytes()
    most = len(data) * 7 // 10
    hub.faults = [f"cut {most}", "hang"]
    process = subprocess.Popen([*PROGRAM, "model", "pull", NAME], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in downloads().glob("*.part")) < most:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (user_paths().models / f"{NAME}.gguf").exists()
    hub.add(QWEN, {FILE: b"something newer"}, SECOND)
    done = expert("model", "pull", NAME, "--json")
    assert json.loads(done.out)["commit"] == FIRST
    assert find_model(NAME).path.read_bytes() == data
    asked = [one.headers.get("Range") for one in hub.asked("store")]
    assert asked == [None, f"bytes={most}-"]


def test_nothing_heavy_is_imported_for_lists() -> None:
    """Neither the hub's library nor an HTTP client."""
    script = (
        "import sys; from expert.cli import main; main(['model', 'list', '--available'])\n"
        "print([n for n in ('huggingface_hub', 'httpx2', 'urllib.request') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("[]\n")
