"""Manifests as bytes: one canonical JSON form, so that a hash and a signature mean one thing."""

import hashlib
import re

import msgspec

from expert.errors import VerificationError
from expert.package.limits import LIMITS, Limits
from expert.package.manifest import SCHEMA, Manifest
from expert.package.rules import check_manifest


class _Header(msgspec.Struct):
    """The one field that every version of the format has."""

    schema: int


_DECODER = msgspec.json.Decoder(Manifest)
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical JSON: UTF-8, sorted keys, no spaces, absent fields left out."""
    return _ENCODER.encode(manifest)


def package_id(manifest: bytes) -> str:
    """Return the name of a package's content: the SHA-256 of its manifest."""
    return hashlib.sha256(manifest).hexdigest()


def decode_manifest(data: bytes, limits: Limits = LIMITS) -> Manifest:
    """Return the manifest of a package, checked in full.

    Raises:
        VerificationError: it is too large, not canonical, of a newer schema, or breaks a rule.
    """
    manifest = _decode(data, limits)
    check_manifest(manifest, packed=True, limits=limits)
    if encode_manifest(manifest) != data:
        raise _refusal(
            "It is not in canonical form: a key stands twice, a number or text is spelled in "
            "another way, or there is space between."
        )
    return manifest


def decode_draft(data: bytes, limits: Limits = LIMITS) -> Manifest:
    """Return a manifest as an author writes it: any spacing, and without the list of files.

    Raises:
        VerificationError: it is too large, of a newer schema, or breaks a rule.
    """
    manifest = _decode(data, limits)
    if manifest.files:
        raise _refusal("The list of files is written when the package is packed; leave it out.")
    check_manifest(manifest, packed=False, limits=limits)
    return manifest


def _decode(data: bytes, limits: Limits) -> Manifest:
    if len(data) > limits.manifest:
        raise _refusal(f"It is larger than {limits.manifest >> 10} KiB.")
    try:
        schema = msgspec.json.decode(data, type=_Header).schema
        if schema == SCHEMA:
            return _DECODER.decode(data)
    except (ValueError, RecursionError) as error:
        raise _refusal(_printable(error)) from None
    raise VerificationError(
        f"The manifest follows schema {schema}, and this Expert reads schema {SCHEMA}.",
        "It was made by a newer Expert." if schema > SCHEMA else "There is no such schema.",
        "Update Expert." if schema > SCHEMA else "Ask the publisher for another package.",
    )


def _printable(error: Exception) -> str:
    """Return a message that quotes nothing which could act on a terminal."""
    return re.sub(r"[^ -~]", "?", str(error))[:200] + "."


def _refusal(why: str) -> VerificationError:
    return VerificationError(
        "The manifest cannot be read.", why, "Correct it, or ask its publisher to."
    )
