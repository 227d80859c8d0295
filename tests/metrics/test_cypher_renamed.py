"""Cypher queries written anew: other names and spaces mean nothing, everything else does."""

import random
import re
from collections.abc import Callable

import pytest

from expert.metrics import cypher

QUERIES = [
    "MATCH (user:User)-[edge:FOLLOWS]->(friend:User) RETURN user.name, friend.name",
    "MATCH (first)-[:KNOWS*1..3]-(second {age: 30}) WHERE first.x > 1.5 RETURN DISTINCT second",
    "MATCH (movie:Movie) WITH movie, count(*) AS total ORDER BY total DESC LIMIT 3 RETURN movie",
    "MATCH (node) WHERE NOT node.name STARTS WITH 'A' AND node.age <> 3 RETURN node SKIP 2",
    "MATCH (left)<-[link:R|S]-(right) WHERE link.w >= 2 OR right.q CONTAINS 'a' RETURN left, link",
    "UNWIND [1, 2] AS number MATCH (node) WHERE node.id = number RETURN node",
    "MATCH (a) RETURN CASE WHEN a.x IS NULL THEN 'no' ELSE \"yes\" END",
]
NAMES = ["n", "m", "x1", "_y", "Zed", "person", "r2"]


def bound(query: str) -> list[str]:
    """Return the variables of a query above, found by their brackets and AS."""
    pattern = r"[(\[]([A-Za-z_]\w*)(?=[:)\]{ ])(?! [A-Za-z])|AS (\w+)"
    return list(dict.fromkeys(a or b for a, b in re.findall(pattern, query)))


def renamed(query: str, names: list[str]) -> str:
    """Return a query with its variables called otherwise; labels and properties keep theirs."""
    for number, name in enumerate(bound(query)):
        query = re.sub(rf"(?<![\w.:|]){name}\b", f"@{number}@", query)
    return re.sub(r"@(\d+)@", lambda found: names[int(found[1])], query)


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_of_these_tests_are_cypher(query: str) -> None:
    """By openCypher's grammar; or agreement about them would show nothing."""
    assert cypher.parses(query)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("seed", range(3))
def test_new_names_and_spaces_mean_nothing(query: str, seed: int) -> None:
    """Whatever variables are called, and however the query is spaced and cased."""
    draw = random.Random(seed)
    made = renamed(query, draw.sample(NAMES, len(NAMES)))
    spaced = "  ".join(made.split(" ")) + draw.choice(("", ";", " ; ", "\n"))
    cased = re.sub(r"\b(MATCH|RETURN|WHERE|AND|AS|LIMIT)\b", lambda f: f[0].lower(), spaced)
    assert made != query
    assert cypher.same_query(made, query) and cypher.same_query(query, cased)


@pytest.mark.parametrize("query", QUERIES)
def test_one_other_token_is_noticed(query: str) -> None:
    """Every number, label, property and operator that changes makes another query."""
    changes: dict[str, Callable[[re.Match[str]], str]] = {
        r"\d+": lambda f: str(int(f[0]) + 1),
        r"(?<=:)[A-Z]\w*": lambda f: f[0] + "X",
        r"(?<=\.)[a-z]\w*": lambda f: f[0] + "x",
        r">=|<>": lambda _: "=",
        r"->": lambda _: "-",
        r"DISTINCT ": lambda _: "",
        r"DESC": lambda _: "ASC",
        r"'[^']*'": lambda f: f[0][:-1] + "!'",
        r"STARTS": lambda _: "ENDS",
        r"\bAND\b": lambda _: "OR",
        r"NOT ": lambda _: "",
    }
    changed = 0
    for pattern, change in changes.items():
        for place in re.finditer(pattern, query):
            made = query[: place.start()] + change(place) + query[place.end() :]
            assert not cypher.same_query(made, query), made
            changed += 1
    assert changed >= 2


@pytest.mark.parametrize(
    "query",
    [
        "",
        ";",
        "'",
        "MATCH (",
        "RETURN \x00",
        "(" * 5000,
        "a" * 5000,
        "```",
        "MATCH (n) // note",
        "🙂",
    ],
)
def test_whatever_is_given_is_compared(query: str) -> None:
    """Broken queries equal themselves and no sound one."""
    assert cypher.same_query(query, query)
    assert not cypher.same_query(query, QUERIES[0])
    assert cypher.normal(query) == cypher.normal(query.strip())


def test_swapped_variables_are_another_query() -> None:
    """Numbering follows where names first stand, so that a swap in one clause is seen."""
    query = "MATCH (a:A)-[:R]->(b:B) WHERE a.x = 1 RETURN b.x"
    for old, new in (("a.x = 1", "b.x = 1"), ("RETURN b.x", "RETURN a.x")):
        assert not cypher.same_query(query.replace(old, new), query)
    assert cypher.same_query("MATCH (b:A)-[:R]->(a:B) WHERE b.x = 1 RETURN a.x", query)


def test_texts_differ_by_content_and_not_by_quotes() -> None:
    """Either quote holds a text; escaped quotes and spaces inside stay."""
    for one, two, same in (
        ("'it'", '"it"', True),
        ("'a  b'", "'a b'", False),
        (r"'a\'b'", "'ab'", False),
        ("'MATCH'", "'match'", False),
        ("`a b`", "`ab`", False),
    ):
        assert cypher.same_query(f"RETURN {one}", f"RETURN {two}") is same


@pytest.mark.parametrize("depth", [10, 200])
def test_nested_queries_are_parsed_or_refused(depth: int) -> None:
    """A query that is too deep for the parser does not parse, instead of ending the program."""
    assert cypher.parses("RETURN " + "(" * 10 + "1" + ")" * 10)
    assert cypher.parses("RETURN " + "(" * depth + "1") is False


def test_long_queries_are_not_read() -> None:
    """The limit counts characters, the last one included."""
    query = "RETURN '" + "x" * (cypher.LONGEST - 9) + "'"
    assert len(query) == cypher.LONGEST and cypher.parses(query)
    assert not cypher.parses(query + " ")
