"""The JSON Schema and the documentation say what the types say."""

import json
from pathlib import Path

import msgspec

from expert.package.manifest import Manifest
from expert.package.schema import field_tables, json_schema

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_schema_is_the_current_one() -> None:
    """docs/manifest.schema.json equals what the types give.

    After a change: `python -m expert.package.schema docs`.
    """
    assert (DOCS / "manifest.schema.json").read_text() == json_schema()


def test_the_documentation_lists_every_field() -> None:
    """docs/packages.md contains the current tables, made by the same command."""
    assert field_tables() in (DOCS / "packages.md").read_text()


def test_the_schema_knows_every_type_and_field() -> None:
    """No field is missing from the schema, and every part of a manifest says what it is."""
    parts = json.loads(json_schema())["$defs"]
    assert set(parts["Manifest"]["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(Manifest)
    }
    for name, part in parts.items():
        assert part["additionalProperties"] is False, name
        assert part["description"], name
