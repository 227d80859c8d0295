"""From a schema and a dialect to a grammar that knows only the tables and columns there are.

The rules are those of `grammars/sql.gbnf`, with the dialect's own in place of some. Names come in
two strengths. In a plain query they are the schema's, and short aliases. Where a query can have
made names itself (after WITH, after a subquery in FROM, in GROUP BY and ORDER BY) the rules end in
`-any`, and a name may be any word; which words, only the scope check knows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from expert.grammar import chars
from expert.grammar.form import (
    Chars,
    Choice,
    Grammar,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    choice,
    references,
    sequence,
    walk,
)
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.normal import reachable
from expert.grammar.sql.dialects import Dialect, dialect_named
from expert.grammar.sql.schema import Schema
from expert.grammar.sql.words import LETTERS, any_case, short_names, usual_cases, word_except
from expert.resources import data

_WORD = 30  # characters of a name that a query makes
_NAMES = ("table-name", "column-name", "qualifier")
_KINDS = ("query", "insert", "update", "delete")
_LISTS = "aggregate aggregate-function aggregate-2 scalar-0 scalar-1 scalar-2 scalar-3 "
_LISTS += "scalar-many window-function constant call operand"
_FUNCTIONS = tuple(_LISTS.split())
_SCOPED = r"""
query ::= plain-select (ws order)? (ws limit)? | named-select (ws order-any)? (ws limit)? |
  select (ws compound ws select){1,4} (ws order-any)? (ws limit)? | with ws later
later ::= select-any (ws compound ws select-any){0,4} (ws order-any)? (ws limit)?
select ::= plain-select | named-select
plain-select ::= "SELECT" ws first (comma output){0,29} (ws from-tables rest)?
named-select ::= "SELECT" ws some-named (ws from-tables rest-named)? |
  "SELECT" ws (first | first-expr ws "AS" ws word) (comma item){0,29} ws from-derived rest-any
some-named ::= (first-expr | first comma (output comma){0,28} expr) ws "AS" ws word (
  comma item){0,29}
first ::= first-expr | (("DISTINCT" | "ALL") ws)? ("*" | qualifier "." "*")
first-expr ::= (("DISTINCT" | "ALL") ws)? expr | bracketed
output ::= "*" | qualifier "." "*" | expr
item ::= output | expr ws "AS" ws word
rest ::= (ws "WHERE" ws expr)? (ws group)?
rest-named ::= (ws "WHERE" ws expr)? (ws group-any)?
upsert ::= "ON" ws "CONFLICT" (sp columns)? ws "DO" ws (
  "NOTHING" | "UPDATE" ws "SET" ws renewal (comma renewal){0,19} (ws "WHERE" ws expr)?)
renewal ::= column-name sp "=" sp (comparand | (column sp operator sp)? "EXCLUDED" "." column-name)
cte ::= word (sp columns-of-cte)? ws "AS" sp open query-any close
columns-of-cte ::= open word (comma word){0,19} close
from-derived ::= "FROM" ws (derived | named (joiner named on?){0,4} joiner derived on-any?) (
  joiner (named | derived) on-any?){0,4}
named ::= table-name (ws ("AS" ws)? alias)?
derived ::= open query close (ws ("AS" ws)? word)?
"""


def sql_grammar(
    schema: Schema, dialect: str = "sqlite", kinds: tuple[str, ...] = ("query",)
) -> Grammar:
    """Return the grammar of statements about *schema*, each a query, insert, update or delete.

    *kinds* says which. It is the half of the contract that needs no memory; `compile_sql` adds
    the scope check.

    Raises:
        UsageError: there is no such dialect.
    """
    return folded(plain_grammar(schema, dialect_named(dialect), kinds))


def plain_grammar(schema: Schema, dialect: Dialect, kinds: tuple[str, ...]) -> Grammar:
    """Return the same with keywords as single texts, which are the tokens of the language."""
    rules = dict(_template(dialect))
    rules["root"] = sequence(
        choice(*(Reference(kind) for kind in _KINDS if kind in kinds)), rules["tail"]
    )
    tables = [(table.name, table.exact) for table in schema.tables]
    columns = {(column.name, column.exact) for table in schema.tables for column in table.columns}
    rules["known-table"] = _names(sorted(set(tables)), dialect)
    rules["alias"] = _aliases(schema, dialect)
    rules["known-column"] = _names(sorted(columns), dialect)
    return Grammar(reachable(rules, "root"))


def functions_of(dialect: Dialect) -> frozenset[str]:
    """Return the names of the functions of *dialect*."""
    rules = _template(dialect)
    lists = (rules[name] for name in _FUNCTIONS)
    return frozenset(one.text for node in lists for one in walk(node) if isinstance(one, Text))


@lru_cache(maxsize=8)
def _template(dialect: Dialect) -> dict[str, Node]:
    text = data("grammars").joinpath("sql.gbnf").read_text("utf-8")
    names = "".join(f"{name}-any ::= {name} | word\n" for name in _NAMES)
    known = """
        table-name ::= known-table
        column-name ::= known-column
        qualifier ::= known-table | alias
        tail ::= (sp ";")?
        known-table ::= "t"
        known-column ::= "c"
    """
    later = ("query", "select", "order", "group", "rest", "on")
    placeholders = "".join(f'{name}-any ::= "x"\n' for name in later)
    parts = (text, placeholders, _SCOPED, dialect.rules, known, "alias ::= word\n")
    rules = parse_gbnf("\n".join(parts) + names, "sql.gbnf").rules
    rules["word"] = word_except(dialect.reserved, _WORD)
    return _with_any(rules)


def _with_any(rules: dict[str, Node]) -> dict[str, Node]:
    """Add to each rule that leads to a name its twin, where names may be any word."""
    leading = set(_NAMES)
    while more := {
        name
        for name, node in rules.items()
        if name not in leading
        and not name.endswith("-any")
        and leading.intersection(references(node))
    }:
        leading |= more

    def twin(node: Node) -> Node:
        if isinstance(node, Reference) and node.name in leading:
            return Reference(f"{node.name}-any")
        return _mapped(node, twin)

    twins = {f"{name}-any": twin(rules[name]) for name in leading if name not in _NAMES}
    return {**rules, **twins}


def _mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """Return *node* with each node directly inside it changed."""
    match node:
        case Sequence(parts):
            return sequence(*map(change, parts))
        case Choice(options):
            return choice(*map(change, options))
        case Repeat(item):
            return replace(node, item=change(item))
        case _:
            return node


def _aliases(schema: Schema, dialect: Dialect) -> Node:
    """Return the names that a table may get: a letter with a number, or some of its own letters.

    They stand before the table they are for, so that a free choice would let anything pass.
    """
    short = {
        alias
        for table in schema.tables
        for alias in short_names(table.name)
        if alias not in dialect.reserved
    }
    numbered = sequence(Chars(LETTERS), Repeat(Chars(chars.of("0123456789")), 0, 2))
    return choice(numbered, *(any_case(alias) for alias in sorted(short)))


def _names(names: list[tuple[str, bool]], dialect: Dialect) -> Node:
    return choice(*(node for name, exact in names for node in _spellings(name, exact, dialect)))


def _spellings(name: str, exact: bool, dialect: Dialect) -> list[Node]:
    kept = dialect.folds and exact and name != name.lower()
    bare = name.isascii() and name.isidentifier() and name.lower() not in dialect.reserved
    spellings = [] if kept or not bare else [usual_cases(name)]
    for quote in dialect.quotes:
        spellings.append(Text(quote + name.replace(quote, quote * 2) + quote))
    return spellings


def folded(grammar: Grammar) -> Grammar:
    """Return *grammar* with each keyword also in small letters, and with a capital first."""
    return Grammar({name: fold(node) for name, node in grammar.rules.items()}, grammar.root)


def fold(node: Node) -> Node:
    """Return *node* with each keyword also in small letters, and with a capital first."""
    if isinstance(node, Text):
        is_keyword = len(node.text) > 1 and node.text.isupper() and node.text.isascii()
        forms = (node.text, node.text.lower(), node.text.capitalize())
        return choice(*map(Text, forms)) if is_keyword else node
    return _mapped(node, fold)
