"""What the user decides about publishers' keys, and the statements that publishers hand out."""

from pathlib import Path

from expert.errors import NotFoundError, VerificationError
from expert.market.catalogue import Catalogue
from expert.market.keyring import follow, known_keys, pin_key, revoke_key
from expert.market.market import Market
from expert.package.keys import PublicKey
from expert.package.trust import (
    MAX_STATEMENT,
    KnownKey,
    Standing,
    Statement,
    allowed_signers,
    judge,
    read_statement,
)
from expert.store.database import transaction


def trusted_keys(market: Market) -> list[KnownKey]:
    """Return every key that was ever seen, with its state."""
    with market.connection() as connection:
        return known_keys(connection)


def trust(market: Market, publisher: str, key: PublicKey) -> KnownKey:
    """Trust *key* for *publisher* by the user's own decision; any other key of theirs retires.

    Raises:
        VerificationError: the key was revoked.
    """
    with market.connection() as connection, transaction(connection):
        if judge(publisher, key, known_keys(connection)).standing is Standing.REVOKED:
            raise VerificationError(
                f"The key {key.fingerprint} was revoked.", "", "Ask the publisher for a new one."
            )
        pin_key(connection, publisher, key, "by hand")
        Catalogue(connection).record("trust", publisher, key=key.line)
    return KnownKey(publisher, key)


def revoke(market: Market, publisher: str, fingerprint: str, reason: str) -> KnownKey:
    """Never trust a key again, the one in use if *fingerprint* is empty.

    What it signed stays installed, and `verify` says so.

    Raises:
        NotFoundError: the publisher has no such key.
    """
    with market.connection() as connection, transaction(connection):
        for entry in known_keys(connection):
            meant = fingerprint == entry.key.fingerprint or (
                not fingerprint and entry.state == "active"
            )
            if entry.publisher == publisher and meant:
                revoke_key(connection, publisher, entry.key, reason)
                Catalogue(connection).record("revoke", publisher, key=entry.key.line)
                return KnownKey(publisher, entry.key, "revoked", reason)
    raise NotFoundError(
        f"No key {fingerprint or 'in use'} is known for {publisher}.",
        "",
        "See `expert trust list`.",
    )


def apply_statement(market: Market, path: Path) -> Statement:
    """Do what a publisher's signed statement says: follow a rotation, or revoke a key.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is not valid, or about a key that is not trusted.
    """
    try:
        with path.open("rb") as stream:
            statement = read_statement(stream.read(MAX_STATEMENT))
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"Cannot read {path}.", f"{why}.", "Check the path.") from error
    key = PublicKey.parse(statement.key)
    with market.connection() as connection, transaction(connection):
        known = known_keys(connection)
        own = [entry for entry in known if entry.publisher == statement.publisher]
        if statement.kind == "rotation":
            if judge(statement.publisher, key, known).standing is not Standing.TRUSTED:
                raise VerificationError(
                    f"The rotation is not from the key you trust for {statement.publisher}.",
                    f"It is signed by {key.fingerprint}.",
                    "Ask the publisher over another channel.",
                )
            follow(connection, [statement])
        elif any(entry.key == key for entry in own):
            revoke_key(connection, statement.publisher, key, statement.reason)
        else:
            raise VerificationError(
                f"The revocation is about a key that {statement.publisher} never used here.",
                f"It is {key.fingerprint}.",
                "There is nothing to do.",
            )
        Catalogue(connection).record(statement.kind, statement.publisher, key=statement.key)
    return statement


def export_allowed_signers(market: Market) -> str:
    """Return the trusted keys in the form that `ssh-keygen -Y verify` takes."""
    return allowed_signers(trusted_keys(market))
