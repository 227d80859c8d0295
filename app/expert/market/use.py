"""Using an installed expert: its files, checked, for the base model in use."""

from dataclasses import dataclass
from pathlib import Path

from expert.errors import WrongBaseError
from expert.market.health import installed_file
from expert.market.market import Market
from expert.market.names import pick
from expert.market.records import Installed
from expert.package.manifest import Base, BaseIdentity, Manifest


@dataclass(frozen=True, slots=True)
class ReadyExpert:
    """An installed expert's files for one base model; hold a lease on its id while using them."""

    id: str
    label: str
    manifest: Manifest
    base: Base
    """Its entry for the base model in use."""
    adapter: Path | None
    soft_prompt: Path | None
    grammar: Path | None


def ready_expert(market: Market, name: str, identity: BaseIdentity) -> ReadyExpert:
    """Return an installed expert, ready for the base model of this identity.

    Raises:
        UsageError: *name* is not the name of an expert.
        NotFoundError: it is not installed.
        WrongBaseError: it was made for other base models.
        VerificationError: a file of it is damaged.
    """
    with market.reading() as catalogue:
        package = pick(catalogue.installed(), name)
    manifest = package.manifest
    base = next((base for base in manifest.bases if base.identity == identity), None)
    if base is None:
        made_for = ", ".join(base.name for base in manifest.bases)
        raise WrongBaseError(
            f"{package.label} is not for this base model.",
            f"It was made for {made_for}.",
            "Choose that base model with `expert model use`, or another expert.",
        )
    return ReadyExpert(
        package.id,
        package.label,
        manifest,
        base,
        _file(market, package, base.adapter.file),
        _file(market, package, base.adapter.soft_prompt),
        _file(market, package, manifest.grammar.file if manifest.grammar else None),
    )


def _file(market: Market, package: Installed, path: str | None) -> Path | None:
    return None if path is None else installed_file(market, package, path)
