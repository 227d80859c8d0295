"""The schema data sets, and how a schema does on its instances."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from expert.errors import ExpertError
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.schema.contract import compile_schema
from expert.grammar.schema.document import Document
from expert.grammar.schema.order import arrange
from expert.grammar.schema.reader import read_schema
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one schema of MaskBench; the counts are of its instances."""

    name: str
    split: str
    refused: str = ""
    """Why it was not compiled, or nothing."""
    compile_s: float = 0.0
    """CPU time of reading, compiling and starting."""
    checked: bool = False
    """Whether more than the mask is needed."""
    valid: int = 0
    invalid: int = 0
    reordered: int = 0
    valid_refused: int = 0
    invalid_accepted: int = 0
    tokens: int = 0
    feed_s: float = 0.0
    """CPU time of following all instances."""

    @property
    def passes(self) -> bool:
        """Whether it compiled, and all of its instances were judged right."""
        return not (self.refused or self.valid_refused or self.invalid_accepted)


def maskbench(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the development part of MaskBench."""
    path = data / "grammar" / "maskbench_dev.jsonl.zst"
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)


def draft_7_suite(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file and the groups of the whole official suite."""
    root = data / "grammar" / "json-schema-test-suite-draft7"
    for path in sorted(root.rglob("*.json")):
        for group in json.loads(path.read_text()):
            if isinstance(group["schema"], dict):
                group["schema"] = {"$schema": DRAFT_7, **group["schema"]}
            yield str(path.relative_to(root)), group


def run_row(row: dict[str, Any], table: TokenTable) -> Result:
    """Compile one schema of MaskBench, and follow all its instances."""
    start = time.process_time()
    try:
        grammar = compile_schema(row["schema"], table)
        grammar.start(table)
    except ExpertError as error:
        return Result(row["name"], row["split"], refused=f"{error.what} {error.why}")
    compile_s = time.process_time() - start
    document = read_schema(row["schema"])
    start = time.process_time()
    found = [
        (test["valid"], *answers(grammar, table, document, test["data"])) for test in row["tests"]
    ]
    return Result(
        row["name"],
        row["split"],
        compile_s=compile_s,
        checked=grammar.check is not None,
        valid=sum(valid for valid, *_ in found),
        invalid=sum(not valid for valid, *_ in found),
        reordered=sum(valid and accepted and ordered for valid, accepted, ordered, _ in found),
        valid_refused=sum(valid and not accepted for valid, accepted, *_ in found),
        invalid_accepted=sum(accepted and not valid for valid, accepted, *_ in found),
        tokens=sum(tokens for *_, tokens in found),
        feed_s=time.process_time() - start,
    )


def answers(
    grammar: CompiledGrammar, table: TokenTable, document: Document, value: Any
) -> tuple[bool, bool, int]:
    """Tell whether *value* can be the answer, whether its properties had to be put into the
    order of the schema for that, and how many tokens were tried."""
    plain = table.encode(json.dumps(value, ensure_ascii=False))
    if accepts(grammar.start(table), plain):
        return True, False, len(plain)
    ordered = table.encode(json.dumps(arrange(document, value), ensure_ascii=False))
    return accepts(grammar.start(table), ordered), True, len(plain) + len(ordered)
