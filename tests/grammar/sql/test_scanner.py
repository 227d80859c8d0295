"""SQL is cut into pieces as sqlglot cuts it, and names are spelled so that SQLite reads them."""

import random
import re
import sqlite3
from itertools import product

import pytest
import sqlglot

from expert.forms import byte_table
from expert.grammar.compile import compile_grammar
from expert.grammar.form import Grammar
from expert.grammar.sql.dialects import DIALECTS, dialect_named
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.read import read_schema
from expert.grammar.sql.scanner import Piece, Scanner
from expert.grammar.sql.schema import Column, Schema, Table, fold
from expert.grammar.sql.words import any_case, short_names, usual_cases, word_except
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def pieces(text: str) -> list[Piece] | None:
    """Cut a text, whole; None if it ends inside a quotation."""
    scanner, found = Scanner().feed(text.encode())
    rest = scanner.end()
    return None if rest is None else found + rest


STATEMENTS = [
    "SELECT a.b, COUNT(*) FROM t AS a WHERE x >= 1.5 AND y = 'it''s' OR z <> \"q\"\"r\"",
    "insert into t(a,b) values(1,-2),(3,'');",
    "SELECT `na``me`, 10 + 20*3 FROM t1 JOIN t2 USING(id)\n\tLIMIT 1,2",
    "SELECT 'a' 'b', 'é', \"日\" FROM x_1",
    "UPDATE t SET a=1,b='--no comment' WHERE c IN(1,2,3)",
]


@pytest.mark.parametrize("text", STATEMENTS)
def test_pieces_are_sqlglot_s_tokens(text: str) -> None:
    """Words, numbers and quotations with their text; signs come one character at a time."""
    quotes = {"STRING": "'", "IDENTIFIER": '"'}
    theirs = [
        (quotes.get(token.token_type.name), token.text)
        for token in sqlglot.tokenize(text, read="sqlite")
    ]
    ours = pieces(text)
    assert ours is not None
    plain = [piece.text.decode() for piece in ours if piece.kind not in ("'", '"', "`")]
    assert "".join(plain) == "".join(text for quote, text in theirs if not quote)
    quoted = [piece.text.decode() for piece in ours if piece.kind in ("'", '"', "`")]
    assert quoted == [text for quote, text in theirs if quote]


def test_every_cut_gives_the_same_pieces() -> None:
    """Also in the middle of a doubled quote or of a character."""
    draw = random.Random(1)
    for text in [*STATEMENTS, "'", "''", "'''", "a'b", '"x" "y"', "1.2.3", "a1_b2", "é"]:
        raw = text.encode()
        for _ in range(20):
            scanner, found, place = Scanner(), list[Piece](), 0
            while place < len(raw):
                step = draw.randint(1, 4)
                scanner, more = scanner.feed(raw[place : place + step])
                found, place = found + more, place + step
            rest = scanner.end()
            assert (None if rest is None else found + rest) == pieces(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n", []),
        ("a", [Piece("word", b"a")]),
        ("12.5", [Piece("number", b"12.5")]),
        ("''", [Piece("'", b"")]),
        ("'a''b'", [Piece("'", b"a'b")]),
        ('"a"b', [Piece('"', b"a"), Piece("word", b"b")]),
        ("a.b", [Piece("word", b"a"), Piece("sign", b"."), Piece("word", b"b")]),
        ("<>", [Piece("sign", b"<"), Piece("sign", b">")]),
        ("'open", None),
        ("'a''", None),
    ],
)
def test_what_a_text_is_cut_into(text: str, expected: list[Piece] | None) -> None:
    """A quotation that is open at the end has no last piece."""
    assert pieces(text) == expected


def test_words_are_all_but_the_reserved(octets: TokenTable) -> None:
    """Of all short words just the reserved ones are no names, in capitals or not."""
    reserved = {"ab", "abb", "b", "a1", "_"}
    grammar = compile_grammar(Grammar({"root": word_except(reserved, 4)}))
    for size in range(6):
        for letters in product("aB_1", repeat=min(size, 3)):
            text = "".join(letters) + "b" * (size - len(letters))
            right = bool(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]{0,3}", text))
            expected = right and text.lower() not in reserved
            assert accepts(grammar.start(octets), [*text.encode()]) == expected, text


def test_a_word_in_any_case(octets: TokenTable) -> None:
    """Each letter alone, other signs as they are."""
    grammar = compile_grammar(Grammar({"root": any_case("a_B1")}))
    assert all(accepts(grammar.start(octets), [*text]) for text in (b"a_B1", b"A_b1", b"a_b1"))
    assert not any(accepts(grammar.start(octets), [*text]) for text in (b"a-b1", b"a_b", b"a_b11"))


@pytest.mark.parametrize(
    ("declared", "right", "wrong"),
    [
        ("users", "users USERS Users", "useRS uSERS USers user users_"),
        ("Song_Name", "Song_Name song_name SONG_NAME song_Name Song_name", "Song_nAme SongName"),
        ("FacID", "FacID facID facid FACID Facid", "FaCID fACID"),
        ("col_1", "col_1 COL_1 Col_1", "col_2 cOl_1"),
    ],
)
def test_a_name_in_the_usual_cases(
    octets: TokenTable, declared: str, right: str, wrong: str
) -> None:
    """As people write it, part by part; no mixture that only a lost model would write."""
    grammar = compile_grammar(Grammar({"root": usual_cases(declared)}))
    for text in (*right.split(), *wrong.split()):
        assert accepts(grammar.start(octets), [*text.encode()]) == (text in right.split()), text


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("customers", ["cu", "cus", "cust"]),
        ("order_items", ["or", "ord", "orde", "oi"]),
        ("T", []),
        ("2nd_list", ["li", "lis", "list"]),
        ("a b c d e", ["ab", "abc", "abcd"]),
        ("日本", []),
    ],
)
def test_what_people_call_a_table_for_short(table: str, names: list[str]) -> None:
    """Its beginnings and its initials, of two to four letters."""
    assert list(short_names(table)) == names


# https://sqlite.org/lang_keywords.html
SQLITE_WORDS = """
abort action add after all alter always analyze and as asc attach autoincrement before begin
between by cascade case cast check collate column commit conflict constraint create cross
current current_date current_time current_timestamp database default deferrable deferred delete
desc detach distinct do drop each else end escape except exclude exclusive exists explain fail
filter first following for foreign from full generated glob group groups having if ignore
immediate in index indexed initially inner insert instead intersect into is isnull join key
last left like limit match materialized natural no not nothing notnull null nulls of offset on
or order others outer over partition plan pragma preceding primary query raise range recursive
references regexp reindex release rename replace restrict returning right rollback row rows
savepoint select set table temp temporary then ties to transaction trigger unbounded union
unique update using vacuum values view virtual when where window with without
"""


PLACES = [
    "SELECT {0} FROM {0}",
    "SELECT plain FROM {0} WHERE {0} > 1",
    "SELECT plain AS {0} FROM {0}",
    "SELECT {0}.{0} FROM {0}",
    'SELECT plain AS {0} FROM "{0}"',
    'SELECT plain FROM "{0}" ORDER BY {0}',
    "WITH {0} AS (SELECT 1 AS a) SELECT a FROM {0}",
]
"""Where a name may stand without quotes."""


def test_no_name_goes_without_quotes_that_sqlite_would_not_read(octets: TokenTable) -> None:
    """For every keyword of SQLite as a table and a column: what we allow, SQLite prepares."""
    bare, words = 0, SQLITE_WORDS.split()
    schema = Schema(tuple(Table(word, (Column(word), Column("plain"))) for word in words))
    start = compile_sql(schema).start(octets)
    with sqlite3.connect(":memory:") as database:
        for word in words:
            database.execute(f'CREATE TABLE "{word}" ("{word}", plain)')
            quoted = f'SELECT "{word}" FROM "{word}"'
            assert accepts(start.copy(), [*quoted.encode()]), quoted
            for text in (form.format(word) for form in PLACES):
                if accepts(start.copy(), [*text.encode()]):
                    bare += 1
                    database.execute(f"EXPLAIN {text}")
    assert bare > 50


@pytest.mark.parametrize(
    "name", ['a"b', "a`b", "a b", "é", "a'b", "1a", "a-b", "ORDER", "[x]", "a.b", "a;b"]
)
def test_odd_names_are_spelled_so_that_sqlite_reads_them(octets: TokenTable, name: str) -> None:
    """In quotes, with the quotes inside doubled, and by no other spelling."""
    schema = Schema((Table(name, (Column(name),)),))
    grammar = compile_sql(schema)
    spelled = '"' + name.replace('"', '""') + '"'
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE {spelled} ({spelled})")
        for quote in '"`':
            one = quote + name.replace(quote, quote * 2) + quote
            text = f"SELECT {one} FROM {one}"
            database.execute(f"EXPLAIN {text}")
            assert accepts(grammar.start(octets), [*text.encode()]), text
    assert not accepts(grammar.start(octets), [*f"SELECT {name} FROM {name}".encode()])


@pytest.mark.parametrize("name", DIALECTS)
def test_reserved_words_of_a_dialect_are_no_aliases(octets: TokenTable, name: str) -> None:
    """An alias that sqlglot would take for a keyword is not offered."""
    start = compile_sql(read_schema("t(a)"), name).start(octets)
    for word in sorted(DIALECTS[name].reserved):
        text = f"SELECT a AS {word} FROM t"
        assert not accepts(start.copy(), [*text.encode()]), text


def test_dialects_have_other_names_too() -> None:
    """People write postgresql and mariadb, in any case."""
    assert dialect_named("PostgreSQL") is DIALECTS["postgres"]
    assert dialect_named("MariaDB") is DIALECTS["mysql"]
    assert dialect_named("SQLite") is DIALECTS["sqlite"]


def test_names_are_compared_as_sqlite_does() -> None:
    """Letters of ASCII in either case are equal, others are not."""
    with sqlite3.connect(":memory:") as database:
        for one, other in (("Name", "nAME"), ("É", "é"), ("a_1", "A_1"), ("ß", "SS")):
            database.execute(f'CREATE TABLE IF NOT EXISTS "{one}" (x)')
            before = len(database.execute("SELECT * FROM sqlite_master").fetchall())
            database.execute(f'CREATE TABLE IF NOT EXISTS "{other}" (x)')
            after = len(database.execute("SELECT * FROM sqlite_master").fetchall())
            assert (fold(one) == fold(other)) == (before == after), (one, other)
