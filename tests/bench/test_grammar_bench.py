"""Measuring constrained answers: medians of pairs, on the engine and beside llama.cpp itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expert.bench import grammar as bench
from expert.bench.grammar import (
    DOCUMENT,
    JSON,
    RECORD,
    GrammarBench,
    GrammarOptions,
    _Speeds,
    cold_ratio,
    time_masks,
)
from expert.cli.bench import grammar_table
from expert.engine.model import Model
from expert.engine.token_table import build_table
from expert.grammar.compile import compile_gbnf
from expert.grammar.schema.contract import compile_schema
from expert.grammar.tokens import TokenTable

OPTIONS = GrammarOptions(tokens=6, repeat=2, threads=1, beams=2)


@pytest.fixture(scope="module")
def model(tiny_path: Path) -> Iterator[Model]:
    """The tiny model, loaded."""
    with Model(tiny_path) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def table(model: Model) -> TokenTable:
    """Its vocabulary as the grammars see it."""
    return build_table(model.header, lambda: model.vocabulary)


def accepted(grammar: str | dict[str, object], text: str, table: TokenTable) -> bool:
    """Tell whether a grammar lets every token of a text through, and lets it end there."""
    compiled = compile_gbnf(grammar) if isinstance(grammar, str) else compile_schema(grammar)
    constraint = compiled.start(table)
    for token in table.encode(text):
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return True


def test_what_is_measured_on_is_sound(table: TokenTable) -> None:
    """The document is JSON that the grammar allows; the record's schema allows a record."""
    jsonschema: Any = pytest.importorskip("jsonschema")
    assert set(json.loads(DOCUMENT)) >= {"name", "born", "fields", "address"}
    assert accepted(JSON, DOCUMENT, table)
    jsonschema.Draft202012Validator.check_schema(RECORD)
    record = {
        "identifier": 7,
        "classification": "probable",
        "responsible_department": "engineering",
        "requires_confirmation": False,
    }
    jsonschema.validate(record, RECORD)
    assert accepted(RECORD, json.dumps(record, separators=(",", ":")), table)


@pytest.mark.parametrize("text", ["[1]", "{'a': 1}", '{"a": 01}', '{"a" 1}', "no"])
def test_the_grammar_measures_json_and_nothing_looser(text: str, table: TokenTable) -> None:
    """A grammar that let everything through would look quick."""
    assert not accepted(JSON, text, table)


@pytest.mark.parametrize("rounds", [1, 3])
def test_every_place_of_every_round_is_timed(rounds: int, table: TokenTable) -> None:
    """One mask and one judgement a token; the first round is left out."""
    text = '{"a": [1, 2], "b": "x"}'
    masks, allows = time_masks(compile_gbnf(JSON), table, text, rounds)
    assert len(masks) == len(allows) == rounds * len(table.encode(text))
    assert min(masks) >= 0 and min(allows) >= 0 and sum(masks) > 0


def test_speeds_are_relative_to_free_decoding(model: Model, table: TokenTable) -> None:
    """All ways decode on one engine, llama.cpp's own sampler among them."""
    found = _Speeds(model, table, OPTIONS).speeds()
    assert set(found) == {"tokens_per_s", "constrained", "forced", "llama_cpp", "llama_cpp_us"}
    assert all(value > 0 for value in found.values())


def test_beams_take_longer_than_one(model: Model, table: TokenTable) -> None:
    """A step of two hypotheses, in times of a greedy one."""
    assert 0.2 < _Speeds(model, table, OPTIONS).beam() < 100


def test_cold_starts_are_compared_in_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free and held to a schema in turn; the first pair warms up; the median is what counts."""
    commands: list[list[str]] = []
    times = iter([1.0, 99.0, 2.0, 3.0, 1.0, 4.0, 10.0, 20.0])

    def elapsed(arguments: list[str]) -> float:
        commands.append(arguments)
        return next(times)

    monkeypatch.setattr(bench, "_elapsed", elapsed)
    path = tmp_path / "m.gguf"
    assert cold_ratio(path, replace(OPTIONS, repeat=3)) == 2.0  # of 1.5, 4 and 2
    assert len(commands) == 8
    for free, held in zip(commands[::2], commands[1::2], strict=True):
        assert "--schema" not in free and held[held.index("--schema") + 1].startswith("{")
        for command in (free, held):
            assert command[0] == "ask" and command[command.index("-m") + 1] == str(path)
            assert command[command.index("--threads") + 1] == "1"
    commands.clear()
    times = iter([1.0, 1.0, 1.0, 1.0])
    cold_ratio(path, GrammarOptions(repeat=1))
    assert all("--threads" not in command for command in commands)


def test_a_cold_start_that_fails_is_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ends with an error would be the quickest of all."""
    with pytest.raises(subprocess.CalledProcessError):
        bench._elapsed(["ask", "--no-such-option"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        bench._elapsed(["ask"])


def test_the_table_of_grammars() -> None:
    """Each figure with its unit, and what it is measured against."""
    result = GrammarBench(
        vocabulary=151_936,
        mask_us=12.4,
        mask_p99_us=80.6,
        allows_us=0.75,
        table_s=0.333,
        tokens_per_s=31.25,
        constrained=0.987,
        forced=4.5,
        llama_cpp=0.25,
        llama_cpp_us=9000.4,
        beam=1.75,
        cold=1.05,
    )
    rows = dict(
        (line[:14].strip(), line[14:]) for line in grammar_table(result, OPTIONS).splitlines()
    )
    assert rows == {
        "mask": "12 us mean, 81 us p99 (151936 tokens of vocabulary)",
        "one token": "0.8 us to judge",
        "tables": "0.33 s to build, while the model loads",
        "no grammar": "31.2 tokens/s",
        "JSON grammar": "0.99 times the speed",
        "forced names": "4.50 times the speed",
        "llama.cpp": "0.25 times the speed; 9000 us a token, with the same JSON grammar",
        "beam of 2": "1.75 times the time of a greedy step",
        "cold --schema": "1.05 times the time of a cold ask without",
    }
