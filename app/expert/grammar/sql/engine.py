"""The engine's form of a SQL grammar: every token of the language is a lexeme.

SQL was made to be cut greedily into words, numbers, texts and signs, so what `lexemes.cut` proves
of other grammars, at some cost, is known of this one: names exclude the reserved words, and no
space follows a space.
"""

from expert.grammar.constraint import CompiledGrammar
from expert.grammar.form import (
    EMPTY,
    Chars,
    Choice,
    Grammar,
    Lexeme,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    choice,
    sequence,
)
from expert.grammar.lark import to_lark
from expert.grammar.normal import reachable
from expert.grammar.regex import regex
from expert.grammar.sql.check import opening_check
from expert.grammar.sql.copied import copied_text
from expert.grammar.sql.dialects import dialect_named
from expert.grammar.sql.grammar import fold, functions_of, plain_grammar
from expert.grammar.sql.schema import Schema

_NAMED = """
    known-table known-column alias word text string number count parameter compare ws
    aggregate-function aggregate-2 scalar-0 scalar-1 scalar-2 scalar-3 scalar-many
"""
_LEXEMES = frozenset(_NAMED.split())


def compile_sql(
    schema: Schema,
    dialect: str = "sqlite",
    kinds: tuple[str, ...] = ("query",),
    question: str | None = None,
) -> CompiledGrammar:
    """Return what a statement about *schema* must be: its grammar, and each name in its scope.

    With a *question*, texts are words of it, or codes of a few letters.

    Raises:
        UsageError: there is no such dialect.
    """
    spoken = dialect_named(dialect)
    tokens = _tokens(plain_grammar(schema, spoken, kinds))
    if question is not None:
        texts = {
            name: Lexeme(f"/{regex(copied_text(question, quote))}/")
            for name, quote in (("string", "'"), ("text", '"'))
        }
        tokens = Grammar(tokens.rules | texts, tokens.root)
    return CompiledGrammar(to_lark(tokens), opening_check(schema, spoken, functions_of(spoken)))


def _tokens(grammar: Grammar) -> Grammar:
    rules = {
        name: _lexeme(fold(node)) if name in _LEXEMES else _cut(node)
        for name, node in grammar.rules.items()
    }
    rules["sp"] = Repeat(Reference("ws"), 0, 1)
    return Grammar(reachable(rules, grammar.root), grammar.root)


def _cut(node: Node) -> Node:
    match node:
        case Text() | Chars():
            return EMPTY if node is EMPTY else _lexeme(fold(node))
        case Sequence(parts):
            return sequence(*map(_cut, parts))
        case Choice(options):
            return choice(*map(_cut, options))
        case Repeat(item, least, most):
            return Repeat(_cut(item), least, most)
        case _:
            return node


def _lexeme(node: Node) -> Lexeme:
    return Lexeme(f"/{regex(node)}/")
