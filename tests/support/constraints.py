"""Constraints for decoding tests: contracts of grammars, and a check that leads to dead ends."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from expert.engine.constrained import Contract
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.grammar.compile import compile_gbnf
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.tokens import TokenTable

NUMBERS = 'root ::= "[" [0-9]{1,3} ("," [0-9]{1,3}){0,5} "]"'


def run(engine: Engine, job: Job) -> tuple[str, Finished, list[Piece]]:
    """Run a job and return its text, how it ended, and its pieces."""
    outputs = list(engine.generate(job))
    pieces = [out for out in outputs if isinstance(out, Piece)]
    last = outputs[-1]
    assert isinstance(last, Finished)
    return "".join(piece.text for piece in pieces), last, pieces


def contract(grammar: str | CompiledGrammar, table: TokenTable, **options: Any) -> Contract:
    """Return the contract of a grammar."""
    compiled = compile_gbnf(grammar) if isinstance(grammar, str) else grammar
    return Contract(lambda limit: compiled.start(table, limit), **options)


class UniqueItems:
    """A check: the numbers of a list differ. It is what `retreat` is for."""

    def __init__(self, text: bytes = b"") -> None:
        self.text = text

    def push(self, data: bytes) -> "UniqueItems | None":
        text = self.text + data
        items = text.strip(b"[]").split(b",")
        whole = items if text.endswith(b"]") else items[:-1]
        return None if len(set(whole)) < len(whole) else UniqueItems(text)

    def complete(self) -> bool:
        return True

    def suggestions(self) -> Iterator[bytes]:
        return iter(())

    def anchors(self) -> tuple[int, ...]:
        return tuple(found.end() for found in re.finditer(rb"[\[,]", self.text))


def unique_numbers(verify: Callable[[str], None] | None = None) -> CompiledGrammar:
    """Return lists of six different numbers of ones and twos, where most greedy paths die."""
    plain = compile_gbnf('root ::= "[" [12]{1,3} ("," [12]{1,3}){5} "]"')
    return CompiledGrammar(plain.engine, UniqueItems(), verify=verify)


def no_way_out() -> CompiledGrammar:
    """Return a grammar whose every answer its check refuses, at the last comma."""
    plain = compile_gbnf('root ::= "[" [1] ("," [1]){2} "]"')
    return CompiledGrammar(plain.engine, UniqueItems())
