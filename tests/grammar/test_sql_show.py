"""A schema as a model is shown it: types, keys and links, from every kind of source."""

import sqlite3
from pathlib import Path

import pytest

from expert.grammar.sql.read import read_schema
from expert.grammar.sql.show import describe, names_all
from expert.train.examples import Source
from expert.train.rows import read_rows
from expert.train.tasks.spider import FILES

DDL = """
CREATE TABLE "my songs" (id INTEGER PRIMARY KEY, title VARCHAR(20) NOT NULL DEFAULT 'a, b',
    length DECIMAL(5,2), added TIMESTAMP, liked BOOLEAN, singer INT REFERENCES singer (id));
CREATE TABLE singer (id int, "stage name" text, born date, PRIMARY KEY (id), CHECK (id > 0));
CREATE TABLE sung (song int, singer int, PRIMARY KEY (song, singer),
    CONSTRAINT own FOREIGN KEY (song) REFERENCES "my songs" (id));
"""
SHOWN = """\
"my songs"(id number pk, title, length number, added time, liked boolean, singer number)
singer(id number pk, "stage name", born time)
sung(song number pk, singer number pk)
fk: my songs.singer=singer.id, sung.song=my songs.id"""


def test_statements_and_a_live_database_are_shown_alike(tmp_path: Path) -> None:
    """What our reader finds in the text is what SQLite itself says of the database."""
    path = tmp_path / "songs.db"
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    connection.close()
    assert describe(read_schema(DDL)) == SHOWN
    assert sorted(describe(read_schema(path)).splitlines()[:3]) == sorted(SHOWN.splitlines()[:3])
    links = describe(read_schema(path)).splitlines()[3].removeprefix("fk: ").split(", ")
    assert sorted(links) == ["my songs.singer=singer.id", "sung.song=my songs.id"]


def test_what_is_shown_is_read_again() -> None:
    """The notation keeps everything it says."""
    schema = read_schema(DDL)
    again = read_schema(describe(schema))
    assert describe(again) == SHOWN
    assert [table.name for table in again.tables] == [table.name for table in schema.tables]


def test_the_training_data_keeps_its_notation(data: Path) -> None:
    """Schemas of the training databases come out as they went in, but for types we do not name."""
    texts = {row["schema"] for row in read_rows(Source(data).task(FILES[0]))}
    changed = [text for text in texts if describe(read_schema(text)) != text.replace(" others", "")]
    assert len(texts) > 100
    assert len(changed) <= 0.05 * len(texts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("singer(id, age)\nsong(id)\n\nhow many?", True),
        ("CREATE TABLE Singer (id INT); CREATE TABLE `song` (id INT); how many?", True),
        ("singer(id, age)\n\nhow many?", False),
        ("how many songs has a singer?", False),
        ("mysinger(id) song(id)", False),
    ],
)
def test_tables_that_a_text_shows(text: str, found: bool) -> None:
    """All of them must be there, with their columns."""
    assert names_all(text, read_schema("singer(id, age)\nsong(id)")) is found


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (b INT REFERENCES",
        "CREATE TABLE a (b INT REFERENCES c, d TEXT, FOREIGN KEY (d) REFERENCES c",
        "CREATE TABLE a (b, PRIMARY KEY",
        "CREATE TABLE a (b, FOREIGN KEY (b) REFERENCES main.c (d))",
    ],
)
def test_half_a_statement_is_no_crash(text: str) -> None:
    """Whatever is there is shown."""
    assert describe(read_schema(text)).startswith("a(b")
