"""A first look at an adapter's files when its package is installed.

What an adapter is attached to is checked against its base each time it is loaded; here only such
files are kept out that could fit no base at all: other formats, chat templates, tokenizers.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec

from expert.errors import VerificationError
from expert.package.manifest import Base, Manifest
from expert_converters.check_adapter import ADAPTER_KEYS, FREE_PREFIXES
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.identity import declared_identity


def check_weights(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Check the adapters among a package's unpacked *files*, by their path in it.

    Raises:
        VerificationError: one is of another format, or carries what an adapter must not.
    """
    for base in manifest.bases:
        adapter = base.adapter
        if adapter.file is not None and adapter.format == "gguf":
            _check_gguf(base, adapter.file, files[adapter.file])
        if adapter.file is not None and adapter.format == "packed":
            _check_packed(base, adapter.file, files[adapter.file])
        if adapter.file is not None and adapter.config is not None:
            _check_peft(adapter.file, files[adapter.file], adapter.config, files[adapter.config])


def _check_gguf(base: Base, name: str, path: Path) -> None:
    try:
        header = inspect(path)
    except ConversionError as error:
        raise _refusal(name, error.why) from error
    if base.adapter.kind == "control-vector":
        return
    problem = _metadata_problem(header, base.identity.architecture) or _base_problem(header, base)
    if problem is not None:
        raise _refusal(name, problem)


def _check_packed(base: Base, name: str, path: Path) -> None:
    """Expand the adapter, for what it holds is known only then, and check the result."""
    from expert_converters.compress.expand import expand  # with numpy

    with tempfile.TemporaryDirectory(prefix="expert-expand.") as folder:
        expanded = Path(folder, "adapter.gguf")
        try:
            expand(path, expanded)
        except ConversionError as error:
            raise _refusal(name, error.why) from error
        _check_gguf(base, name, expanded)


def _metadata_problem(header: GGUFFile, architecture: str) -> str | None:
    for key, found in header.types.items():
        wanted = ADAPTER_KEYS.get(key)
        if wanted is None and not key.startswith(FREE_PREFIXES):
            return f"It carries {key!a}, which no adapter has"
        if wanted is not None and found is not wanted:
            return f"{key} is of the type {found.name}, not {wanted.name}"
    kind, made_for = (
        header.metadata.get("general.type"),
        header.metadata.get("general.architecture"),
    )
    if kind != "adapter":
        return f"It is of the kind {kind!a}, not an adapter"
    if made_for != architecture:
        return f"It is for the architecture {made_for!a}, and the manifest says {architecture}"
    for tensor in header.tensors:
        if not tensor.endswith((".lora_a", ".lora_b")):
            return f"It holds {tensor!a}, which is not a part of a LoRA"
    return None


def _base_problem(header: GGUFFile, base: Base) -> str | None:
    """Compare the base that the adapter itself names with the manifest's."""
    declared = declared_identity(header)
    if declared is None or asdict(declared) == msgspec.structs.asdict(base.identity):
        return None
    return f"It says it was made for another base than {base.name} ({declared.short})"


def _check_peft(name: str, weights: Path, config_name: str, config: Path) -> None:
    from expert_converters.safetensors_file import read_safetensors

    try:
        read_safetensors(weights)
    except ConversionError as error:
        raise _refusal(name, error.why) from error
    try:
        with config.open("rb") as stream:
            msgspec.json.decode(stream.read(1 << 20), type=dict[str, object])
    except (ValueError, RecursionError):
        raise _refusal(config_name, "It is not a JSON object") from None


def _refusal(name: str, why: str) -> VerificationError:
    return VerificationError(
        f"The file {name} of the package is not a usable adapter.",
        f"{why}.",
        "Ask the publisher for a correct package.",
    )
