"""Settings: a flag beats an environment variable, which beats `config.toml`, which beats these.

Environment variables are `EXPERT_` and the setting's name in capitals.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from expert.errors import ResourceError, UsageError
from expert.paths import make_private, user_paths
from expert.types import KVType


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, with its default."""

    model: str = "pocket"
    """The base model: a name from `expert model list`, or a path."""
    context: int | None = None
    """Tokens of a context; None: as many as a request needs."""
    max_tokens: int = 1024
    """Longest answer, in tokens."""
    threads: int | None = None
    """None: one a physical core."""
    gpu_layers: int | None = None
    """None: all that the build and the machine allow."""
    kv_type: KVType = "f16"
    """KV cache: f32, f16, q8_0 or q4_0."""


def load_config(overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the settings in force; *overrides* are the command line's, None where not given.

    Raises:
        UsageError: a setting is unknown or of the wrong kind; says where it stands.
    """
    file = user_paths().config_file
    values = _read(file)
    _check(values, f"{file}")
    for name, text in _environment().items():
        values[name] = text
        _check({name: text}, f"the environment variable EXPERT_{name.upper()}")
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    _check(given, "what was asked for")
    values.update(given)
    return msgspec.convert(values, Config, strict=False)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"The settings file {file} cannot be read.", str(error), "Mend it, or move it away."
        ) from error


def _environment() -> dict[str, Any]:
    names = [field.name for field in fields(Config)]
    found = {name: os.environ.get(f"EXPERT_{name.upper()}") for name in names}
    return {name: text for name, text in found.items() if text}


def _check(values: Mapping[str, Any], where: str) -> None:
    known = {field.name for field in fields(Config)}
    for name in values:
        if name not in known:
            raise UsageError(
                f"There is no setting {name!r} in {where}.".replace(" in the env", " for the env"),
                f"Known settings: {', '.join(sorted(known))}.",
                "Correct or remove it.",
            )
    try:
        msgspec.convert(dict(values), Config, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"A setting in {where} is wrong.", str(error), "Give a value of the right kind."
        ) from error


def save_setting(name: str, value: str) -> Path:
    """Write one text setting to `config.toml`, keep the others, and return the file.

    Raises:
        ResourceError: the file cannot be written.
    """
    file = user_paths().config_file
    values = _read(file) | {name: value}
    _check(values, f"{file}")
    make_private(file.parent)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_text("".join(f"{key} = {_toml(item)}\n" for key, item in values.items()))
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ResourceError(
            f"The setting could not be saved to {file}.",
            error.strerror or str(error),
            "Make the folder writable, or free some disk space.",
        ) from error
    return file


def _toml(value: str | int) -> str:
    """Return a TOML value; JSON's strings are TOML's basic strings."""
    return msgspec.json.encode(value).decode()
