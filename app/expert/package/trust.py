"""Whose signature counts for which publisher: judged from the keys this user has seen.

A publisher's first key is shown to the user and pinned when accepted. Another key later is refused,
unless the pinned one signed a rotation to it. Statements about keys are files of their own, signed
in a namespace of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec

from expert.errors import ExpertError, VerificationError
from expert.package import sshsig
from expert.package.keys import PrivateKey, PublicKey

MAX_STATEMENT = 8 * 1024


class Standing(Enum):
    """How a package's signer stands to what the user trusts."""

    TRUSTED = "trusted"
    """The publisher's pinned key."""
    NEW = "new"
    """The first key seen for this publisher; the user decides."""
    ROTATED = "rotated"
    """A key that the pinned one handed over to."""
    CHANGED = "changed"
    """Another key than the pinned one, and nothing explains it."""
    REVOKED = "revoked"
    """A key that was taken back."""
    UNSIGNED = "unsigned"
    """Nobody signed it."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key the user has seen for a publisher."""

    publisher: str
    key: PublicKey
    state: Literal["active", "retired", "revoked"] = "active"
    reason: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key's owner says about it."""

    schema: Literal[1] = 1
    kind: Literal["rotation", "revocation"]
    publisher: str
    key: str
    """The key that this is about, as in its `.pub` file; it signs the statement."""
    successor: str | None = None
    """The key that takes over; only in a rotation."""
    reason: str = ""


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statement: str
    signature: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement on a signer, and the keys that led to it."""

    standing: Standing
    pinned: PublicKey | None = None
    """The key trusted so far."""
    path: tuple[Statement, ...] = ()
    """The rotations from the pinned key to the signer."""
    reason: str = ""


def judge(
    publisher: str,
    signer: PublicKey | None,
    known: Sequence[KnownKey],
    statements: Iterable[Statement] = (),
) -> Verdict:
    """Judge *signer* for *publisher* by the keys known and any verified *statements* about them."""
    if signer is None:
        return Verdict(Standing.UNSIGNED)
    own = [entry for entry in known if entry.publisher == publisher]
    pinned = next((entry.key for entry in own if entry.state == "active"), None)
    said = list(statements)
    # A revoked key is revoked for every publisher: someone else has it.
    revoked = {one.key: one.reason for one in said if one.kind == "revocation"}
    revoked |= {entry.key.line: entry.reason for entry in known if entry.state == "revoked"}
    if signer.line in revoked:
        return Verdict(Standing.REVOKED, pinned, reason=revoked[signer.line])
    if pinned is None:
        return Verdict(Standing.CHANGED if own else Standing.NEW)
    if pinned == signer:
        return Verdict(Standing.TRUSTED, pinned)
    handed = [one for one in said if one.publisher == publisher and one.key not in revoked]
    path = _rotations(pinned.line, signer.line, handed)
    return Verdict(Standing.ROTATED if path else Standing.CHANGED, pinned, path)


def _rotations(start: str, goal: str, said: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return the rotations that lead from one key to another, none if there is no way."""
    onward: dict[str, list[Statement]] = {}
    for statement in said:
        if statement.kind == "rotation":
            onward.setdefault(statement.key, []).append(statement)
    reached: dict[str, tuple[Statement, ...]] = {start: ()}
    queue = [start]
    for key in queue:
        for statement in onward.get(key, ()):
            if statement.successor is not None and statement.successor not in reached:
                reached[statement.successor] = (*reached[key], statement)
                queue.append(statement.successor)
    return reached.get(goal, ())


def rotation(publisher: str, old: PrivateKey, new: PublicKey) -> bytes:
    """Return the signed statement that *new* takes over from *old*, as a file's contents."""
    line = old.public.line
    return _sign(Statement(kind="rotation", publisher=publisher, key=line, successor=new.line), old)


def revocation(publisher: str, key: PrivateKey, reason: str) -> bytes:
    """Return the signed statement that *key* must not be trusted any more."""
    statement = Statement(
        kind="revocation", publisher=publisher, key=key.public.line, reason=reason
    )
    return _sign(statement, key)


def _sign(statement: Statement, key: PrivateKey) -> bytes:
    data = msgspec.json.encode(statement, order="sorted")
    signed = _Signed(data.decode(), sshsig.sign(data, key, sshsig.TRUST).decode())
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def read_statement(data: bytes) -> Statement:
    """Return the statement in a file, after checking that the key it is about signed it.

    Raises:
        VerificationError: it is malformed, or signed by another key.
    """
    try:
        signed = msgspec.json.decode(data[: MAX_STATEMENT + 1], type=_Signed)
        statement = msgspec.json.decode(signed.statement, type=Statement)
        successor = statement.successor and PublicKey.parse(statement.successor)
    except ExpertError:
        raise
    except (ValueError, RecursionError) as error:
        raise _refusal(f"It is malformed: {str(error)[:100]!a}.") from None
    if (statement.kind == "rotation") != bool(successor):
        raise _refusal("A rotation names the next key, and a revocation does not.")
    if successor and successor.line != statement.successor:
        raise _refusal("Its next key is not in the one form that OpenSSH writes.")
    signer = sshsig.verify(signed.statement.encode(), signed.signature.encode(), sshsig.TRUST)
    if signer.line != statement.key:
        raise _refusal("It was signed by another key than the one it is about.")
    return statement


def _refusal(why: str) -> VerificationError:
    return VerificationError(
        "The statement about a key is not valid.", why, "Get it again from the publisher."
    )


def allowed_signers(known: Iterable[KnownKey]) -> str:
    """Return the trusted keys as an `allowed_signers` file for `ssh-keygen -Y verify`."""
    options = f'namespaces="{sshsig.MANIFEST}"'
    return "".join(
        f"{entry.publisher} {options} {entry.key.line}\n"
        for entry in known
        if entry.state == "active"
    )
