"""`expert keygen`: a key to sign packages with."""

from pathlib import Path

from expert.cli import marketplace, options
from expert.paths import user_paths


def run(arguments: list[str]) -> int:
    """Make a key pair in OpenSSH's form."""
    parser = options.parser("keygen", "Make a key to sign packages with, in OpenSSH's form.")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="private key file")
    parser.add_argument("-c", "--comment", default="", metavar="TEXT")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.package.keys import PrivateKey, write_key_pair

    path = args.output or user_paths().config / "signing.key"
    key = PrivateKey.generate(args.comment)
    public = write_key_pair(key, path)
    record = {
        "private": str(path),
        "public": str(public),
        "fingerprint": key.public.fingerprint,
    }
    lines = [
        f"private   {path} (keep it secret, and keep a copy)",
        f"public    {public}",
        f"          {key.public.fingerprint}",
    ]
    marketplace.emit(args, record, lines)
    return 0
