"""The verbs of people who use experts, each run as the real program."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.market.bases import identify
from expert.package.keys import PrivateKey, write_key_pair
from support.packages import KEY, base, make_package
from support.program import PROGRAM, Outcome, expert

FINGERPRINT = KEY.public.fingerprint
SURE = ("-y", "--any-base", "--trust", FINGERPRINT)


@pytest.fixture(name="shelf")
def source_on_disk(tmp_path: Path) -> Path:
    """A folder source with an expert in two versions and one that needs it."""
    shelf = tmp_path / "shelf"
    make_package(shelf, name="forms", version="1.0.0", evaluation=[
        {"metric": "accuracy", "dataset": "held out", "samples": 9, "expert": 0.5, "base": 0.6}
    ])  # fmt: skip
    make_package(shelf, name="tools", requires={"acme/forms": "^1"})
    assert expert("source", "add", "shelf", shelf).code == 0
    return shelf


def on_terminal(answer: str, *arguments: str | Path) -> Outcome:
    """Run the program in a terminal of its own, and answer its question."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*PROGRAM, *map(str, arguments)])
    out, answered = b"", False
    while True:
        if not select.select([screen], [], [], 60)[0]:
            break
        try:
            part = os.read(screen, 65536)
        except OSError:  # Linux ends a terminal so
            break
        if not part:
            break
        out += part
        if b"[y/N]" in out and not answered:
            os.write(screen, answer.encode() + b"\n")
            answered = True
    os.close(screen)
    return Outcome(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out)


def test_the_whole_journey(shelf: Path) -> None:
    """Search, show, install, list, update, go back, pin, verify, remove and clean up."""
    hits = json.loads(expert("search", "--json").out)
    assert [hit["name"] for hit in hits if hit["source"] == "shelf"] == ["forms", "tools"]
    assert {"sql"} <= {hit["name"] for hit in hits if hit["source"] == "shipped"}
    assert "acme/forms" in expert("search", "forms").text
    shown = expert("show", "forms").text
    assert FINGERPRINT in shown
    assert "accuracy 0.5, base alone 0.6 (worse) (held out, 9 samples)" in shown
    done = json.loads(expert("install", "tools", *SURE, "--json").out)
    assert sorted(done["installed"]) == ["acme/forms@1.0.0", "acme/tools@1.0.0"]
    rows = {row["name"]: row for row in json.loads(expert("list", "--json").out)}
    assert rows["acme/tools"]["requested"]
    assert not rows["acme/forms"]["requested"]
    assert "needed by others" in expert("list").text
    make_package(shelf, name="forms", version="1.1.0")
    check = json.loads(expert("update", "--check", "--any-base", "--json").out)
    assert check == {"install": ["acme/forms@1.1.0"], "remove": ["acme/forms@1.0.0"]}
    assert "installed acme/forms@1.1.0" in expert("update", "-y", "--any-base").text
    assert "Everything" in expert("update", "-y", "--any-base").text
    assert json.loads(expert("rollback", "--json").out)["number"] == 1
    assert "acme/forms@1.0.0" in expert("list").text
    assert len(json.loads(expert("rollback", "--list", "--json").out)) == 3
    assert "tools" in expert("pin", "tools@~1.0").text
    assert json.loads(expert("pin", "--json").out) == {"acme/tools": "~1.0"}
    assert expert("pin", "tools", "--off").code == 0
    assert json.loads(expert("verify", "--deep", "--json").out)["problems"] == []
    assert expert("uninstall", "forms").code == 2
    assert "removed acme/tools@1.0.0" in expert("uninstall", "tools").text
    assert "No experts" in expert("list").text
    assert "would remove 3" in expert("gc", "--dry-run", "--keep", "0").text
    assert json.loads(expert("gc", "--keep", "0", "--json").out)["blobs"] == 3


def test_a_question_is_asked_on_the_terminal(shelf: Path) -> None:
    """It shows who signed what; no is no, yes installs."""
    no = on_terminal("n", "install", "forms", "--any-base")
    assert no.code == 1
    for text in (
        FINGERPRINT,
        "acme/forms@1.0.0",
        "Apache-2.0",
        "first seen",
        "Nothing was changed",
    ):
        assert text in no.text
    yes = on_terminal("y", "install", "forms", "--any-base")
    assert (yes.code, "installed acme/forms@1.0.0" in yes.text) == (0, True)


def test_a_pipe_cannot_answer(shelf: Path) -> None:
    """What comes from standard input is not consent."""
    run = subprocess.run(
        [*PROGRAM, "install", "forms", "--any-base"],
        input=b"y\ny\n", capture_output=True, start_new_session=True,
    )  # fmt: skip
    assert run.returncode == 2
    assert b"Add -y" in run.stderr


def test_yes_is_not_enough_for_a_new_publisher(shelf: Path) -> None:
    """A script must name the key it accepts."""
    refused = expert("install", "forms", "-y", "--any-base")
    assert refused.code == 5
    assert f"--trust {FINGERPRINT}" in refused.message
    other = expert("install", "forms", "-y", "--any-base", "--trust", "SHA256:other")
    assert other.code == 5
    assert expert("install", "forms", *SURE).code == 0
    assert expert("install", "tools", "-y", "--any-base").code == 0


def test_codes_of_what_goes_wrong(shelf: Path, tmp_path: Path) -> None:
    """Unknown 3, wrong usage 2, not signed 5, conflict 1; JSON errors on request."""
    assert expert("install", "nothing", *SURE).code == 3
    assert expert("install", "No Name", *SURE).code == 2
    assert expert("install", *SURE).code == 2
    unsigned = make_package(tmp_path / "own", key=None)
    assert expert("install", unsigned, *SURE).code == 5
    assert expert("install", unsigned, *SURE, "--allow-unsigned").code == 0
    assert "(unsigned)" in expert("list").text
    hater = make_package(tmp_path / "own", name="hater", conflicts={"acme/sql": "*"})
    done = expert("install", hater, *SURE, "--json")
    assert done.code == 1
    assert "acme/sql" in json.loads(done.err)["why"]
    assert expert("rollback", "99").code == 3
    assert expert("uninstall", "nothing").code == 3


def test_experts_must_fit_the_base_in_use(tiny_path: Path, tmp_path: Path) -> None:
    """The base model is compared by its identity, unless that is not wanted."""
    mine = base() | {"identity": msgspec.to_builtins(identify(tiny_path))}
    fitting = make_package(tmp_path / "own", name="fitting", bases=[mine])
    other = make_package(tmp_path / "own", name="other")
    trust = ("-y", "--trust", FINGERPRINT, "-m", tiny_path)
    assert expert("install", fitting, *trust).code == 0
    refused = expert("install", other, *trust)
    assert (refused.code, "base" in refused.message) == (4, True)
    assert expert("install", other, *trust, "--any-base").code == 0
    assert expert("install", other, "-y", "-m", "none").code == 3


def test_damage_is_found_and_repaired(shelf: Path, home: Path) -> None:
    """The exit code tells, and `--repair` fetches again."""
    expert("install", "forms", *SURE)
    (blob,) = (home / "data" / "blobs").rglob("?" * 64)
    blob.chmod(0o644)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    broken = expert("verify")
    assert broken.code == 5
    assert "adapter.gguf: damaged" in broken.text
    assert "restored acme/forms@1.0.0" in expert("verify", "--repair").text
    assert expert("verify", "forms", "--deep").code == 0
    (home / "data" / "expert.db").write_bytes(b"destroyed" * 1000)
    for name in ("expert.db-wal", "expert.db-shm"):
        (home / "data" / name).unlink(missing_ok=True)
    destroyed = expert("list")
    assert (destroyed.code, "doctor --repair" in destroyed.message) == (5, True)
    repaired = expert("verify", "--repair")
    assert "restored acme/forms@1.0.0\n1 checked" in repaired.text
    assert "expert.db.damaged-1" in repaired.message
    assert "acme/forms@1.0.0" in expert("list").text


def test_the_doctor_looks_at_experts_and_mends_them(
    shelf: Path, home: Path, tiny_path: Path
) -> None:
    """A damaged file fails its check with what to do, and doing it helps."""

    def found(*options: str) -> tuple[int, Any]:
        done = expert("doctor", "--json", "-m", tiny_path, *options)
        return done.code, json.loads(done.out)["checks"]["experts"]

    assert found() == (0, {"ok": True, "found": "none installed"})
    expert("install", "forms", *SURE)
    assert found()[1]["found"].startswith("1 installed")
    (blob,) = (home / "data" / "blobs").rglob("?" * 64)
    blob.chmod(0o644)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    code, row = found()
    assert (code, row["ok"], "expert doctor --repair" in row["found"]) == (1, False, True)
    assert found("--repair") == (0, {"ok": True, "found": "1 installed, all as they were signed"})
    (home / "data" / "expert.db").write_bytes(b"destroyed" * 1000)
    for name in ("expert.db-wal", "expert.db-shm"):
        (home / "data" / name).unlink(missing_ok=True)
    code, row = found()
    assert (code, "doctor --repair" in row["found"]) == (1, True)
    assert found("--repair")[0] == 0
    assert "acme/forms@1.0.0" in expert("list").text


def test_sources_are_listed_refreshed_and_removed(shelf: Path) -> None:
    """The shipped experts come first; what is broken at a source is told."""
    names = [row["name"] for row in json.loads(expert("source", "list", "--json").out)]
    assert names == ["shipped", "shelf"]
    (shelf / "bad.expert").write_bytes(b"x")
    done = expert("source", "refresh", "shelf", "--json")
    (row,) = json.loads(done.out)
    assert (row["packages"], len(row["rejected"])) == (2, 1)
    assert "bad.expert" in done.message
    assert expert("source", "remove", "shelf").code == 0
    assert "shelf" not in expert("source").text
    assert expert("source", "add", "x", "/nowhere").code == 2
    assert expert("source", "add", "gone", f"file://{shelf}/none.git").code == 0
    assert expert("source", "refresh", "gone").code == 8


def test_keys_are_managed(shelf: Path, tmp_path: Path) -> None:
    """Listed, exported, handed over by the publisher, pinned and revoked by the user."""
    expert("install", "forms", *SURE)
    rows = json.loads(expert("trust", "list", "--json").out)
    assert {row["publisher"] for row in rows} == {"acme", "expert"}
    assert KEY.public.line in expert("trust", "export").text
    new = PrivateKey(b"n" * 32)
    write_key_pair(KEY, tmp_path / "old")
    write_key_pair(new, tmp_path / "new")
    statement = shelf / "acme.trust.json"
    arguments = ("trust", "rotate", "acme", tmp_path / "new.pub", "-k", tmp_path / "old", "-o")
    assert expert(*arguments, statement).code == 0
    make_package(shelf, name="forms", version="1.1.0", key=new)
    assert "installed acme/forms@1.1.0" in expert("update", "-y", "--any-base").text
    assert expert("trust", "revoke", "acme", "--reason", "lost").code == 0
    assert "revoked (lost)" in expert("trust").text
    assert expert("trust", "pin", "acme", tmp_path / "new.pub").code == 5
    assert expert("trust", "pin", "other", tmp_path / "old.pub").code == 0
    back = ("trust", "rotate", "acme", "-k", tmp_path / "old", "--revoke", "gone", "-o")
    assert expert(*back, tmp_path / "statement").code == 0
    assert expert("trust", "apply", tmp_path / "statement").code == 0
    assert expert("trust", "apply", tmp_path / "none").code == 3
    assert expert("trust", "rotate", "acme", "-k", tmp_path / "old", "-o", "x").code == 2


def test_publish_lock_and_bundle(
    shelf: Path, tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a shelf, and to another machine by a lock file or a bundle."""
    package = make_package(tmp_path / "own", name="extra")
    assert expert("publish", package, "shelf").code == 0
    expert("install", "extra", "tools", *SURE)
    lock = tmp_path / "expert.lock"
    lock.write_text(expert("list", "--lock").text)
    bundle = tmp_path / "all.bundle"
    made = expert("bundle", "create", bundle, "tools", "-m", tiny_path, "--json")
    assert len(json.loads(made.out)["members"]) == 3
    monkeypatch.setenv("EXPERT_HOME", str(tmp_path / "there"))
    trust = ("-y", "--trust", FINGERPRINT)
    done = expert("bundle", "install", bundle, *trust)
    assert done.code == 0, done.message
    assert (tmp_path / "there" / "data" / "models" / tiny_path.name).is_file()
    assert expert("source", "add", "shelf", shelf).code == 0
    locked = expert("install", "--lock", lock, *SURE, "--json")
    assert json.loads(locked.out)["installed"] == ["acme/extra@1.0.0"]
    assert expert("list", "--lock").text == lock.read_text()
    assert expert("install", "--lock", tmp_path / "none", *SURE).code == 3
    assert expert("bundle", "install", tmp_path / "none", *trust).code == 3


def test_progress_and_words_stay_off_a_pipe(shelf: Path) -> None:
    """Standard output holds only the result, standard error nothing that is not a warning."""
    done = expert("install", "forms", *SURE)
    assert (done.text, done.message) == ("installed acme/forms@1.0.0\n", "")


def test_listing_loads_nothing_it_does_not_need(shelf: Path) -> None:
    """Neither cryptography nor compression, migrations or numbers: it must be quick."""
    expert("install", "forms", *SURE)
    heavy = ["nacl", "zstandard", "sqlite_utils", "msgspec", "numpy", "filelock", "hashlib"]
    script = (
        "import sys; from expert.cli import main; main(['list'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "acme/forms" in run.stdout
    assert run.stdout.endswith("[]\n")


def test_listing_creates_nothing(home: Path) -> None:
    """In an empty home there is nothing to list, and afterwards neither."""
    assert "No experts" in expert("list").text
    assert not (home / "data").exists()
