"""Candidates for the router, made from manifests: of installed experts, or of a folder.

A folder holds finished manifests as JSON, or recipes: what people wrote about an expert
(`manifest.toml`) and the prompts that are for it (`routing.txt`), before it is trained.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from expert.errors import NotFoundError, VerificationError
from expert.package.manifest import BaseIdentity, Manifest
from expert.package.text import inert
from expert.router.types import Candidate

if TYPE_CHECKING:
    from expert.market.market import Market

DEFAULT_PRIORITY = 0.5
_TOO_LARGE = 1 << 20


def candidate(manifest: Manifest, id: str | None = None) -> Candidate:
    """Return what the router needs of a manifest; the id is its label by default.

    Texts that could act on a terminal are left out, though a checked manifest has none.
    """
    routing = manifest.routing
    about = (manifest.summary, manifest.description or "")
    return Candidate(
        id=id or manifest.label,
        name=manifest.qualified_name,
        about=" ".join(_harmless(about)),
        keywords=_harmless(routing.keywords if routing else ()),
        excludes=_harmless(routing.excludes if routing else ()),
        examples=_harmless(routing.examples if routing else ()),
        capabilities=manifest.capabilities,
        conflicts=tuple(manifest.conflicts),
        priority=_priority(manifest),
        parameters=manifest.parameters,
    )


def installed(market: "Market", identity: BaseIdentity | None = None) -> list[Candidate]:
    """Return the selected installed experts, with package ids; with *identity* those for a base.

    Raises:
        ResourceError: the catalogue cannot be opened.
        VerificationError: it is damaged, or of a newer Expert.
    """
    if not market.store.database.exists():
        return []  # looking must not create anything
    with market.reading() as catalogue:
        packages = [package for package in catalogue.installed() if package.selected]
    return [
        candidate(package.manifest, package.id)
        for package in packages
        if identity is None or any(base.identity == identity for base in package.manifest.bases)
    ]


def in_folder(folder: Path) -> list[Candidate]:
    """Return the experts of `NAME.json`, `NAME/manifest.json` or `NAME/manifest.toml` in *folder*.

    Raises:
        NotFoundError: there is none.
        VerificationError: one of them is not a manifest.
    """
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/manifest.json")])
    recipes = sorted(folder.glob("*/manifest.toml"))
    if not paths and not recipes:
        raise NotFoundError(
            f"There are no experts in {folder}.",
            "It holds none of NAME.json, NAME/manifest.json and NAME/manifest.toml.",
            "Give a folder of manifests.",
        )
    return [*(candidate(_read(path)) for path in paths), *map(_of_recipe, recipes)]


def _of_recipe(path: Path) -> Candidate:
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
        lines = path.with_name("routing.txt").read_text(encoding="utf-8").splitlines()
        about["name"] = f"{about['publisher']}/{about['name']}"
        about["about"] = " ".join(_harmless((about["summary"], about.get("description", ""))))
        for name in ("keywords", "excludes"):
            about[name] = _harmless(about.get("routing", {}).get(name, ()))
        examples = (line.replace("\\n", "\n") for line in lines if line.strip())
        about["parameters"] = about.get("sampling", {})
        known = {**about, "id": about["name"], "examples": _harmless(examples)}
        return msgspec.convert(known, Candidate)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise VerificationError(
            f"{path} does not describe an expert.", str(error), "Correct it."
        ) from error


def _read(path: Path) -> Manifest:
    try:
        if path.stat().st_size > _TOO_LARGE:
            raise ValueError("it is larger than any manifest")
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise VerificationError(f"{path} is not a manifest.", str(error), "Correct it.") from error


def _priority(manifest: Manifest) -> float:
    stated = manifest.routing.priority if manifest.routing else None
    return DEFAULT_PRIORITY if stated is None else stated


def _harmless(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if inert(text, multiline=True))
