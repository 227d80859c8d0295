"""Manifests, source folders and packages for tests of everything that handles experts."""

import random
import struct
from pathlib import Path
from typing import Any

import msgspec

from expert.package.keys import PrivateKey
from expert.package.manifest import Manifest
from expert.package.pack import pack
from expert.package.rules import references

KEY = PrivateKey(b"acme" * 8)

IDENTITY = {
    "architecture": "qwen3",
    "shapes": "1" * 64,
    "tokenizer": "2" * 64,
    "norms": "3" * 64,
}


def draft(**changes: Any) -> dict[str, Any]:
    """Return a small valid manifest as an author writes it, with some fields changed."""
    manifest: dict[str, Any] = {
        "schema": 1,
        "publisher": "acme",
        "name": "sql",
        "version": "1.0.0",
        "summary": "Writes SQL queries.",
        "license": "Apache-2.0",
        "bases": [base()],
    }
    manifest.update(changes)
    return {key: value for key, value in manifest.items() if value is not None}


def base(name: str = "Qwen3-0.6B", **adapter: Any) -> dict[str, Any]:
    """Return a base model's entry."""
    weights = {"file": "adapter.gguf", "rank": 32, "alpha": 32.0, **adapter}
    given = {key: value for key, value in weights.items() if value is not None}
    return {"name": name, "identity": IDENTITY, "adapter": given}


def full_draft() -> dict[str, Any]:
    """Return a manifest that uses every field an author can write."""
    return draft(
        description="Writes SQL for a schema.\n\nSee the README.",
        homepage="https://example.org/sql",
        tags=["sql", "database"],
        capabilities=["language:sql", "task:generate"],
        bases=[
            base(targets=["q_proj", "v_proj"], soft_prompt="prompt.gguf"),
            base("Qwen3-1.7B", file="large.gguf") | {"identity": IDENTITY | {"norms": "4" * 64}},
        ],
        grammar={"format": "gbnf", "file": "grammar.gbnf"},
        system_prompt="You write SQL.\nOne statement.",
        sampling={"temperature": 0.2, "top_k": 20, "stop": [";"], "max_tokens": 256},
        routing={"keywords": ["sql"], "excludes": ["poem"], "examples": ["all users"]},
        requires={"acme/json": "^1.2"},
        conflicts={"other/sql": "<2"},
        training={
            "method": "sft",
            "datasets": [{"name": "pairs", "license": "MIT", "rows": 10}],
            "steps": 100,
            "settings": {"lr": 0.0002, "packing": False, "optimizer": "muon", "batch": 16},
        },
        evaluation=[
            {"metric": "execution accuracy", "dataset": "held out", "samples": 50}
            | {"expert": 0.4, "base": 0.5, "interval": [0.3, 0.5]}
        ],
        limitations=[
            {"description": "Recursion.", "example": "WITH RECURSIVE", "workaround": "Loop."}
        ],
        documents=["LICENSE.txt", "README.md"],
        extra={"nested": {"list": [1, 2.5, None, True, "text"]}},
    )


def encode(manifest: dict[str, Any]) -> bytes:
    """Return plain JSON."""
    return msgspec.json.encode(manifest)


def adapter_gguf(seed: str = "", rank: int = 32, **metadata: str) -> bytes:
    """Return a LoRA adapter in GGUF with random weights, some of its metadata replaced."""
    texts = {"general.architecture": "qwen3", "general.type": "adapter", "adapter.type": "lora"}
    texts |= {key.replace("__", "."): text for key, text in metadata.items()}
    keys = [_text(key) + struct.pack("<I", 8) + _text(text) for key, text in texts.items()]
    keys.append(_text("adapter.lora.alpha") + struct.pack("<If", 6, float(rank)))
    shapes = {"blk.0.attn_q.weight.lora_a": (32, rank), "blk.0.attn_q.weight.lora_b": (rank, 32)}
    rows = [
        _text(name) + struct.pack("<IQQIQ", 2, *shape, 0, 32 * rank * 4 * number)
        for number, (name, shape) in enumerate(shapes.items())
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(keys)) + b"".join(keys + rows)
    source = random.Random(seed)
    weights = struct.pack(f"<{64 * rank}f", *(source.gauss() for _ in range(64 * rank)))
    return head + bytes(-len(head) % 32) + weights


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def write_source(folder: Path, manifest: dict[str, Any], **contents: bytes) -> Path:
    """Write a source folder: the manifest, and every file it speaks of."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_bytes(encode(manifest))
    made = msgspec.convert(manifest, Manifest)
    for path in references(made):
        data = adapter_gguf(made.label + path) if path.endswith(".gguf") else None
        data = contents.get(path.partition(".")[0], data)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(f"contents of {path}\n".encode() * 20 if data is None else data)
    return folder


def make_package(
    folder: Path, key: PrivateKey | None = KEY, contents: bytes | None = None, **changes: Any
) -> Path:
    """Write the package of a small draft into *folder* and return it."""
    manifest = draft(**changes)
    name = f"{manifest['publisher']}-{manifest['name']}-{manifest['version']}"
    given = {} if contents is None else {"adapter": contents}
    source = write_source(folder / "sources" / name, manifest, **given)
    pack(source, folder / f"{name}.expert", key)
    return folder / f"{name}.expert"
