"""From a trained adapter to a package: the GGUF, a manifest that says everything, and the file."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from expert.errors import UsageError, VerificationError
from expert.package.codec import decode_draft
from expert.package.container import Preview
from expert.package.keys import PrivateKey
from expert.package.manifest import SCHEMA
from expert.package.pack import SOURCE_MANIFEST, pack
from expert.train.adapter.base import Base
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import TARGETS
from expert_converters.architectures import load_architecture
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.kinds import AdapterJob, AdapterReport, convert_adapter

ABOUT, ROUTING, CARD = "manifest.toml", "routing.txt", "README.md"
ADAPTER, PROMPT = "adapter.gguf", "prompt.gguf"
EXAMPLES = (50, 200)
"""How many prompts a router needs to know an expert by, and how many a manifest holds."""


@dataclass(frozen=True)
class Source:
    """What people wrote about an expert, beside its recipe."""

    about: dict[str, Any]
    """The part of its manifest that no run can know."""
    routing: tuple[str, ...]
    """Prompts that are for it; in the file \\n stands for a new line."""
    grammar: Path | None

    @property
    def verbatim(self) -> bool:
        """Whether texts of its queries are words of the question."""
        return bool(self.about.get("grammar", {}).get("verbatim", False))


def read_source(folder: Path) -> Source:
    """Read `manifest.toml` and `routing.txt`, which stand beside a recipe.

    Raises:
        UsageError: one is missing or wrong.
    """
    try:
        about = tomllib.loads(_text(folder / ABOUT))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{folder / ABOUT} is not TOML.", f"{error}.", "Correct it.") from error
    lines = _text(folder / ROUTING).split("\n")
    routing = tuple(line.replace("\\n", "\n") for line in lines if line.strip())
    if not EXAMPLES[0] <= len(routing) <= EXAMPLES[1]:
        raise UsageError(
            f"{folder / ROUTING} holds {len(routing)} prompts.",
            f"A router needs {EXAMPLES[0]} to {EXAMPLES[1]} to know the expert by.",
            "Write some more, or take some out.",
        )
    for name in ("routing", "grammar"):
        if not isinstance(about.get(name, {}), dict):
            raise UsageError(f"{name} in {folder / ABOUT} is no table.", "", f"Write [{name}].")
    file = about.get("grammar", {}).get("file")
    if not isinstance(file, str | None):
        raise UsageError(f"The grammar's file in {folder / ABOUT} is no name.", f"It is {file!r}.")
    if file and not (folder / file).is_file():
        raise UsageError(f"The grammar {folder / file} is not there.", "", "Write it.")
    return Source(about, routing, folder / file if file else None)


def _text(path: Path) -> str:
    """Return what a person wrote in a file beside a recipe.

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror}."
        what = f"The expert in {path.parent} is not described."
        raise UsageError(what, why, "Write it.") from error
    except ValueError as error:
        raise UsageError(f"{path} is not UTF-8.", f"{error}.", "Save it as UTF-8.") from error


def convert(adapter: Path, kind: Adapter, base: Base, target: Path) -> AdapterReport:
    """Convert a trained adapter to the GGUF that acts on the base, Q8_0.

    Raises:
        VerificationError: it has no form that llama.cpp can attach.
    """
    rank = kind.rank if kind.kind in ("dora", "ia3") else None
    try:
        return convert_adapter(AdapterJob(adapter, base.file, target, "q8_0", rank=rank))
    except ConversionError as error:
        raise VerificationError(
            f"The adapter cannot be converted: {error.what}.", f"{error.why}.", error.fix
        ) from error


def manifest(
    source: Source, kind: Adapter, base: Base, report: AdapterReport, training: dict[str, Any]
) -> dict[str, Any]:
    """Return the whole manifest, without figures: what people wrote and what the run knows."""
    about = {key: value for key, value in source.about.items() if key != "datasets"}
    routing = {**about.pop("routing", {}), "examples": list(source.routing)}
    used = adapter_entry(kind, base, report)
    return {
        "schema": SCHEMA,
        **about,
        "bases": [
            {
                "name": base.name,
                "identity": asdict(base.identity),
                "adapter": used,
                "quantisations": ["Q8_0"],
            }
        ],
        "routing": routing,
        "training": {**training, "datasets": source.about.get("datasets", [])},
        "documents": [CARD],
    }


def adapter_entry(kind: Adapter, base: Base, report: AdapterReport) -> dict[str, Any]:
    """Return what a manifest says of the adapter."""
    if report.form == "soft-prompt":
        return {"soft_prompt": PROMPT}
    facts = inspect(report.path)
    rank = next(t.shape[1] for name, t in facts.tensors.items() if name.endswith(".lora_a"))
    entry: dict[str, Any] = {
        "file": ADAPTER,
        "kind": "lora",
        "rank": int(rank),
        "alpha": float(str(facts.metadata["adapter.lora.alpha"])),
        "targets": adapted_layers(facts),
        "activation": kind.activation,
    }
    if kind.activation == "answer":
        entry["invocation_tokens"] = list(base.invocation)
    return entry


def adapted_layers(adapter: GGUFFile) -> list[str]:
    """Return the kinds of linear layers that an adapter acts on anywhere."""
    module_name = load_architecture("qwen3").module_name
    found = {module_name(name.removesuffix(".weight.lora_a")) or "" for name in adapter.tensors}
    return [kind for kind in TARGETS if any(name.endswith(kind) for name in found)]


def training_entry(record: dict[str, Any], recipe_digest: str) -> dict[str, Any]:
    """Return what a manifest says of the run."""
    recipe = record["recipe"]
    adapter, training = recipe["adapter"], recipe["training"]
    return {
        "method": f"{record['method']}, {adapter['kind']}",
        "steps": record["steps"],
        "tokens": record["tokens"],
        "seed": training["seed"],
        "minutes": record["minutes"],
        "hardware": record["device"],
        "recipe": recipe_digest,
        "settings": {
            "rank": adapter["rank"],
            "alpha": adapter["alpha"],
            "rate": record["rate"],
            "validation_loss": record["validation_loss"],
            "data_sha256": record["data"]["sha256"],
        },
    }


def write_folder(
    folder: Path, content: dict[str, Any], card: str, source: Source, report: AdapterReport
) -> None:
    """Write a package's source folder: manifest, adapter, card and grammar.

    Raises:
        VerificationError: the manifest is not valid.
    """
    data = msgspec.json.format(json.dumps(content, ensure_ascii=False).encode(), indent=2) + b"\n"
    decode_draft(data)
    folder.mkdir(parents=True, exist_ok=True)
    name = PROMPT if report.form == "soft-prompt" else ADAPTER
    if report.path != folder / name:
        shutil.copyfile(report.path, folder / name)
    if source.grammar is not None:
        shutil.copyfile(source.grammar, folder / source.grammar.name)
    (folder / CARD).write_text(card, encoding="utf-8")
    (folder / SOURCE_MANIFEST).write_bytes(data)


def write_package(folder: Path, target: Path, key: PrivateKey | None) -> Preview:
    """Pack a source folder as `publisher-name-version.expert` in *target*, signed if there is a
    key.
    """
    facts = json.loads((folder / SOURCE_MANIFEST).read_text(encoding="utf-8"))
    name = f"{facts['publisher']}-{facts['name']}-{facts['version']}.expert"
    return pack(folder, target / name, key)
