"""Committing a change: checked, complete, recorded, or without a trace."""

import shutil
from pathlib import Path

import pytest

from expert.errors import ResourceError, VerificationError
from expert.market.commit import Addition, Change, NewKey, commit
from expert.market.health import collect
from expert.market.keyring import known_keys
from expert.market.market import Market
from expert.market.records import Edge, Member
from expert.package.container import inspect
from expert.package.keys import PrivateKey
from expert.package.pack import attach, sign
from expert.package.trust import KnownKey
from support.markets import additions, damage, labels, make_market, store_packages
from support.packages import KEY, adapter_gguf, base, make_package


@pytest.fixture(name="market")
def empty_market(tmp_path: Path) -> Market:
    """A market with nothing in it."""
    return make_market(tmp_path)


def test_a_package_arrives_whole(market: Market, tmp_path: Path) -> None:
    """Its files are blobs, its facts are in the catalogue, and staging is empty."""
    path = make_package(tmp_path)
    assert store_packages(market, [path]) == 1
    with market.reading() as catalogue:
        (found,) = catalogue.installed()
        files = catalogue.files(found.id)
        events = catalogue.connection.execute("SELECT action FROM event").fetchall()
    assert found.label == "acme/sql@1.0.0"
    assert found.manifest == inspect(path).manifest
    assert found.signer == KEY.public.line
    assert market.store.blobs.path(files["adapter.gguf"]).read_bytes() == adapter_gguf(
        "acme/sql@1.0.0adapter.gguf"
    )
    assert [row[0] for row in events] == ["add", "change"]
    assert damage(market) == 0
    assert list(market.store.staging.iterdir()) == []


def test_equal_files_of_two_packages_are_stored_once(market: Market, tmp_path: Path) -> None:
    """Two versions with the same weights share a blob."""
    same = adapter_gguf("same")
    paths = [make_package(tmp_path, contents=same, version=v) for v in ("1.0.0", "1.0.1")]
    store_packages(market, paths)
    assert len(list(market.store.blobs)) == 1
    assert labels(market) == {"acme/sql@1.0.0", "acme/sql@1.0.1"}


def test_a_change_based_on_an_older_state_is_dropped(market: Market, tmp_path: Path) -> None:
    """Another change came between, so nothing is done and the caller is told."""
    path = make_package(tmp_path)
    store_packages(market, [path])
    assert commit(market, additions([]), based_on=0) is None
    assert labels(market) == {"acme/sql@1.0.0"}


def test_another_package_than_announced_is_refused(market: Market, tmp_path: Path) -> None:
    """A file swapped after it was looked at is not stored."""
    path = make_package(tmp_path / "a")
    change = additions([path])
    shutil.copy(make_package(tmp_path / "b", summary="Other."), path)
    with pytest.raises(VerificationError, match="not the package that was announced"):
        commit(market, change, 0)
    assert labels(market) == set()
    assert list(market.store.blobs) == []


def test_another_signer_than_announced_is_refused(market: Market, tmp_path: Path) -> None:
    """The same contents, signed by someone else after the user agreed to a key."""
    path = make_package(tmp_path)
    change = additions([path])
    sign(path, PrivateKey(b"n" * 32))
    with pytest.raises(VerificationError, match="not the package that was announced"):
        commit(market, change, 0)
    attach(path, None)
    with pytest.raises(VerificationError, match="not the package that was announced"):
        commit(market, change, 0)
    assert labels(market) == set()


def test_a_damaged_package_changes_nothing(market: Market, tmp_path: Path) -> None:
    """Not even the good package beside it is stored."""
    good, bad = make_package(tmp_path), make_package(tmp_path, name="json")
    change = additions([good, bad])
    data = bytearray(bad.read_bytes())
    data[-1500] ^= 1
    bad.write_bytes(data)
    with pytest.raises(VerificationError, match="damaged"):
        commit(market, change, 0)
    assert labels(market) == set()
    assert list(market.store.staging.iterdir()) == []


def test_a_version_with_other_content_is_refused(market: Market, tmp_path: Path) -> None:
    """The same name and version can never mean something else."""
    store_packages(market, [make_package(tmp_path / "a")])
    with pytest.raises(VerificationError, match="other content"):
        store_packages(market, [make_package(tmp_path / "b", summary="Other.")])
    assert labels(market) == {"acme/sql@1.0.0"}


def test_keys_are_pinned_with_the_change(market: Market, tmp_path: Path) -> None:
    """A first key becomes active; a later one retires it."""
    change = additions([make_package(tmp_path)])
    new = PrivateKey(b"n" * 32).public
    for key in (KEY.public, new):
        with market.reading() as catalogue:
            based_on = catalogue.active()
        members, edges = change.members, change.edges
        keyed = Change("test", members, edges, change.additions, (NewKey("acme", key),))
        commit(market, keyed, based_on)
    with market.connection() as connection:
        own = [key for key in known_keys(connection) if key.publisher == "acme"]
    assert set(own) == {KnownKey("acme", KEY.public, "retired"), KnownKey("acme", new)}


def test_edges_are_recorded_with_their_generation(market: Market, tmp_path: Path) -> None:
    """Choices belong to a generation, and vanish with it."""
    change = additions([make_package(tmp_path), make_package(tmp_path, name="json")])
    first, second = (member.package for member in change.members)
    edge = Edge(first, "acme/json", second)
    commit(market, Change("test", change.members, (edge,), change.additions), 0)
    with market.reading() as catalogue:
        assert catalogue.edges() == [edge]
    with market.reading() as catalogue:
        based_on = catalogue.active()
    commit(market, Change("smaller", (Member(second, True, True),), ()), based_on)
    collect(market, keep=0)
    with market.reading() as catalogue:
        assert catalogue.connection.execute("SELECT count(*) FROM edge").fetchone()[0] == 0


WEIGHTS = {
    "not GGUF": (b"pickle" * 100, "not"),
    "chat template": (adapter_gguf(tokenizer__chat_template="{{x}}"), "chat_template"),
    "a tokenizer": (adapter_gguf(tokenizer__ggml__model="gpt2"), "tokenizer"),
    "a whole model": (adapter_gguf(general__type="model"), "kind"),
    "another architecture": (adapter_gguf(general__architecture="llama"), "llama"),
    "another base": (
        adapter_gguf(
            expert__base__architecture="qwen3",
            expert__base__shapes="1" * 64,
            expert__base__tokenizer="2" * 64,
            expert__base__norms="f" * 64,
        ),
        "another base",
    ),
    "cut off": (adapter_gguf()[:-40], "past the end"),
}


@pytest.mark.parametrize(("contents", "why"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_no_adapter_are_refused(
    market: Market, tmp_path: Path, contents: bytes, why: str
) -> None:
    """Even if the publisher signed them."""
    path = make_package(tmp_path, contents=contents)
    with pytest.raises(VerificationError, match="not a usable adapter") as caught:
        store_packages(market, [path])
    assert why in caught.value.why
    assert labels(market) == set()


def test_a_peft_adapter_is_looked_at_too(market: Market, tmp_path: Path) -> None:
    """A file that only ends in .safetensors is refused."""
    peft = base(file="a.safetensors", format="peft", config="a.json")
    path = make_package(tmp_path, bases=[peft])
    with pytest.raises(VerificationError, match="not a usable adapter"):
        store_packages(market, [path])


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    """Running out of space at any write leaves the old state, and a retry works."""
    import resource
    import signal
    import subprocess
    import sys

    path = make_package(tmp_path, contents=adapter_gguf("big", 2048))
    small = make_package(tmp_path, name="json")
    market = make_market(tmp_path)
    store_packages(market, [small])
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from support.markets import make_market, store_packages\n"
        "from expert.errors import ResourceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try: store_packages(make_market(Path(sys.argv[1])), [Path(p) for p in sys.argv[2:]])\n"
        "except ResourceError as error: print('refused', error.fix)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(small), str(path)]
    tests = str(Path(__file__).parents[1])
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": tests}
    )
    assert run.stdout.startswith("refused Free some disk space")
    assert signal.SIGXFSZ and resource.RLIMIT_FSIZE
    assert labels(market) == {"acme/json@1.0.0"}
    store_packages(market, [small, path])
    assert damage(market) == 0


def test_a_locked_store_is_a_clear_error(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disk errors of any kind are told as such."""
    path = make_package(tmp_path)

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(market.store.files, "sync", failing)
    with pytest.raises(ResourceError, match="cannot be changed") as caught:
        commit(market, additions([path]), 0)
    assert "Input/output error" in caught.value.why


def test_the_addition_of_a_known_package_is_free(market: Market, tmp_path: Path) -> None:
    """A package that is in the store already need not be there as a file."""
    path = make_package(tmp_path)
    change = additions([path])
    commit(market, change, 0)
    path.unlink()
    with market.reading() as catalogue:
        based_on = catalogue.active()
    assert commit(market, change, based_on) == 2
    assert isinstance(change.additions[0], Addition)
