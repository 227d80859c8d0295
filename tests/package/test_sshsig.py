"""Signatures: OpenSSH agrees in both directions, and each way to cheat has its own refusal."""

import base64
import subprocess
from pathlib import Path

import pytest

from expert.errors import VerificationError
from expert.package.keys import PrivateKey, write_key_pair
from expert.package.sshsig import MANIFEST, ORDER, TRUST, Signature, parse, sign, verify
from expert.package.wire import string, uint32

KEY = PrivateKey(b"s" * 32)
MESSAGE = b'{"a manifest":1}'
GOOD = sign(MESSAGE, KEY, MANIFEST)


def openssh_verify(folder: Path, message: bytes, signature: bytes, key: PrivateKey) -> bool:
    """Ask `ssh-keygen -Y verify`."""
    (folder / "signers").write_text(f"acme {key.public.line}\n")
    (folder / "sig").write_bytes(signature)
    command: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        folder / "signers",
        "-I",
        "acme",
    ]
    command += ["-n", MANIFEST, "-s", folder / "sig"]
    return subprocess.run(command, input=message, capture_output=True).returncode == 0


def openssh_sign(folder: Path, messages: list[bytes], namespace: str) -> list[bytes]:
    """Let `ssh-keygen -Y sign` sign with the key in the folder, all in one run."""
    paths = [folder / f"message{number}" for number in range(len(messages))]
    for path, message in zip(paths, messages, strict=True):
        path.write_bytes(message)
    options: list[str | Path] = ["-Y", "sign", "-f", folder / "id", "-n", namespace]
    subprocess.run(["ssh-keygen", "-q", *options, *paths], capture_output=True, check=True)
    return [path.with_suffix(".sig").read_bytes() for path in paths]


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_openssh_agrees_in_both_directions(tmp_path: Path, count: int) -> None:
    """Our signatures verify there and are the very ones it makes itself, which verify here."""
    write_key_pair(KEY, tmp_path / "id")
    messages = [b'{"manifest":%d}' % number * (number % 50 + 1) for number in range(count)]
    ours = [sign(message, KEY, MANIFEST) for message in messages]
    # Ed25519 is deterministic, so the two files are equal to the byte.
    assert openssh_sign(tmp_path, messages, MANIFEST) == ours
    for message, signature in zip(messages, ours, strict=True):
        assert verify(message, signature, MANIFEST) == KEY.public
        assert openssh_verify(tmp_path, message, signature, KEY)
    assert not openssh_verify(tmp_path, messages[0] + b" ", ours[0], KEY)


def test_another_message_is_refused() -> None:
    """One changed byte is enough."""
    with pytest.raises(VerificationError, match="signature") as caught:
        verify(MESSAGE + b" ", GOOD, MANIFEST)
    assert "altered" in caught.value.why


def test_another_purpose_is_refused(tmp_path: Path) -> None:
    """A signature for e-mail or for a key statement is none for a manifest."""
    write_key_pair(KEY, tmp_path / "id")
    for signature in (*openssh_sign(tmp_path, [MESSAGE], "file"), sign(MESSAGE, KEY, TRUST)):
        with pytest.raises(VerificationError) as caught:
            verify(MESSAGE, signature, MANIFEST)
        assert "was made for" in caught.value.why


def test_a_malleable_signature_is_refused() -> None:
    """Adding the group's order to S gives other bytes for the same equation."""
    raw = parse(GOOD).raw
    bigger = int.from_bytes(raw[32:], "little") + ORDER
    changed = Signature(KEY.public, MANIFEST, raw[:32] + bigger.to_bytes(32, "little"))
    with pytest.raises(VerificationError) as caught:
        verify(MESSAGE, changed.armored(), MANIFEST)
    assert "malleable" in caught.value.why


def test_a_small_order_key_is_refused() -> None:
    """The identity's signature R=1, S=0 holds for every message in a lax verifier."""
    identity = b"\1" + bytes(31)
    blob = armored(public=identity, raw=identity + bytes(32))
    with pytest.raises(VerificationError) as caught:
        verify(MESSAGE, blob, MANIFEST)
    assert "small order" in caught.value.why


def test_a_signature_by_another_key_names_that_key() -> None:
    """Verification tells who signed; that it is someone else is for trust to judge."""
    other = PrivateKey(b"x" * 32)
    assert verify(MESSAGE, sign(MESSAGE, other, MANIFEST), MANIFEST) == other.public


def armored(**fields: bytes) -> bytes:
    """Return a signature file with some fields replaced by *fields*."""
    public, raw = fields.get("public", KEY.public.raw), fields.get("raw", parse(GOOD).raw)
    blob = b"".join(
        (
            fields.get("magic", b"SSHSIG"),
            fields.get("version", uint32(1)),
            string(string(fields.get("key_type", b"ssh-ed25519")) + string(public)),
            string(fields.get("namespace", MANIFEST.encode())),
            string(fields.get("reserved", b"")),
            string(fields.get("hash", b"sha512")),
            string(string(fields.get("type", b"ssh-ed25519")) + string(raw)),
            fields.get("tail", b""),
        )
    )
    text = base64.b64encode(blob)
    lines = b"".join(text[i : i + 70] + b"\n" for i in range(0, len(text), 70))
    return b"-----BEGIN SSH SIGNATURE-----\n" + lines + b"-----END SSH SIGNATURE-----\n"


def test_the_builder_of_wrong_signatures_can_make_a_right_one() -> None:
    """The cases below are refused for the field they change."""
    assert armored() == GOOD


FIELDS = {
    "magic": b"SSHGIS",
    "version": uint32(2),
    "key_type": b"ssh-rsa",
    "reserved": b"x",
    "hash": b"sha256",
    "type": b"ssh-rsa",
    "raw": bytes(63),
    "tail": b"x",
    "namespace": b"\xff",
    "public": b"short",
}


@pytest.mark.parametrize("field", FIELDS)
def test_other_forms_are_refused(field: str) -> None:
    """Only the one form that this version of the format has is read."""
    with pytest.raises(VerificationError):
        verify(MESSAGE, armored(**{field: FIELDS[field]}), MANIFEST)


SPELLINGS = {
    "other line length": GOOD.replace(b"\n", b"", 2).replace(b"-----U", b"-----\nU"),
    "carriage returns": GOOD.replace(b"\n", b"\r\n"),
    "space in front": b" " + GOOD,
    "line behind": GOOD + b"\n",
    "no last line break": GOOD[:-1],
    "junk in base64": GOOD.replace(b"AAAA", b"AA*AA", 1),
    "empty": b"",
    "only the frame": b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
}


@pytest.mark.parametrize("data", SPELLINGS.values(), ids=SPELLINGS)
def test_other_spellings_are_refused(data: bytes) -> None:
    """A signature has one spelling, so a package has one too."""
    with pytest.raises(VerificationError):
        verify(MESSAGE, data, MANIFEST)


def test_every_flipped_bit_is_refused() -> None:
    """No bit of the text form is free."""
    for bit in range(8 * len(GOOD)):
        changed = bytearray(GOOD)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VerificationError):
            verify(MESSAGE, bytes(changed), MANIFEST)
