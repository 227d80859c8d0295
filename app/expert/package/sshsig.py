"""Signatures in OpenSSH's SSHSIG form, so that `ssh-keygen -Y verify` can check them too.

Format: OpenSSH's PROTOCOL.sshsig. Only Ed25519 with SHA-512, version 1 and an empty reserved field
are accepted, each signature in exactly one spelling. The namespace keeps a signature made for one
purpose from counting for another.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from expert.errors import VerificationError
from expert.package.keys import ALGORITHM, PrivateKey, PublicKey
from expert.package.wire import Reader, WireError, string, uint32

MANIFEST = "expert-manifest@v1"
"""Namespace of signatures over a manifest."""
TRUST = "expert-trust@v1"
"""Namespace of signatures over rotations and revocations of keys."""
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Order of Ed25519's base point (RFC 8032, section 5.1)."""

_MAGIC = b"SSHSIG"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_HASH = b"sha512"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, whose key has passed every check; that it fits a message has not been shown."""

    key: PublicKey
    namespace: str
    raw: bytes

    def armored(self) -> bytes:
        """Return the text form that `ssh-keygen` writes, byte for byte."""
        parts = (
            _MAGIC + uint32(1),
            *map(string, (self.key.blob, self.namespace.encode(), b"", _HASH)),
            string(string(ALGORITHM) + string(self.raw)),
        )
        text = base64.b64encode(b"".join(parts))
        lines = (text[start : start + 70] + b"\n" for start in range(0, len(text), 70))
        return _BEGIN + b"".join(lines) + _END


def sign(message: bytes, key: PrivateKey, namespace: str) -> bytes:
    """Return the armored signature of *message* for one purpose."""
    raw = key.sign(_signed_data(message, namespace))
    return Signature(key.public, namespace, raw).armored()


def verify(message: bytes, armored: bytes, namespace: str) -> PublicKey:
    """Return the key that signed *message* for the purpose *namespace*.

    Raises:
        VerificationError: the signature is malformed, for another purpose, by a key that proves
            nothing, malleable, or not of this message; each with its own reason.
    """
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    signature = parse(armored)
    if signature.namespace != namespace:
        raise _refusal(
            f"It was made for {signature.namespace!a}, not for {namespace}.",
            "Sign again, for the right purpose.",
        )
    if int.from_bytes(signature.raw[32:], "little") >= ORDER:
        raise _refusal("It is malleable: its number is not below the curve's order.")
    try:
        crypto_sign_open(signature.raw + _signed_data(message, namespace), signature.key.raw)
    except BadSignatureError:
        raise _refusal("It does not belong to this content: one of the two was altered.") from None
    return signature.key


def parse(armored: bytes) -> Signature:
    """Return the parts of an armored signature.

    Raises:
        VerificationError: it is malformed, or not in its one valid spelling.
    """
    if not armored.startswith(_BEGIN) or not armored.endswith(_END):
        raise _refusal("It has not the first and last line of an SSH signature.")
    try:
        reader = Reader(base64.b64decode(armored[len(_BEGIN) : -len(_END)]))
        signature = _read(reader)
    except (WireError, binascii.Error, UnicodeDecodeError) as error:
        raise _refusal(f"It is damaged: {error}.") from None
    if signature.armored() != armored:
        raise _refusal("It is not in the one form that OpenSSH writes.")
    return signature


def _read(reader: Reader) -> Signature:
    if reader.take(len(_MAGIC)) != _MAGIC or reader.uint32() != 1:
        raise WireError("it is not of version 1")
    blob, namespace, reserved, algorithm = (reader.string() for _ in range(4))
    inner = Reader(reader.string())
    reader.finish()
    if reserved or algorithm != _HASH:
        raise WireError("it uses another hash than SHA-512, or a field that must be empty")
    if inner.string() != ALGORITHM:
        raise WireError("it is not an Ed25519 signature")
    raw = inner.string()
    inner.finish()
    if len(raw) != 64:
        raise WireError("an Ed25519 signature has 64 bytes")
    return Signature(PublicKey.from_blob(blob), namespace.decode("ascii"), raw)


def _signed_data(message: bytes, namespace: str) -> bytes:
    digest = hashlib.sha512(message).digest()
    return _MAGIC + b"".join(map(string, (namespace.encode(), b"", _HASH, digest)))


def _refusal(why: str, fix: str = "Get the package again from its publisher.") -> VerificationError:
    return VerificationError("The signature is not valid.", why, fix)
