"""`expert bench grammar` and what it measures."""

import json
from pathlib import Path

from expert.bench.grammar import DOCUMENT, JSON, RECORD, time_masks
from expert.engine.model import Model
from expert.engine.token_table import build_table
from expert.forms import byte_table, read_grammar, read_schema
from support.program import expert


def test_every_number_is_measured(tiny_path: Path) -> None:
    """JSON has them all; llama.cpp's sampler is measured in the same run."""
    done = expert(
        "bench", "grammar", tiny_path, "--tokens", "8", "--repeat", "1", "--threads", "1", "--json",
        timeout=300,
    )  # fmt: skip
    assert done.code == 0, done.message
    record = json.loads(done.text)
    assert record["vocabulary"] == 448
    assert all(value > 0 for value in record.values())


def test_the_document_matches_the_grammar_it_is_measured_under() -> None:
    """Else the masks would be those of an error."""
    read_grammar(JSON).check(DOCUMENT, byte_table())


def test_the_record_is_mostly_forced(tiny: Model) -> None:
    """Its names are longer than what may be chosen."""
    table = build_table(tiny.header, lambda: tiny.vocabulary)
    constraint = read_schema(RECORD).grammar.start(table)
    forced = chosen = 0
    while not constraint.finished():
        tokens = constraint.forced()
        forced += len(tokens)
        if not tokens:
            tokens = [next(token for token in range(table.size) if constraint.allows(token))]
            chosen += 1
        for token in tokens:
            constraint.accept(token)
        if tokens[-1] in table.ends:
            break
    assert forced > 2 * chosen


def test_masks_are_timed_at_every_place() -> None:
    """One number a token and round, in microseconds."""
    masks, allows = time_masks(read_grammar(JSON).grammar, byte_table(), '{"a": 1}', rounds=2)
    assert len(masks) == len(allows) == 2 * len('{"a": 1}')
    assert all(0 <= value < 1e6 for value in masks + allows)
