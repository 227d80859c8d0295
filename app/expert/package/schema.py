"""The manifest's JSON Schema and field tables, made from the types themselves."""

import ast
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from expert.package import manifest
from expert.package.manifest import Manifest

START, END = "<!-- fields -->", "<!-- end of fields -->"


def json_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of a manifest, as a file's text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Expert manifest",
        "$ref": "#/$defs/Manifest",
        "$defs": _parts(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def field_tables() -> str:
    """Return Markdown tables of every part of a manifest, the manifest itself first."""
    parts = _parts()
    order = ["Manifest", *(name for name in parts if name != "Manifest")]
    return "\n".join(_table(name, parts[name]) for name in order)


def _parts() -> dict[str, Any]:
    """Return the schema of each type, its fields described by the text below each of them."""
    parts: dict[str, Any] = msgspec.json.schema(Manifest)["$defs"]
    for name, fields in _descriptions().items():
        for field, text in fields.items():
            parts[name]["properties"][field]["description"] = text
    return parts


def _descriptions() -> dict[str, dict[str, str]]:
    """Return what stands below each field in the source; Python keeps no such texts itself."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(manifest)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for before, after in zip(node.body, node.body[1:], strict=False):
            field = before.target if isinstance(before, ast.AnnAssign) else None
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(field, ast.Name) and isinstance(text, ast.Constant):
                found.setdefault(node.name, {})[field.id] = str(text.value)
    return found


def _table(name: str, part: dict[str, Any]) -> str:
    rows = [f"### {name}", "", part["description"], ""]
    rows += ["| field | holds | |", "|---|---|---|"]
    for field, kind in part["properties"].items():
        mark = "" if field in part.get("required", ()) else " (optional)"
        rows.append(f"| `{field}` | {_type(kind)}{mark} | {kind.get('description', '')} |")
    return "\n".join(rows) + "\n"


def _type(kind: dict[str, Any]) -> str:
    if "anyOf" in kind:
        choices = (_type(choice) for choice in kind["anyOf"] if choice.get("type") != "null")
        return " or ".join(choices)
    if "$ref" in kind:
        return str(kind["$ref"]).rsplit("/", 1)[-1]
    if "enum" in kind:
        return ", ".join(f"`{choice}`" for choice in kind["enum"])
    if kind.get("type") == "array":
        return "a pair" if "prefixItems" in kind else f"list of {_type(kind['items'])}"
    if kind.get("type") == "object":
        return f"table of {_type(kind.get('additionalProperties') or {})}"
    if kind.get("pattern") == "^[0-9a-f]{64}$":
        return "SHA-256"
    return str(kind.get("type", "anything"))


def write_documents(folder: Path) -> None:
    """Bring the schema file and the tables in the packages page up to date."""
    (folder / "manifest.schema.json").write_text(json_schema())
    page = folder / "packages.md"
    before, _, rest = page.read_text().partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n{field_tables()}{END}{after}")


if __name__ == "__main__":
    write_documents(Path(sys.argv[1]))
