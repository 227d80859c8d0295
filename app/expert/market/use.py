"""Using an installed expert: its files, checked, for the base model in use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from expert.engine.expansion import attachable
from expert.errors import NotFoundError, ResourceError, UsageError, WrongBaseError
from expert.market.health import installed_file
from expert.market.leases import hold
from expert.market.market import Market
from expert.market.names import pick
from expert.market.records import Installed
from expert.package.manifest import Base, BaseIdentity, Manifest
from expert.package.ranges import Range
from expert.package.semver import Version


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


def use_expert(market: Market, name: str, identity: BaseIdentity) -> ReadyExpert:
    """Return an installed expert to be attached, and keep it until this process ends.

    Its *adapter* is what acts: a LoRA, or the soft prompt of an expert that is only that. A packed
    adapter comes expanded, in a file of the cache folder.

    Raises:
        UsageError: it has nothing that can be attached.
        as `ready_expert`.
    """
    found = ready_expert(market, name, identity)
    try:
        hold(market, [found.id])
        # It may have been removed between finding and keeping it; from here on it cannot be.
        found = ready_expert(market, found.label, identity)
    except ResourceError:
        pass  # A store that cannot be written loses nothing either.
    return replace(found, adapter=attachable(_acting(found)))


def _acting(found: ReadyExpert) -> Path:
    """Return the one file that acts on the base."""
    problem = ""
    if found.adapter is not None and found.base.adapter.format == "peft":
        problem = "it is an adapter in PEFT's form, and only GGUF adapters can be"
    elif found.adapter is not None and found.soft_prompt is not None:
        problem = "it is an adapter and a soft prompt, and an expert can be only one of them"
    if problem:
        raise UsageError(
            f"{found.label} cannot be attached.",
            f"For {found.base.name} {problem}.",
            "Ask its publisher for one that can; `expert convert adapter` makes adapters.",
        )
    file = found.adapter or found.soft_prompt
    assert file is not None  # a manifest has one of them, or it is refused
    return file


def ready_expert(market: Market, name: str, identity: BaseIdentity) -> ReadyExpert:
    """Return an installed expert, ready for the base model of this identity.

    Raises:
        UsageError: *name* is not the name of an expert.
        NotFoundError: it is not installed.
        WrongBaseError: it was made for other base models.
        VerificationError: a file of it is damaged.
    """
    package = pick(_installed(market), name)
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


def check_conflicts(experts: Sequence[ReadyExpert]) -> None:
    """Refuse experts that must not act together, as one of them declares.

    Raises:
        UsageError: names the two.
    """
    for one, other in permutations(experts, 2):
        text = one.manifest.conflicts.get(other.manifest.qualified_name)
        if text is not None and Version.parse(other.manifest.version) in Range.parse(text):
            raise UsageError(
                f"{one.label} and {other.label} cannot answer together.",
                f"{one.manifest.name} says that it conflicts with "
                f"{other.manifest.qualified_name} {text}.",
                "Choose one of them.",
            )


def is_installed(market: Market, name: str) -> bool:
    """Tell whether *name* means exactly one installed expert."""
    try:
        pick(_installed(market), name)
    except NotFoundError:
        return False
    return True


def _installed(market: Market) -> list[Installed]:
    """Return what is installed; looking must not create anything."""
    if not market.store.database.exists():
        return []
    with market.reading() as catalogue:
        return catalogue.installed()


def _file(market: Market, package: Installed, path: str | None) -> Path | None:
    return None if path is None else installed_file(market, package, path)
