"""From any front end's grammar to one that can be started."""

from functools import cache

from expert.grammar.constraint import Check, CompiledGrammar
from expert.grammar.form import Grammar
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.lark import to_lark
from expert.grammar.lexemes import cut
from expert.grammar.normal import normalise
from expert.grammar.shortest import opening


def compile_grammar(grammar: Grammar, check: Check | None = None) -> CompiledGrammar:
    """Return *grammar* in the engine's form, held to *check* as well.

    Raises:
        UsageError: nothing matches it, or it is too large.
    """
    normal = normalise(grammar)
    return CompiledGrammar(to_lark(cut(normal)), check, guide=cache(lambda: opening(normal)))


def compile_gbnf(text: str, source: str = "grammar") -> CompiledGrammar:
    """Read and compile a GBNF grammar; errors are placed in *source*.

    Raises:
        UsageError: it is no GBNF, nothing matches it, or it is too large.
    """
    return compile_grammar(parse_gbnf(text, source))
