"""Manifests of the first format: taken over field by field, and what is lost is named."""

import json
from typing import Any

import msgspec
import pytest

from expert.errors import VerificationError
from expert.package.legacy import migrate_manifest
from expert.package.manifest import BaseIdentity
from support.packages import IDENTITY

BASE = msgspec.convert(IDENTITY, BaseIdentity)
FILES = frozenset({"adapter_model.safetensors", "adapter_config.json", "README.md"})


def version_1(**changes: Any) -> dict[str, Any]:
    """Return a manifest of schema 1.0."""
    return {
        "name": "expert-sql",
        "version": "0.3.0",
        "schema_version": "1.0",
        "description": "Generates SQL.",
        "base_model": {"name": "F:\\models\\Qwen3-0.6B", "sha256": "", "quantization": "int4"},
        "adapters": [
            {"type": "lora", "target_modules": ["q_proj", "v_proj"], "r": 12, "alpha": 24}
            | {"feedforward_modules": ["up_proj", "q_proj"], "sha256": ""}
        ],
        "capabilities": ["database:sql", "query:SELECT statements", "language:en"],
        "routing": {"keywords": ["select"], "exclude_keywords": ["poem"], "priority": 0.8}
        | {"router_hint": "a AND b"},
        "constraints": {"load_order": 5, "requires": ["expert-json@>=0.2"]}
        | {"incompatible_with": ["expert-neo4j@*", "old@not a range"]},
        "training": {
            "dataset": {"path": "data/train.jsonl"},
            "config": {"method": "sft", "learning_rate": 5e-5, "epochs": 1.5},
            "decoding": {"temperature": 0.3, "top_p": 0.9, "stop_sequences": [";"]},
        },
        "quality_metrics": {"benchmark_score": 3.1, "base_model_score": 4.0, "test_queries": 17},
        "limitations": [
            "No recursion.",
            {"pattern": "UNION", "description": "fails", "workaround": "two queries"},
        ],
        "license": "MIT",
        "perf": {"latency_ms_overhead": 2},
        "_comment": "ignored",
    } | changes


def version_2() -> dict[str, Any]:
    """Return a manifest of schema 2.0, whose adapters stand inside the base."""
    old = version_1(schema_version="2.0")
    adapters = [old.pop("adapters")[0] | {"type": "dora", "use_dora": True}]
    base = old.pop("base_model") | {"prompt_template": "qwen3", "adapters": adapters}
    return old | {"base_models": [base]}


def test_schema_1_is_taken_over() -> None:
    """Each field that has a counterpart arrives there."""
    made = migrate_manifest(json.dumps(version_1()).encode(), "acme", BASE, FILES).manifest
    (base,) = made.bases
    assert made.label == "acme/sql@0.3.0"
    assert base.name == "Qwen3-0.6B"
    assert base.identity == BASE
    assert (base.adapter.kind, base.adapter.rank, base.adapter.alpha) == ("lora", 12, 24.0)
    assert base.adapter.targets == ("q_proj", "v_proj", "up_proj")
    assert made.capabilities == ("database:sql", "query:select-statements", "language:en")
    assert made.routing is not None
    assert made.routing.excludes == ("poem",)
    assert made.requires == {"acme/json": ">=0.2"}
    assert made.conflicts == {"acme/neo4j": "*"}
    assert made.sampling is not None
    assert made.sampling.stop == (";",)
    assert made.training is not None
    assert made.training.settings == {"method": "sft", "learning_rate": 5e-5, "epochs": 1.5}
    assert made.limitations[1].description == "UNION: fails"
    assert made.documents == ("README.md",)


def test_a_regression_survives() -> None:
    """A score below the base's, which the first format could not express, is kept."""
    (figure,) = migrate_manifest(
        json.dumps(version_1()).encode(), "acme", BASE, FILES
    ).manifest.evaluation
    assert (figure.expert, figure.base) == (3.1, 4.0)


def test_schema_2_is_taken_over() -> None:
    """The adapter inside the base model is found."""
    made = migrate_manifest(json.dumps(version_2()).encode(), "acme", BASE, FILES).manifest
    assert made.bases[0].adapter.kind == "dora"
    assert made.bases[0].adapter.format == "peft"


def test_what_is_lost_is_named() -> None:
    """Every dropped field has a note, comments excepted."""
    old = version_1(soft_prompts=[{"name": "a", "path": "a.pt", "tokens": 8}])
    notes = migrate_manifest(json.dumps(old).encode(), "acme", BASE, FILES).notes
    assert notes == [
        "dropped: perf",
        "dropped: soft_prompts",
        "dropped: soft prompts, which are Python pickles",
        "dropped: routing.router_hint",
        "dropped: incompatible_with 'old@not a range'",
    ]


def test_ia3_has_no_rank() -> None:
    """IA3 adapters have neither rank nor alpha, in both formats."""
    adapter = {"type": "ia3", "target_modules": ["k_proj"]}
    old = json.dumps(version_1(adapters=[adapter])).encode()
    assert migrate_manifest(old, "acme", BASE, FILES).manifest.bases[0].adapter.rank is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": "3.0"},
        {"base_models": []},
        {"adapters": []},
        {"adapters": [{"type": "merge", "target_modules": []}]},
        {"adapters": {"type": "lora"}},
        {"capabilities": 7},
        {"version": "new"},
        {"name": "///"},
        {"description": None},
        {"license": "\x1b[31m"},
        {"base_model": None},
        {"limitations": [{"description": "no pattern"}]},
        {"quality_metrics": {"benchmark_score": "high"}},
        {"training": {"config": ["epochs"]}},
        {"routing": ["keywords"]},
        {"constraints": {"requires": [1]}},
    ],
)
def test_what_is_not_such_a_manifest_is_refused(changes: dict[str, Any]) -> None:
    """Wrong kinds and values are refused, with a reason."""
    with pytest.raises(VerificationError):
        migrate_manifest(json.dumps(version_1(**changes)).encode(), "acme", BASE, FILES)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 50_000])
def test_hostile_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no JSON object are refused."""
    with pytest.raises(VerificationError):
        migrate_manifest(data, "acme", BASE, FILES)
