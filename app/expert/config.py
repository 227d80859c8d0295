"""Settings: a flag beats an environment variable, which beats `config.toml`, which beats these.

Environment variables are `EXPERT_` and the setting's name in capitals.
"""

import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from expert.errors import ResourceError, UsageError
from expert.paths import make_private, user_paths
from expert.types import FlashAttention, KVType

Counted: TypeAlias = Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]
"""What llama.cpp counts in 32 bits."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, with its default."""

    model: str = "pocket"
    """The base model: a name from `expert model list`, or a path."""
    context: Counted | None = None
    """Tokens of a context; None: as many as a request needs."""
    max_tokens: Counted = 1024
    """Longest answer, in tokens."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=512)] | None = None
    """None: one a physical core."""
    gpu_layers: Annotated[int, msgspec.Meta(ge=-1, lt=1 << 31)] | None = None
    """None: all that the build and the machine allow."""
    kv_type: KVType = "f16"
    """KV cache: f32, f16, q8_0 or q4_0."""
    flash_attention: FlashAttention = "auto"
    """auto, on or off; off answers sooner after long histories on a CPU, but reads them slower."""
    memory: Annotated[float, msgspec.Meta(ge=0, le=1e12)] | None = None
    """Most memory to take, in MB; None: what is free."""
    history: bool = True
    """Keep questions and answers, for `expert log` and `--continue`."""
    theme: str = "textual-dark"
    """Colours of the chat."""
    disabled: str = ""
    """Installed experts that only answer when asked for by name, separated by spaces."""
    scales: str = ""
    """How strongly experts act, where that is not 1: `sql:0.5 json:1.25`."""

    @property
    def disabled_experts(self) -> frozenset[str]:
        """Qualified names of the experts that are never chosen by themselves."""
        return frozenset(self.disabled.split())

    @property
    def expert_scales(self) -> dict[str, float]:
        """Scales by qualified name; what is no number is left out."""
        pairs = (text.rpartition(":") for text in self.scales.split())
        return {name: float(scale) for name, _, scale in pairs if _is_number(scale)}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


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
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
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


def setting_names() -> list[str]:
    """Return the names of all settings."""
    return [field.name for field in fields(Config)]


def saved_settings() -> dict[str, Any]:
    """Return what `config.toml` itself says.

    Raises:
        UsageError: it cannot be read.
    """
    return _read(user_paths().config_file)


def save_setting(name: str, value: str) -> Path:
    """Write one setting to `config.toml`, keep everything else in it, and return the file.

    Raises:
        UsageError: there is no such setting, the value is of the wrong kind, or nothing that the
            file can hold.
        ResourceError: the file cannot be written.
    """
    file = user_paths().config_file
    _check({name: value}, "what was asked for")
    typed = getattr(msgspec.convert({name: value}, Config, strict=False), name)
    if typed is None or not _is_storable(typed):
        raise UsageError(
            f"The setting {name} cannot be {value!a}.",
            "A settings file holds numbers and text in UTF-8.",
            "Give another value; `expert config unset` brings the default back.",
        )
    _rewrite(file, name, f"{name} = {_toml(typed)}\n", _read(file) | {name: typed})
    return file


def remove_setting(name: str) -> Path:
    """Take one setting out of `config.toml`, so that its default counts; return the file.

    Raises:
        UsageError: it is not there.
        ResourceError: the file cannot be written.
    """
    file = user_paths().config_file
    values = _read(file)
    if name not in values:
        raise UsageError(f"{name!r} is not set in {file}.", "", "See `expert config list`.")
    del values[name]
    _rewrite(file, name, "", values)
    return file


def _rewrite(file: Path, name: str, line: str, values: Mapping[str, Any]) -> None:
    """Replace the line of a setting, or add it; comments and the other lines stay."""
    file = file.resolve()  # a link stays one
    old = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    if old and not old.endswith("\n"):
        old += "\n"
    text, found = re.subn(rf"(?m)^[ \t]*{name}[ \t]*=.*\n", lambda _: line, old, count=1)
    text = text if found else text + line
    if _parsed(text) != values:  # written in a way that a line does not show
        text = "".join(f"{key} = {_toml(item)}\n" for key, item in values.items())
    if _parsed(text) != values:
        raise UsageError(
            f"The setting {name} cannot be changed.",
            f"{file} holds more than settings, which would be lost.",
            "Change the file in an editor, or move it away.",
        )
    make_private(file.parent)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ResourceError(
            f"The setting could not be saved to {file}.",
            error.strerror or str(error),
            "Make the folder writable, or free some disk space.",
        ) from error


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_storable(value: object) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _toml(value: object) -> str:
    """Return a TOML value; JSON's strings, numbers and booleans are TOML's, but for one character.

    What else TOML has comes out as something that reads differently, or not at all.
    """
    return json.dumps(value, default=str, ensure_ascii=False).replace("\x7f", "\\u007f")
