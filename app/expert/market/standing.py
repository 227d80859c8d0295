"""What becomes of a package, given how its signer stands to what the user trusts."""

import difflib
from collections.abc import Iterable, Iterator, Sequence

from expert.errors import VerificationError
from expert.market.commit import NewKey
from expert.market.universe import Available, Universe
from expert.package.trust import Standing


def check_standing(one: Available, *, allow_unsigned: bool) -> None:
    """Refuse what is not signed by a key that is trusted, or can be.

    Raises:
        VerificationError: it is unsigned, or signed by a changed or revoked key.
    """
    label, publisher = one.manifest.label, one.manifest.publisher
    if one.verdict.standing is Standing.UNSIGNED:
        _check_unsigned(one, allow_unsigned=allow_unsigned)
    elif one.verdict.standing is Standing.REVOKED:
        raise VerificationError(
            f"{label} is signed by a key that was revoked.",
            f"Reason given: {one.verdict.reason or 'none'}.",
            "Wait for a version signed by a new key.",
        )
    elif one.verdict.standing is Standing.CHANGED:
        raise VerificationError(
            f"{label} is signed by another key than the one you trust for {publisher}.",
            f"{_fingerprints(one)} Nothing signed by the old key explains the change.",
            "Ask the publisher over another channel. If the new key is theirs: "
            f"expert trust pin {publisher} KEY.pub",
        )


def _check_unsigned(one: Available, *, allow_unsigned: bool) -> None:
    if one.is_file and allow_unsigned:
        return
    fix = "Ask its publisher to sign it."
    if one.is_file:
        fix = "Ask for a signed package. If the file is your own: --allow-unsigned"
    raise VerificationError(
        f"Nobody signed {one.manifest.label}.",
        "So nothing tells who made it, or that it is what they made.",
        fix,
    )


def _fingerprints(one: Available) -> str:
    new = one.signer.fingerprint if one.signer is not None else "none"
    if one.verdict.pinned is None:
        return f"Every key you trusted was revoked; the new one is {new}."
    return f"You trust {one.verdict.pinned.fingerprint}; this is {new}."


def new_keys(additions: Sequence[Available]) -> tuple[NewKey, ...]:
    """Return the keys that will be trusted after an install, one for each publisher.

    Raises:
        VerificationError: packages of one publisher come with different new keys.
    """
    keys: dict[str, NewKey] = {}
    for one in additions:
        if one.signer is None or one.verdict.standing is Standing.TRUSTED:
            continue
        publisher = one.manifest.publisher
        other = keys.setdefault(publisher, NewKey(publisher, one.signer, one.verdict.path))
        if other.key != one.signer:
            raise VerificationError(
                f"Packages of {publisher} are signed by different keys.",
                f"One is {other.key.fingerprint}, another {one.signer.fingerprint}.",
                "Install them one by one, after asking the publisher.",
            )
    return tuple(keys.values())


def warnings(
    universe: Universe, additions: Sequence[Available], names: Iterable[str]
) -> Iterator[str]:
    """Yield what the user should know about the signers of *additions*, and what was left out."""
    publishers = {entry.publisher for entry in universe.known}
    for publisher in {one.manifest.publisher for one in additions} - publishers:
        for close in difflib.get_close_matches(publisher, publishers, n=1, cutoff=0.8):
            yield f"The publisher {publisher} is new, and its name is close to {close}."
    asked = set(names)
    for passed in universe.passed_over:
        if passed.candidate.name in asked:
            left_out = f"Left out {passed.manifest.label} from {passed.source}"
            yield f"{left_out}: its signer is {passed.verdict.standing.value}."
