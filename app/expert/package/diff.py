"""What changed between two packages, by their manifests alone."""

from dataclasses import dataclass
from typing import Any

import msgspec

from expert.package.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; None where one side has no such field."""

    field: str
    """Dotted path, lists by position, files by name."""
    before: Any
    after: Any


def diff(before: Manifest, after: Manifest) -> list[Change]:
    """Return the differing fields in order; equal manifests give none."""
    old, new = _flat(before), _flat(after)
    fields = sorted(old.keys() | new.keys())
    return [
        Change(field, old.get(field), new.get(field))
        for field in fields
        if old.get(field) != new.get(field)
    ]


def _flat(manifest: Manifest) -> dict[str, Any]:
    plain = msgspec.to_builtins(manifest)
    plain["files"] = {file["path"]: file for file in plain.get("files", ())}
    flat: dict[str, Any] = {}
    _flatten(plain, "", flat)
    return flat


def _flatten(value: Any, path: str, flat: dict[str, Any]) -> None:
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        flat[path] = value
        return
    for key, item in value.items():
        _flatten(item, f"{path}.{key}" if path else str(key), flat)
