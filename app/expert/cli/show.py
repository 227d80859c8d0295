"""`expert show`: all there is to know about an expert."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options

if TYPE_CHECKING:
    from expert.market.search import Details


def run(arguments: list[str]) -> int:
    """Print an expert's manifest, signer and versions."""
    parser = options.parser("show", "Show an expert, installed or not, or a package file.")
    parser.add_argument("expert", metavar="EXPERT", help="NAME, NAME@RANGE or a .expert file")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    from expert.market.market import user_market
    from expert.market.search import show

    details = show(user_market(), args.expert)
    marketplace.emit(args, _record(details), _lines(details))
    return 0


def _record(details: "Details") -> dict[str, Any]:
    import msgspec

    available = details.available
    return {
        "manifest": msgspec.to_builtins(available.manifest),
        "id": available.candidate.id,
        "signer": None if available.signer is None else available.signer.fingerprint,
        "standing": available.verdict.standing.value,
        "source": available.source,
        "bytes": available.size,
        "installed": details.installed is not None,
        "versions": list(details.versions),
    }


def _lines(details: "Details") -> Iterator[str]:
    available, manifest = details.available, details.available.manifest
    signer = "nobody" if available.signer is None else available.signer.fingerprint
    state = "installed" if details.installed is not None else "not installed"
    yield f"{manifest.label} ({state})"
    yield manifest.summary
    rows = {
        "signer": f"{signer} ({available.verdict.standing.value})",
        "source": available.source,
        "licence": manifest.license,
        "size": marketplace.megabytes(manifest.unpacked_size),
        "versions": ", ".join(details.versions),
        "bases": ", ".join(base.name for base in manifest.bases),
        "can": ", ".join(manifest.capabilities),
        "requires": ", ".join(f"{name} {text}" for name, text in manifest.requires.items()),
        "conflicts": ", ".join(f"{name} {text}" for name, text in manifest.conflicts.items()),
    }
    yield from (f"{key:<10}{value}" for key, value in rows.items() if value)
    if manifest.description:
        yield from ("", *manifest.description.splitlines())
    yield from _section("Measured", marketplace.figure_lines(manifest))
    yield from _section("Known limits", [limit.description for limit in manifest.limitations])


def _section(title: str, texts: list[str]) -> Iterator[str]:
    if texts:
        yield from ("", f"{title}:", *(f"  {line}" for text in texts for line in text.splitlines()))
