"""Asking installed experts by name, and the whole journey of a shipped one with no network."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.engine.header import read_header
from expert.market.bases import identify
from expert.package.keys import PrivateKey, write_key_pair
from expert.package.pack import pack
from expert_converters.kinds import AdapterJob, convert_adapter
from support.packages import KEY, base, draft, make_package, write_source
from support.program import expert

SURE = ("-y", "--trust", KEY.public.fingerprint)
GREEDY = ("--temperature", "0", "--max-tokens", "12", "--json")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other take for ever on a busy machine."""
    monkeypatch.setenv("EXPERT_THREADS", "1")


@pytest.fixture(name="adapter", scope="module")
def pocket_adapter(tmp_path_factory: pytest.TempPathFactory, pocket: Path) -> bytes:
    """The bytes of a random adapter for the embedded base, strong enough to be seen."""
    path = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
    write_random_adapter(read_header(pocket), RandomAdapter(32, 5), path)
    return path.read_bytes()


@pytest.fixture(name="add")
def installer(tmp_path: Path, pocket: Path, adapter: bytes) -> Callable[..., str]:
    """Return what packs, signs and installs an expert for the embedded base, as people do."""

    def add(name: str = "sql", version: str = "1.0.0", **changes: Any) -> str:
        mine = base("pocket") | {"identity": msgspec.to_builtins(identify(pocket))}
        package = make_package(
            tmp_path, name=name, version=version, bases=[mine], contents=adapter, **changes
        )
        done = expert("install", package, *SURE, "-m", pocket)
        assert done.code == 0, done.message
        return str(package)

    return add


def ask(*options: str | Path) -> dict[str, Any]:
    """Ask, and return the JSON answer."""
    done = expert("ask", *options, *GREEDY, "List all users")
    assert done.code == 0, done.message
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def test_an_installed_expert_answers(
    add: Callable[..., str], adapter: bytes, tmp_path: Path
) -> None:
    """As its adapter file does, under its name, with its version and digest."""
    add()
    file = tmp_path / "bare.gguf"
    file.write_bytes(adapter)
    by_name, by_file = ask("-e", "sql"), ask("-e", file)
    assert by_name["text"] == by_file["text"]
    (use,) = by_name["experts"]
    assert (use["name"], use["version"], use["scale"]) == ("acme/sql", "1.0.0", 1.0)
    assert use["sha256"] == by_file["experts"][0]["sha256"]
    assert ask("-e", "none")["experts"] == []
    half = ask("-e", "acme/sql@^1:0.5")
    assert half["text"] == ask("-e", f"{file}:0.5")["text"]
    assert half["experts"][0]["scale"] == 0.5


def test_an_expert_that_is_a_soft_prompt(tmp_path: Path, pocket: Path) -> None:
    """It acts as its file does; one that is an adapter as well is refused, and says so."""
    folder = tmp_path / "peft"
    folder.mkdir()
    config = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 4}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    rows = np.random.default_rng(3).normal(0, 9, (4, 256)).astype(np.float32)
    save_file({"prompt_embeddings": rows}, folder / "adapter_model.safetensors")
    file = convert_adapter(AdapterJob(folder, pocket, tmp_path / "soft.gguf")).path
    soft = {"soft_prompt": "soft.gguf", "file": None, "rank": None, "alpha": None}
    for name, entry in (("soft", soft), ("both", {"soft_prompt": "soft.gguf"})):
        mine = base("pocket", **entry) | {"identity": msgspec.to_builtins(identify(pocket))}
        source = write_source(tmp_path / name, draft(name=name, bases=[mine]))
        (source / "soft.gguf").write_bytes(file.read_bytes())
        if name == "both":
            adapter = RandomAdapter(32, 5)
            write_random_adapter(read_header(pocket), adapter, source / "adapter.gguf")
        package = tmp_path / f"{name}.expert"
        pack(source, package, KEY)
        done = expert("install", package, *SURE, "-m", pocket)
        assert done.code == 0, done.message
    by_name = ask("-e", "soft")
    assert by_name["text"] == ask("-e", file)["text"] != ask("-e", "none")["text"]
    assert by_name["experts"][0]["name"] == "acme/soft"
    refused = expert("ask", "-e", "both", "Hi")
    assert (refused.code, "an adapter and a soft prompt" in refused.message) == (2, True)


def test_versions_stand_side_by_side(add: Callable[..., str]) -> None:
    """The bare name is the one installed last; ranges reach the others."""
    add(version="1.0.0")
    add(version="1.1.0")
    assert ask("-e", "sql")["experts"][0]["version"] == "1.1.0"
    assert ask("-e", "sql@1.0.0")["experts"][0]["version"] == "1.0.0"


def test_what_it_brings_along_acts(add: Callable[..., str]) -> None:
    """Its system prompt, sampling and stop sequences; the user's own words beat them."""
    prompt = "You answer with queries."
    add(system_prompt=prompt, sampling={"temperature": 0.0, "max_tokens": 3, "min_p": 0.25})
    done = expert("ask", "-e", "sql", "--json", "List all users")
    answer = json.loads(done.out)
    assert answer["params"]["min_p"] == 0.25
    assert answer["params"]["temperature"] == 0
    assert answer["usage"]["answer_tokens"] <= 3
    own = json.loads(
        expert("ask", "-e", "sql", "--json", "--min-p", "0.5", "-s", prompt, "List all users").out
    )
    assert own["params"]["min_p"] == 0.5
    assert own["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]
    bare = ask("-e", "none")
    assert bare["usage"]["prompt_tokens"] < answer["usage"]["prompt_tokens"]


def test_refusals(add: Callable[..., str], tiny_path: Path, home: Path) -> None:
    """Not installed 3, another base 4, damaged 5; each says what to do."""
    add()
    assert expert("ask", "-e", "json", "Hi").code == 3
    assert expert("ask", "-e", "sql@2", "Hi").code == 3
    other = expert("ask", "-e", "sql", "-m", tiny_path, "Hi")
    assert (other.code, "not for this base" in other.message) == (4, True)
    (blob,) = (home / "data" / "blobs").rglob("?" * 64)
    blob.chmod(0o644)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    damaged = expert("ask", "-e", "sql", "Hi")
    assert (damaged.code, "expert doctor --repair" in damaged.message) == (5, True)


def test_a_flipped_blob_is_repaired_by_installing_again(
    add: Callable[..., str], home: Path
) -> None:
    """Found by `verify`, refused at load, right again after the same install."""
    package = add()
    before = ask("-e", "sql")["text"]
    (blob,) = (home / "data" / "blobs").rglob("?" * 64)
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    assert expert("verify").code == 5
    assert expert("ask", "-e", "sql", "Hi").code == 5
    assert expert("uninstall", "sql").code == 0
    assert expert("gc", "--keep", "0").code == 0
    assert expert("install", package, *SURE).code == 0
    assert expert("verify", "--deep").code == 0
    assert ask("-e", "sql")["text"] == before


def test_chat_takes_names(add: Callable[..., str]) -> None:
    """From the command line and inside, with the scale changed later."""
    add()
    lines = b"/experts\n/scale 1 0.5\n/expert none\n/expert sql:2\nHello\n"
    done = expert("chat", "-e", "sql", "--max-tokens", "2", stdin=lines)
    assert done.code == 0, done.message
    for text in ("1. acme/sql at 1", "1. acme/sql at 0.5", "1. acme/sql at 2"):
        assert text in done.message


# The whole journey ----------------------------------------------------------------------------

DENIED = """
import socket, sys
real = socket.socket

class Local(real):
    def __init__(self, family=socket.AF_INET, *rest, **more):
        if family != socket.AF_UNIX:
            raise AssertionError("a socket was opened")
        super().__init__(family, *rest, **more)

def denied(*_, **__):
    raise AssertionError("a name was looked up")

socket.socket, socket.create_connection, socket.getaddrinfo = Local, denied, denied
from expert import resources
from expert.market import keyring
from pathlib import Path
keyring.SHIPPED_KEY = sys.argv.pop(1)
shelf = Path(sys.argv.pop(1))
pocket, data = resources.pocket(), resources.data
resources.data = lambda name: shelf if name == "experts" else data(name)
resources.pocket = lambda: pocket
from expert.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_whole_journey_with_the_network_cut(
    tmp_path: Path, pocket: Path, adapter: bytes
) -> None:
    """On an empty home: build as the release does, search, show, install, ask, update, back, off.

    The shipped key stands for the real one, which no test may know.
    """
    key, shelf = PrivateKey(b"shipped!" * 4), tmp_path / "experts"
    write_key_pair(key, tmp_path / "key")

    def build(version: str) -> None:
        mine = base("pocket") | {"identity": msgspec.to_builtins(identify(pocket))}
        source = tmp_path / "sources" / version
        manifest = {"schema": 1, "publisher": "expert", "name": "sql", "version": version}
        manifest |= {"summary": "Writes SQL.", "license": "Apache-2.0", "bases": [mine]}
        write_source(source, manifest, adapter=adapter)
        (shelf / "sql").mkdir(parents=True, exist_ok=True)
        target = shelf / "sql" / f"sql-{version}.expert"
        done = expert("pack", source, "-o", target, "-k", tmp_path / "key")
        assert done.code == 0, done.message

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", DENIED, key.public.line, str(shelf), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "EXPERT_HOME": str(tmp_path / "home")},
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    build("1.0.0")
    assert not (tmp_path / "home").exists()
    assert "sql" in run("search", "sql")
    assert "Writes SQL." in run("show", "sql")
    assert "installed expert/sql@1.0.0" in run("install", "sql", "-y")
    answer = json.loads(run("ask", "-e", "sql", *GREEDY, "List all users"))
    assert answer["experts"][0]["version"] == "1.0.0"
    build("1.1.0")
    assert "expert/sql@1.1.0" in run("update", "--check")
    assert "installed expert/sql@1.1.0" in run("update", "-y")
    assert json.loads(run("ask", "-e", "sql", *GREEDY, "Hi"))["experts"][0]["version"] == "1.1.0"
    run("rollback")
    assert "expert/sql@1.0.0" in run("list")
    run("verify", "--deep")
    assert "removed expert/sql@1.0.0" in run("uninstall", "sql")
    assert "No experts" in run("list")
    shutil.rmtree(shelf)
    run("gc", "--keep", "0")


@pytest.mark.parametrize("wanted", ["sql@^a.b", "sql@^^1", "@1"])
def test_a_wrong_range_on_the_command_line_is_a_usage_error(wanted: str) -> None:
    """Nothing was verified, so the exit code is that of a mistyped command."""
    done = expert("install", wanted, "-y")
    assert (done.code, done.text) == (2, "")
    assert "Fix: " in done.message
