"""Ed25519 keys, in the files that OpenSSH keeps them in.

Format: OpenSSH's PROTOCOL.key for private keys, RFC 8709 for public ones. Private keys with a
passphrase are left to `ssh-keygen -Y sign`, whose signatures Expert attaches as they are.
"""

import base64
import binascii
import errno
import hashlib
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from expert.errors import NotFoundError, ResourceError, UsageError, VerificationError
from expert.package.wire import Reader, WireError, string, uint32

ALGORITHM = b"ssh-ed25519"
_MAGIC = b"openssh-key-v1\0"
_BEGIN, _END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
_LINE = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/]+={0,2})(?: ([^\r\n]*))?")
_MAX_FILE = 16 * 1024


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who signed, as 32 bytes; the comment is only for people."""

    raw: bytes
    comment: str = field(default="", compare=False)

    @property
    def blob(self) -> bytes:
        """SSH's encoding of the key."""
        return string(ALGORITHM) + string(self.raw)

    @property
    def fingerprint(self) -> str:
        """What people compare, as `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The key as a line of a `.pub` file, without comment."""
        return f"ssh-ed25519 {base64.b64encode(self.blob).decode()}"

    @classmethod
    def from_blob(cls, blob: bytes, comment: str = "") -> "PublicKey":
        """Return the key in SSH's encoding.

        Raises:
            VerificationError: it is of another kind, damaged, or a key that proves nothing.
        """
        reader = Reader(blob)
        try:
            algorithm, raw = reader.string(), reader.string()
            reader.finish()
        except WireError as error:
            raise _bad_key(f"Its encoding is damaged: {error}.") from None
        if algorithm != ALGORITHM:
            raise _bad_key("It is not an Ed25519 key.", "Use a key of the type ssh-ed25519.")
        return cls.from_raw(raw, comment)

    @classmethod
    def from_raw(cls, raw: bytes, comment: str = "") -> "PublicKey":
        """Return the key with these 32 bytes.

        Raises:
            VerificationError: no private key can belong to it, or anyone's can.
        """
        from nacl.bindings import crypto_core_ed25519_is_valid_point

        if len(raw) != 32:
            raise _bad_key(f"It has {len(raw)} bytes instead of 32.")
        if not crypto_core_ed25519_is_valid_point(raw):
            raise _bad_key(
                "It is of small order or not a point of the curve, so that anyone could sign for "
                "it or nobody can.",
                "Do not trust whoever gave it to you.",
            )
        return cls(raw, comment)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Return the key of one line of a `.pub` file.

        Raises:
            VerificationError: it is not such a line.
        """
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise _bad_key("It is not a line that starts with ssh-ed25519.")
        try:
            blob = base64.b64decode(match[1], validate=True)
        except binascii.Error as error:
            raise _bad_key(f"Its base64 is damaged: {error}.") from None
        return cls.from_blob(blob, match[2] or "")


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A signing key; its seed never shows up in a printed form."""

    seed: bytes = field(repr=False)
    comment: str = ""

    @classmethod
    def generate(cls, comment: str = "") -> "PrivateKey":
        """Return a new key from the system's randomness."""
        return cls(secrets.token_bytes(32), comment)

    @property
    def public(self) -> PublicKey:
        from nacl.bindings import crypto_sign_seed_keypair

        return PublicKey(crypto_sign_seed_keypair(self.seed)[0], self.comment)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature (RFC 8032) of *message*."""
        from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

        return crypto_sign(message, crypto_sign_seed_keypair(self.seed)[1])[:64]


def read_private_key(path: Path) -> PrivateKey:
    """Read a private key file, one that only its owner can read.

    Raises:
        NotFoundError: there is no such file.
        UsageError: the file is readable by others, has a passphrase, or is no such key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE)
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"Cannot read the key {path}.", f"{why}.", "Check the path.") from error
    if os.name == "posix" and mode & 0o077:
        raise UsageError(
            f"The key {path} can be read by others.", "", f"Protect it: chmod 600 {path}"
        )
    try:
        return _parse_private_key(text)
    except (WireError, ValueError) as error:
        raise UsageError(
            f"{path} is not an OpenSSH Ed25519 private key.",
            f"{error}.",
            "Make one with `expert keygen` or `ssh-keygen -t ed25519`.",
        ) from None


def _parse_private_key(data: bytes) -> PrivateKey:
    text = data.decode("ascii").strip()
    if not text.startswith(_BEGIN) or not text.endswith(_END):
        raise WireError("it has not the first and last line of one")
    reader = Reader(base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split())))
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise WireError("it does not start as one")
    cipher, _, _ = reader.string(), reader.string(), reader.string()
    if cipher != b"none":
        raise UsageError(
            "The key has a passphrase, which Expert cannot open.",
            "",
            "Sign with `ssh-keygen -Y sign -n expert-manifest@v1`, and attach that signature.",
        )
    if reader.uint32() != 1:
        raise WireError("it holds several keys")
    public, private = reader.string(), Reader(reader.string())
    reader.finish()
    return _parse_private_section(private, public)


def _parse_private_section(reader: Reader, public: bytes) -> PrivateKey:
    if reader.uint32() != reader.uint32() or reader.string() != ALGORITHM:
        raise WireError("it is damaged, or of another kind than ssh-ed25519")
    raw, secret, comment = reader.string(), reader.string(), reader.string()
    padding = reader.data[reader.offset :]
    if len(padding) >= 8 or padding != bytes(range(1, len(padding) + 1)):
        raise WireError("its padding is damaged")
    key = PrivateKey(secret[:32], comment.decode("utf-8"))
    if (
        len(secret) != 64
        or secret[32:] != raw
        or key.public.raw != raw
        or key.public.blob != public
    ):
        raise WireError("its public and private halves do not belong together")
    return key


def write_key_pair(key: PrivateKey, path: Path) -> Path:
    """Write *key* to a new file only its owner can read, and its public half to `.pub` beside it.

    Returns:
        The public file.

    Raises:
        UsageError: one of the files exists.
        ResourceError: they cannot be written.
    """
    public = path.with_name(path.name + ".pub")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if public.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(public))
        _write_new(path, _private_text(key).encode(), 0o600)
        _write_new(public, f"{key.public.line} {key.comment}".strip().encode() + b"\n", 0o644)
    except FileExistsError as error:
        raise UsageError(
            f"The file {error.filename} exists.",
            "A key is never overwritten.",
            "Choose another name with -o.",
        ) from None
    except OSError as error:
        raise ResourceError(
            f"Cannot write the key {path}.", error.strerror or str(error), "Choose another folder."
        ) from error
    return public


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _private_text(key: PrivateKey) -> str:
    check = uint32(secrets.randbits(32)) * 2
    public = key.public
    section = check + public.blob + string(key.seed + public.raw) + string(key.comment.encode())
    section += bytes(range(1, -len(section) % 8 + 1))
    parts = (_MAGIC, string(b"none") * 2, string(b""), uint32(1), string(public.blob))
    text = base64.b64encode(b"".join(parts) + string(section)).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join([_BEGIN, *lines, _END]) + "\n"


def _bad_key(why: str, fix: str = "Ask its owner for the .pub file again.") -> VerificationError:
    return VerificationError("This is not a usable public key.", why, fix)
