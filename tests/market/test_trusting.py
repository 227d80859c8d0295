"""What users decide about keys, and what publishers' statements do."""

from pathlib import Path

import pytest

from expert.errors import NotFoundError, VerificationError
from expert.market.keyring import SHIPPED_KEY, SHIPPED_PUBLISHER
from expert.market.trusting import (
    apply_statement,
    export_allowed_signers,
    revoke,
    trust,
    trusted_keys,
)
from expert.package.keys import PrivateKey
from expert.package.trust import KnownKey, revocation, rotation
from support.markets import Shop
from support.packages import KEY, make_package

NEW = PrivateKey(b"n" * 32)


@pytest.fixture(name="shop")
def shop_with_one(tmp_path: Path) -> Shop:
    """A market with one expert installed, so that its publisher's key is pinned."""
    shop = Shop(tmp_path)
    shop.offer()
    shop.install("sql")
    return shop


def states(shop: Shop) -> dict[str, str]:
    """Return the state of each of acme's keys, by fingerprint."""
    own = (key for key in trusted_keys(shop.market) if key.publisher == "acme")
    return {entry.key.fingerprint: entry.state for entry in own}


def test_the_built_in_key_is_known_from_the_start(tmp_path: Path) -> None:
    """It is the only one."""
    (entry,) = trusted_keys(Shop(tmp_path).market)
    assert (entry.publisher, entry.key.line) == (SHIPPED_PUBLISHER, SHIPPED_KEY)


def test_a_user_can_trust_another_key(shop: Shop) -> None:
    """By hand, after which the old one has retired and the new one installs."""
    trust(shop.market, "acme", NEW.public)
    assert states(shop) == {KEY.public.fingerprint: "retired", NEW.public.fingerprint: "active"}
    shop.offer(version="1.1.0", key=NEW)
    shop.update()
    assert shop.labels() == {"acme/sql@1.1.0"}


def test_a_user_can_revoke_a_key(shop: Shop) -> None:
    """The one in use or a named one; it never comes back, and what it signed stays installed."""
    assert revoke(shop.market, "acme", "", "stolen").key == KEY.public
    assert states(shop) == {KEY.public.fingerprint: "revoked"}
    assert shop.labels() == {"acme/sql@1.0.0"}
    with pytest.raises(VerificationError, match="was revoked"):
        trust(shop.market, "acme", KEY.public)
    path = make_package(shop.folder / "files", version="1.1.0")
    with pytest.raises(VerificationError, match="revoked"):
        shop.install(str(path))
    with pytest.raises(NotFoundError):
        revoke(shop.market, "acme", "SHA256:other", "")
    with pytest.raises(NotFoundError):
        revoke(shop.market, "acme", "", "no active one is left")


def test_the_built_in_key_can_be_replaced_and_revoked(tmp_path: Path) -> None:
    """Rows about its publisher take its place, and it does not come back by itself."""
    for number, change in enumerate((trust, None)):
        shop = Shop(tmp_path / str(number))
        if change is trust:
            trust(shop.market, SHIPPED_PUBLISHER, NEW.public)
        else:
            revoke(shop.market, SHIPPED_PUBLISHER, "", "lost")
        lines = {key.key.line: key.state for key in trusted_keys(shop.market)}
        assert lines[SHIPPED_KEY] == ("retired" if change is trust else "revoked")


def write(shop: Shop, data: bytes) -> Path:
    """Write a statement to a file."""
    path = shop.folder / "statement.json"
    path.write_bytes(data)
    return path


def test_a_rotation_file_is_followed(shop: Shop) -> None:
    """Signed by the trusted key; from any other it is refused."""
    with pytest.raises(VerificationError, match="not from the key you trust"):
        apply_statement(shop.market, write(shop, rotation("acme", NEW, KEY.public)))
    apply_statement(shop.market, write(shop, rotation("acme", KEY, NEW.public)))
    assert states(shop) == {KEY.public.fingerprint: "retired", NEW.public.fingerprint: "active"}
    with pytest.raises(VerificationError, match="not from the key you trust"):
        apply_statement(shop.market, write(shop, rotation("acme", KEY, NEW.public)))


def test_a_revocation_file_is_followed(shop: Shop) -> None:
    """About a key that was used here."""
    with pytest.raises(VerificationError, match="never used here"):
        apply_statement(shop.market, write(shop, revocation("acme", NEW, "lost")))
    apply_statement(shop.market, write(shop, revocation("acme", KEY, "lost")))
    assert states(shop) == {KEY.public.fingerprint: "revoked"}
    assert KnownKey("acme", KEY.public, "revoked", "lost") in trusted_keys(shop.market)


def test_a_missing_or_broken_statement_is_a_clear_error(shop: Shop) -> None:
    """Not found, or not valid."""
    with pytest.raises(NotFoundError):
        apply_statement(shop.market, shop.folder / "none.json")
    with pytest.raises(VerificationError):
        apply_statement(shop.market, write(shop, b"{}"))


def test_the_export_lists_keys_in_use(shop: Shop) -> None:
    """One line a publisher."""
    lines = export_allowed_signers(shop.market).splitlines()
    assert len(lines) == 2
    assert any(line.startswith("acme ") and KEY.public.line in line for line in lines)
