"""The schema front end on published data: the official suite, and MaskBench."""

import json
import random
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from expert.errors import ContractError, ExpertError, UsageError
from expert.grammar.schema import compile_schema
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from expert.grammar.tokens import TokenTable
from grammar.schema_data import answers, draft_7_suite, maskbench, run_row
from grammar.usability import measure
from grammar.vocabularies import generate

jsonschema: Any = import_module("jsonschema")  # it publishes no type hints


def test_the_official_suite(table: TokenTable, data: Path) -> None:
    """Draft 7 whole: nothing wrong is accepted, and what is not right is narrow or refused.

    Groups that refer to other documents are refused, as nothing is ever fetched.
    """
    found: Counter[str] = Counter()
    for name, group in draft_7_suite(data):
        kind = "optional" if name.startswith("optional") else "required"
        try:
            document = read_schema(group["schema"])
            grammar = compile_schema(group["schema"], table)
        except UsageError as error:
            remote = "leads nowhere" in error.what
            found[f"{kind} {'remote' if remote else 'refused'}"] += len(group["tests"])
            continue
        for test in group["tests"]:
            accepted = answers(grammar, table, document, test["data"])[0]
            assert test["valid"] or not accepted, (name, group["description"], test)
            found[f"{kind} {'right' if accepted == test['valid'] else 'narrow'}"] += 1
    for kind, whole, needed in (("required", 927, 0.95), ("optional", 794, 0.96)):
        tests = {key: count for key, count in found.items() if key.startswith(kind)}
        assert sum(tests.values()) == whole
        assert found[f"{kind} right"] >= needed * (whole - found[f"{kind} remote"]), found
    assert found["required remote"] <= 51 and found["optional remote"] <= 3, found


def test_the_validator_on_the_official_suite(data: Path) -> None:
    """Our judgements are those of the suite in all required tests, and in nearly all optional."""
    wrong: Counter[bool] = Counter()
    for name, group in draft_7_suite(data):
        optional = name.startswith("optional")
        try:
            document = read_schema(group["schema"])
        except UsageError as error:
            assert "leads nowhere" in error.what, (name, group["description"])
            continue
        judge = Validator(document)
        for test in group["tests"]:
            judged = judge.judge(document.root, test["data"])
            assert optional or judged == test["valid"], (name, group["description"], test)
            assert not judged or test["valid"], (name, group["description"], test)
            wrong[optional] += judged != test["valid"]
    assert wrong[True] <= 5


def _peer(schema: Any) -> Any:
    """Return jsonschema's validator, of the draft that we take a schema for that names none."""
    newest, seventh = jsonschema.Draft202012Validator, jsonschema.Draft7Validator
    default = seventh if read_schema(schema).draft == 7 else newest
    kind = jsonschema.validators.validator_for(schema, default=default)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def _without_formats(schema: Any) -> Any:
    """Return a schema without any `format`, at whatever depth."""
    if isinstance(schema, dict):
        return {key: _without_formats(value) for key, value in schema.items() if key != "format"}
    return [_without_formats(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("step", [100, pytest.param(6, marks=pytest.mark.slow)])
def test_the_validator_agrees_with_jsonschema(data: Path, step: int) -> None:
    """On MaskBench both judge alike, whatever the draft."""
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jsonschema warns of references it will not fetch
        for row in [*maskbench(data)][::step]:
            document, peer = read_schema(row["schema"]), _peer(row["schema"])
            judge = Validator(document)
            for test in row["tests"]:
                ours = judge.judge(document.root, test["data"])
                if peer.is_valid(test["data"]) != ours:
                    # jsonschema leaves formats unchecked for which a package is missing.
                    bare = _without_formats(row["schema"])
                    plain = read_schema(bare)
                    again = Validator(plain).judge(plain.root, test["data"])
                    assert again == _peer(bare).is_valid(test["data"]), row["name"]
                compared += 1
    assert compared > 10_000 / step


def test_maskbench(table: TokenTable, data: Path) -> None:
    """Of every fifteenth schema 99 % compile and pass whole; no wrong instance is accepted.

    A schema passes when all its valid instances can be answered, with properties in the order
    of the schema, and none of its invalid ones. tests/benchmarks/maskbench.py runs all.
    """
    compile_schema({"type": "object"}, table)
    results = [run_row(row, table) for row in [*maskbench(data)][1::15]]
    assert sum(not one.refused for one in results) >= 0.99 * len(results)
    assert sum(one.passes for one in results) >= 0.99 * len(results)
    assert not sum(one.invalid_accepted for one in results)
    times = sorted(one.compile_s for one in results)
    assert times[int(0.99 * len(times))] < 0.1  # 25 ms on an idle machine


def test_random_answers_to_real_schemas_are_valid(table: TokenTable, data: Path) -> None:
    """Tokens drawn at random to the end give values that jsonschema takes, or a typed error."""
    found: Counter[str] = Counter()
    rows = random.Random(4).sample([*maskbench(data)], 80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows:
            try:
                constraint = compile_schema(row["schema"], table).start(table, limit=512)
                text = generate(constraint, table, seed=1, limit=512)
            except ExpertError as error:
                assert isinstance(error, UsageError | ContractError)
                found["error"] += 1
                continue
            found["cut" if text is None else "finished"] += 1
            if text is not None:
                assert _peer(row["schema"]).is_valid(json.loads(text)), (row["name"], text)
    assert found["finished"] >= 0.9 * len(rows), found


def test_usability_is_measured(table: TokenTable, data: Path) -> None:
    """Even tokens drawn evenly end in time under nearly all schemas; a cut is not called valid."""

    def draw(schema: Any, seed: int, limit: int) -> str | None:
        constraint = compile_schema(schema, table).start(table, limit)
        return generate(constraint, table, seed, limit)

    rows = random.Random(7).sample([*maskbench(data)], 12)
    found = measure(rows, draw, range(2))
    assert sum(one.valid for one in found) >= 0.9 * sum(one.ends.total() for one in found)
    (cut,) = measure(
        [{"name": "long", "schema": {"type": "array", "minItems": 90}}], draw, range(3), limit=20
    )
    assert not cut.usable and cut.ends == {"cut": 3}
    with pytest.raises(ContractError, match="does not keep"):
        measure([{"name": "", "schema": {"type": "string"}}], lambda *_: "1", [0])
