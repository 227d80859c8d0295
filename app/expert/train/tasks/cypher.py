"""Questions about a graph to Cypher, with a schema short enough for a small base to read.

A schema is written like that of a database: `User(name, age number)` for nodes,
`RATED[stars number]` for the properties of a relationship, `(:User)-[:RATED]->(:Film)` for what
connects what.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from expert.train.examples import Example, Source, single
from expert.train.rows import drawn, read_rows

LONGEST_SCHEMA = 2600  # characters of the short form
TEMPLATES = (
    "{schema}\n\n{question}",
    "{schema}\n\nQuestion: {question}\nCypher:",
    "Write a Cypher query.\n{schema}\n\n{question}",
    "Schema:\n{schema}\n\nWrite Cypher: {question}",
)
KINDS = {
    "INTEGER": " number",
    "FLOAT": " number",
    "BOOLEAN": " boolean",
    "DATE": " date",
    "DATE_TIME": " date",
    "LIST": " list",
}
HEADING = re.compile(r"- \*\*(.+)\*\*")
PROPERTY = re.compile(r"  - `(\w+)(?:`?: ([A-Z_]+))?")
LINK = re.compile(r"\(:(.+?)\)-\[:(.+?)\]->\(:(.+?)\)")
WORD = re.compile(r"\w+")


@dataclass
class Graph:
    """What a graph database has: names to their properties, and what connects what."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    relationships: dict[str, dict[str, str]] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)

    def text(self) -> str:
        """Return the short form."""
        lines = [f"{name}({_listed(held)})" for name, held in self.nodes.items()]
        lines += [f"{name}[{_listed(held)}]" for name, held in self.relationships.items() if held]
        lines += [f"(:{start})-[:{name}]->(:{end})" for start, name, end in self.links]
        return "\n".join(lines)

    def part(self, words: set[str], rng: random.Random) -> Graph:
        """Return what a query's *words* name, some of the rest, and all of it in another order."""

        def some(held: dict[str, str]) -> dict[str, str]:
            kept = [name for name in held if name in words or rng.random() < 0.4]
            return {name: held[name] for name in rng.sample(kept, len(kept))}

        near = [n for n in self.nodes if n in words or rng.random() < 0.3]
        rng.shuffle(near)
        links = [
            link
            for link in self.links
            if link[0] in near and link[2] in near and (link[1] in words or rng.random() < 0.6)
        ]
        rng.shuffle(links)
        shown = {name for _, name, _ in links}
        return Graph(
            {name: some(self.nodes[name]) for name in near},
            {name: some(held) for name, held in self.relationships.items() if name in shown},
            links,
        )


def _listed(properties: dict[str, str]) -> str:
    return ", ".join(f"{name}{kind}" for name, kind in properties.items())


def read_graph(schema: str) -> Graph:
    """Read a schema as Neo4j's tools for language models print it."""
    graph = Graph()
    held: dict[str, dict[str, str]] = graph.nodes
    last: dict[str, str] = {}
    for line in schema.splitlines():
        if line.startswith("Relationship properties"):
            held = graph.relationships
        elif found := HEADING.fullmatch(line.strip()):
            last = held.setdefault(found[1], {})
        elif found := PROPERTY.match(line):
            last[found[1]] = KINDS.get(found[2] or "", "")
        elif found := LINK.match(line):
            graph.links.append((found[1], found[2], found[3]))
    return graph


def cypher(source: Source) -> Iterator[Example]:
    """Yield questions with the whole schema, and in further variants with a part of it."""
    graphs: dict[str, Graph] = {}
    for row in read_rows(source.task("cypher/train")):
        graph = graphs.setdefault(row["db"], read_graph(row["schema"]))
        query = " ".join(row["cypher"].split()).rstrip("; ")
        rng = drawn(row["question"], source.variant)
        if source.variant:
            graph = graph.part(set(WORD.findall(query)), rng)
        schema = graph.text()
        if graph.nodes and len(schema) <= LONGEST_SCHEMA:
            prompt = rng.choice(TEMPLATES).format(schema=schema, question=row["question"].strip())
            yield single("cypher", row["db"], prompt, query)
