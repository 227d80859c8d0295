"""Trust: pinned on first use, kept through rotations, lost by revocation."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from expert.errors import ExpertError, VerificationError
from expert.package import sshsig
from expert.package.keys import PrivateKey
from expert.package.trust import (
    KnownKey,
    Standing,
    Statement,
    allowed_signers,
    judge,
    read_statement,
    revocation,
    rotation,
)

OLD, NEW, NEXT, THIEF = (PrivateKey(bytes([i]) * 32) for i in range(1, 5))
PINNED = KnownKey("acme", OLD.public)


def rotated(old: PrivateKey, new: PrivateKey, publisher: str = "acme") -> Statement:
    """Return the verified statement of a rotation."""
    return read_statement(rotation(publisher, old, new.public))


def test_an_unsigned_package_is_unsigned_whatever_is_known() -> None:
    """No key, no trust."""
    assert judge("acme", None, [PINNED]).standing is Standing.UNSIGNED


def test_the_first_key_is_new_and_then_trusted() -> None:
    """Trust on first use."""
    assert judge("acme", OLD.public, []).standing is Standing.NEW
    assert judge("acme", OLD.public, [PINNED]).standing is Standing.TRUSTED


def test_a_key_counts_for_its_publisher_only() -> None:
    """A key trusted for one publisher is new for another."""
    assert judge("other", OLD.public, [PINNED]).standing is Standing.NEW


def test_a_changed_key_is_refused_and_both_are_named() -> None:
    """Another key than the pinned one is never silently accepted."""
    verdict = judge("acme", THIEF.public, [PINNED])
    assert (verdict.standing, verdict.pinned) == (Standing.CHANGED, OLD.public)


def test_a_rotation_signed_by_the_old_key_carries_over() -> None:
    """One or several rotations lead from the pinned key to the signer."""
    said = [rotated(NEW, NEXT), rotated(OLD, NEW)]
    assert judge("acme", NEW.public, [PINNED], said).standing is Standing.ROTATED
    verdict = judge("acme", NEXT.public, [PINNED], said)
    assert verdict.standing is Standing.ROTATED
    assert [step.key for step in verdict.path] == [OLD.public.line, NEW.public.line]


def test_rotations_in_a_circle_end() -> None:
    """A circle of rotations reaches what it reaches and stops."""
    said = [rotated(OLD, NEW), rotated(NEW, OLD)]
    assert judge("acme", THIEF.public, [PINNED], said).standing is Standing.CHANGED


def test_a_rotation_for_another_publisher_does_not_count() -> None:
    """Statements are bound to the publisher they name."""
    said = [rotated(OLD, NEW, "other")]
    assert judge("acme", NEW.public, [PINNED], said).standing is Standing.CHANGED


def test_a_rotation_from_a_key_that_is_not_pinned_does_not_count() -> None:
    """A thief cannot rotate from a key of his own."""
    said = [rotated(THIEF, NEW)]
    assert judge("acme", NEW.public, [PINNED], said).standing is Standing.CHANGED


def test_a_retired_key_does_not_come_back() -> None:
    """After a rotation the old key is a changed key."""
    known = [KnownKey("acme", OLD.public, "retired"), KnownKey("acme", NEW.public)]
    assert judge("acme", OLD.public, known).standing is Standing.CHANGED


def test_a_publisher_whose_only_key_was_revoked_is_not_new() -> None:
    """Losing the pin must not reopen trust on first use."""
    known = [KnownKey("acme", OLD.public, "revoked", "stolen")]
    assert judge("acme", THIEF.public, known).standing is Standing.CHANGED


def test_a_revoked_key_is_refused_everywhere_with_its_reason() -> None:
    """A key taken back counts for nobody."""
    known = [KnownKey("acme", OLD.public, "revoked", "stolen")]
    for publisher in ("acme", "other"):
        verdict = judge(publisher, OLD.public, known)
        assert (verdict.standing, verdict.reason) == (Standing.REVOKED, "stolen")


def test_a_revocation_by_the_key_itself_counts_at_once() -> None:
    """The owner's own statement overrides the pin, and rotations made by the lost key."""
    said = [read_statement(revocation("acme", OLD, "lost")), rotated(OLD, THIEF)]
    assert judge("acme", OLD.public, [PINNED], said).standing is Standing.REVOKED
    assert judge("acme", THIEF.public, [PINNED], said).standing is Standing.CHANGED


def test_a_statement_must_be_signed_by_the_key_it_is_about() -> None:
    """Nobody can rotate or revoke another's key."""
    honest = rotation("acme", OLD, NEW.public)
    forged = honest.replace(OLD.public.line.encode(), THIEF.public.line.encode())
    with pytest.raises(VerificationError):
        read_statement(forged)
    other = rotation("acme", THIEF, NEW.public).decode()
    statement = other[: other.index('"signature"')].replace(THIEF.public.line, OLD.public.line)
    data = statement.split('"statement": ')[1].strip().rstrip(",")
    signature = sshsig.sign(json.loads(data).encode(), THIEF, sshsig.TRUST).decode()
    with pytest.raises(VerificationError, match="not valid") as caught:
        read_statement(json.dumps({"statement": json.loads(data), "signature": signature}).encode())
    assert "another key" in caught.value.why


def test_a_manifest_signature_is_no_statement() -> None:
    """The namespaces keep the two kinds of signatures apart."""
    statement = json.loads(rotation("acme", OLD, NEW.public))["statement"]
    signature = sshsig.sign(statement.encode(), OLD, sshsig.MANIFEST).decode()
    with pytest.raises(VerificationError) as caught:
        read_statement(json.dumps({"statement": statement, "signature": signature}).encode())
    assert "was made for" in caught.value.why


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b"x" * 20_000])
def test_malformed_statements_are_refused(data: bytes) -> None:
    """Anything else than a statement file is refused."""
    with pytest.raises(VerificationError):
        read_statement(data)


def test_edited_statements_are_refused() -> None:
    """Random edits either do not matter to the JSON or are refused."""
    honest = rotation("acme", OLD, NEW.public)
    source = random.Random(8)
    for _ in range(1500):
        edited = bytearray(honest)
        edited[source.randrange(len(edited))] = source.randrange(256)
        try:
            assert read_statement(bytes(edited)) == read_statement(honest)
        except ExpertError:
            continue


def test_openssh_can_use_the_exported_keys(tmp_path: Path) -> None:
    """The export lists active keys only, and ssh-keygen finds the publisher by a signature."""
    known = [PINNED, KnownKey("other", THIEF.public, "revoked")]
    (tmp_path / "signers").write_text(allowed_signers(known))
    (tmp_path / "sig").write_bytes(sshsig.sign(b"text", OLD, sshsig.MANIFEST))
    command: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        tmp_path / "signers",
        "-I",
        "acme",
    ]
    command += ["-n", sshsig.MANIFEST, "-s", tmp_path / "sig"]
    assert subprocess.run(command, input=b"text", capture_output=True).returncode == 0
    assert "other" not in (tmp_path / "signers").read_text()
