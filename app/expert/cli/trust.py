"""`expert trust`: whose keys count, and how they change."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options

if TYPE_CHECKING:
    from expert.package.keys import PublicKey
    from expert.package.trust import KnownKey


def run(arguments: list[str]) -> int:
    """List, pin, revoke, rotate, follow or export keys."""
    args = build_parser().parse_args(arguments)
    args.json = getattr(args, "json", False)
    work: dict[str | None, Callable[[argparse.Namespace], int]] = {
        None: _list,
        "list": _list,
        "pin": _pin,
        "revoke": _revoke,
        "rotate": _rotate,
        "apply": _apply,
        "export": _export,
    }
    return work[args.action](args)


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("trust", "The keys of publishers: seen, trusted, revoked.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list the keys that were seen (the default)")
    pin = actions.add_parser("pin", help="trust a publisher's key by your own decision")
    pin.add_argument("publisher", metavar="PUBLISHER")
    pin.add_argument("key", metavar="KEY.pub", type=Path)
    revoke = actions.add_parser("revoke", help="never trust a key again")
    revoke.add_argument("publisher", metavar="PUBLISHER")
    revoke.add_argument("fingerprint", nargs="?", default="", metavar="SHA256:…")
    revoke.add_argument("--reason", default="", metavar="TEXT")
    rotate = actions.add_parser("rotate", help="as a publisher: hand over to a new key")
    rotate.add_argument("publisher", metavar="PUBLISHER")
    rotate.add_argument("key", metavar="NEW.pub", type=Path, nargs="?")
    rotate.add_argument("-k", "--old", metavar="OLD", type=Path, required=True, help="private key")
    rotate.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    rotate.add_argument("--revoke", metavar="REASON", help="take the old key back, with no new one")
    apply = actions.add_parser("apply", help="do what a publisher's statement file says")
    apply.add_argument("statement", metavar="FILE", type=Path)
    export = actions.add_parser("export", help="print an allowed_signers file for ssh-keygen")
    for action in (listing, pin, revoke, rotate, apply, export):
        options.add_json(action)
    return parser


def _row(entry: "KnownKey") -> dict[str, Any]:
    return {
        "publisher": entry.publisher,
        "fingerprint": entry.key.fingerprint,
        "key": entry.key.line,
        "state": entry.state,
        "reason": entry.reason,
    }


def _line(entry: "KnownKey") -> str:
    reason = f" ({entry.reason})" if entry.reason else ""
    return f"{entry.publisher:<20}{entry.key.fingerprint}  {entry.state}{reason}"


def _list(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.trusting import trusted_keys

    keys = trusted_keys(user_market())
    marketplace.emit(args, [_row(entry) for entry in keys], [_line(entry) for entry in keys])
    return 0


def _pin(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.trusting import trust

    entry = trust(user_market(), args.publisher, _read_key(args.key))
    marketplace.emit(args, _row(entry), [_line(entry)])
    return 0


def _read_key(path: Path) -> "PublicKey":
    from expert.package.keys import PublicKey

    return PublicKey.parse(marketplace.read_file(path).decode("utf-8", "replace"))


def _revoke(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.trusting import revoke

    entry = revoke(user_market(), args.publisher, args.fingerprint, args.reason)
    marketplace.emit(args, _row(entry), [_line(entry)])
    return 0


def _rotate(args: argparse.Namespace) -> int:
    from expert.errors import UsageError
    from expert.package.keys import read_private_key
    from expert.package.output import new_file
    from expert.package.trust import revocation, rotation

    if (args.key is None) == (args.revoke is None):
        raise UsageError("Give the new key, or --revoke REASON.", "", "See `expert trust --help`.")
    old = read_private_key(args.old)
    if args.key is None:
        data = revocation(args.publisher, old, args.revoke)
    else:
        data = rotation(args.publisher, old, _read_key(args.key))
    with new_file(args.output) as out:
        out.write(data)
    line = f"{args.output}: put it beside your packages, with a name that ends in .trust.json"
    marketplace.emit(args, {"path": str(args.output)}, [line])
    return 0


def _apply(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.trusting import apply_statement

    done = apply_statement(user_market(), args.statement)
    record = {"kind": done.kind, "publisher": done.publisher, "key": done.key}
    marketplace.emit(args, record, [f"followed the {done.kind} of {done.publisher}"])
    return 0


def _export(args: argparse.Namespace) -> int:
    from expert.market.market import user_market
    from expert.market.trusting import export_allowed_signers

    text = export_allowed_signers(user_market())
    marketplace.emit(args, {"allowed_signers": text}, text.splitlines())
    return 0
