"""Cypher answers: what parses, and which queries count as the same."""

from pathlib import Path

import pytest

from expert.errors import ContractError
from expert.forms import byte_table, read_grammar
from expert.metrics import cypher
from expert.train.examples import Source
from expert.train.rows import digest
from expert.train.tasks.cypher import cypher as questions

GRAMMAR = Path(__file__).parents[2] / "experts/cypher/cypher.gbnf"


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("MATCH (n:User) RETURN n.name LIMIT 3", True),
        ("MATCH (a)-[r:KNOWS*1..3]->(b) WHERE a.age > 3 AND NOT b.x IS NULL RETURN a, b", True),
        ("MATCH (n) WITH n, count(*) AS c ORDER BY c DESC RETURN n", True),
        ("MATCH (n RETURN n", False),
        ("MATCH (n) RETURN", False),
        ("SELECT name FROM user", False),
        ("MATCH (n) RETURN n and so on", False),
        ("", False),
        ("RETURN " + "(" * 1500, False),
        ("MATCH (n) RETURN n" + " " * 3000, False),
    ],
)
def test_what_the_grammar_of_cypher_reads(query: str, right: bool) -> None:
    """openCypher's own grammar decides; whatever it is given, it answers."""
    assert cypher.parses(query) is right


SAME = [
    ("MATCH (a:User) RETURN a.name", "match  (u:User) return u.name ;"),
    ("MATCH (a)-[r:R]->(b) RETURN b, r", "MATCH (x)-[y:R]->(z) RETURN z, y"),
    ("MATCH (a) RETURN a.x AS first, a.y AS second", "MATCH (a) RETURN a.x, a.y"),
    ("MATCH (a {n: 'x'}) RETURN a", 'MATCH (a {n: "x"}) RETURN a'),
    ("MATCH (a) WITH count(a) AS n RETURN n", "MATCH (b) WITH count(b) AS total RETURN total"),
]
DIFFERENT = [
    ("MATCH (a)-[:R]->(b) RETURN a", "MATCH (a)-[:R]->(b) RETURN b"),
    ("MATCH (a)-[:R]->(b) RETURN a", "MATCH (a)<-[:R]-(b) RETURN a"),
    ("MATCH (a:User) RETURN a", "MATCH (a:user) RETURN a"),
    ("MATCH (a) RETURN a.name", "MATCH (a) RETURN a.Name"),
    ("MATCH (a {n: 'x'}) RETURN a", "MATCH (a {n: 'X'}) RETURN a"),
    ("MATCH (a) RETURN a LIMIT 3", "MATCH (a) RETURN a LIMIT 5"),
    ("MATCH (count:A) RETURN count.x", "MATCH (a:A) RETURN a.y"),
    ("", "MATCH (a) RETURN a"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_what_no_graph_can_tell_apart_is_the_same(one: str, two: str) -> None:
    """Spaces, the case of keywords, names of variables and of results."""
    assert cypher.same_query(one, two) and cypher.same_query(two, one)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_what_a_graph_can_tell_apart_is_not(one: str, two: str) -> None:
    """Directions, labels, properties, texts and numbers count."""
    assert not cypher.same_query(one, two)


def test_the_experts_grammar_holds_most_references_and_only_cypher(data: Path) -> None:
    """At least nine of ten right answers can be given under it; those openCypher reads, too."""
    form, table = read_grammar(GRAMMAR), byte_table()
    rows = sorted(questions(Source(data)), key=lambda e: digest(e.turns[0].prompt))[:60]
    kept = 0
    for row in rows:
        try:
            form.check(row.turns[0].answer, table)
        except ContractError:
            continue
        kept += 1
    assert kept >= 0.9 * len(rows)
    assert sum(cypher.parses(row.turns[0].answer) for row in rows[:15]) >= 14
    for wrong in ("MATCH (n RETURN n", "CREATE (n:User) RETURN n", "MATCH (n) DELETE n"):
        with pytest.raises(ContractError):
            form.check(wrong, table)
