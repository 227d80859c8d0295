"""Key files: ours are OpenSSH's and the other way round; what is weak or damaged is refused."""

import base64
import random
import subprocess
from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.package.keys import PrivateKey, PublicKey, read_private_key, write_key_pair

KEY = PrivateKey(b"s" * 32, "me@host")

# Encodings of the eight points whose order divides 8, and non-canonical ones of the same points.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def keygen(*arguments: str | Path) -> str:
    """Run ssh-keygen and return what it prints."""
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def openssh_key(folder: Path, *options: str) -> Path:
    """Let OpenSSH make a key."""
    keygen("-q", "-t", "ed25519", "-N", "", "-C", "some one", "-f", folder / "id", *options)
    return folder / "id"


def test_openssh_reads_our_key(tmp_path: Path) -> None:
    """ssh-keygen derives the same public key and fingerprint from our private key file."""
    public = write_key_pair(KEY, tmp_path / "id")
    assert keygen("-y", "-f", tmp_path / "id").split()[:2] == KEY.public.line.split()
    assert keygen("-l", "-f", public).split()[1] == KEY.public.fingerprint
    assert (tmp_path / "id").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("comment", ["", "a", "a longer comment, of any length", "é"])
def test_we_read_openssh_keys(tmp_path: Path, comment: str) -> None:
    """Our parser takes OpenSSH's files whatever the padding their comments need."""
    path = openssh_key(tmp_path, "-C", comment)
    key = read_private_key(path)
    assert key.comment == comment
    public = PublicKey.parse((tmp_path / "id.pub").read_text())
    assert (key.public, public.comment) == (public, comment)


def test_the_round_trip_keeps_the_key(tmp_path: Path) -> None:
    """What we write, we read."""
    write_key_pair(KEY, tmp_path / "id")
    assert read_private_key(tmp_path / "id") == KEY


def test_the_seed_is_never_printed() -> None:
    """A key in a traceback or log does not give itself away."""
    assert "ssss" not in repr(KEY)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Neither half of an existing pair is replaced."""
    write_key_pair(KEY, tmp_path / "id")
    with pytest.raises(UsageError, match="exists"):
        write_key_pair(PrivateKey.generate(), tmp_path / "id")
    assert read_private_key(tmp_path / "id") == KEY
    (tmp_path / "id").unlink()
    with pytest.raises(UsageError, match="id.pub exists"):
        write_key_pair(PrivateKey.generate(), tmp_path / "id")
    assert not (tmp_path / "id").exists()


def test_generated_keys_differ() -> None:
    """Two keys are never the same."""
    assert PrivateKey.generate().public != PrivateKey.generate().public


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    """As OpenSSH does, with the command that repairs it."""
    path = openssh_key(tmp_path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="read by others") as caught:
        read_private_key(path)
    assert "chmod 600" in caught.value.fix


def test_a_key_with_a_passphrase_says_what_to_do(tmp_path: Path) -> None:
    """Encrypted keys stay with ssh-keygen, and the message says how."""
    path = tmp_path / "id"
    keygen("-q", "-t", "ed25519", "-N", "secret", "-f", path)
    with pytest.raises(UsageError, match="passphrase") as caught:
        read_private_key(path)
    assert "ssh-keygen -Y sign" in caught.value.fix


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    """ECDSA keys are no Ed25519 keys, in either file."""
    path = tmp_path / "id"
    keygen("-q", "-t", "ecdsa", "-N", "", "-f", path)
    with pytest.raises(UsageError, match="not an OpenSSH Ed25519"):
        read_private_key(path)
    with pytest.raises(VerificationError, match="public key"):
        PublicKey.parse((tmp_path / "id.pub").read_text())


def test_a_missing_key_is_not_found(tmp_path: Path) -> None:
    """No file, or a folder."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFoundError):
            read_private_key(path)


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_keys_of_small_order_are_refused(raw: str) -> None:
    """Keys for which anyone can sign prove nothing, and the message says so."""
    with pytest.raises(VerificationError) as caught:
        PublicKey.from_raw(bytes.fromhex(raw))
    assert "small order" in caught.value.why


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-rsa AAAA",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        KEY.public.line[:-8],
        KEY.public.line + "\nssh-ed25519 AAAA",
        "ssh-ed25519 " + base64.b64encode(KEY.public.blob + b"x").decode(),
        "ssh-ed25519 " + base64.b64encode(b"\xff\xff\xff\xff" + KEY.public.blob).decode(),
        'command="rm" ' + KEY.public.line,
    ],
)
def test_damaged_public_keys_are_refused(line: str) -> None:
    """Only one whole line of the right kind is a key."""
    with pytest.raises(VerificationError, match="public key"):
        PublicKey.parse(line)


def test_damaged_private_keys_never_crash(tmp_path: Path) -> None:
    """Random edits of a key file give the same key or a typed refusal."""
    write_key_pair(KEY, tmp_path / "id")
    data = (tmp_path / "id").read_bytes()
    source = random.Random(4)
    path = tmp_path / "edited"
    for _ in range(500):
        edited = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            edited[source.randrange(len(edited))] = source.randrange(256)
        path.write_bytes(edited)
        path.chmod(0o600)
        try:
            assert read_private_key(path).seed == KEY.seed
        except ExpertError:
            continue
