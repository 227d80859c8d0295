"""Questions to the history; each sees one state of the database."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from expert.errors import VerificationError
from expert.history.query import match_expression
from expert.history.records import END, FOUND, Conversation, Hit, Recorded, Turn
from expert.screen import printable
from expert.types import ExpertUse, Message, Sampling, Timings

_CONVERSATION = """
    SELECT id, title, created, updated, deleted,
           (SELECT count(*) FROM turn WHERE conversation = conversation.id) AS turns
    FROM conversation
"""


def conversations(connection: sqlite3.Connection, limit: int, deleted: bool) -> list[Conversation]:
    """Return conversations, the latest first; a negative *limit* is none."""
    state = "IS NOT NULL" if deleted else "IS NULL"
    query = f"{_CONVERSATION} WHERE deleted {state} ORDER BY updated DESC, id DESC LIMIT ?"
    return [Conversation(**row) for row in map(dict, connection.execute(query, (limit,)))]


def conversation(connection: sqlite3.Connection, number: int) -> Conversation | None:
    """Return a conversation by its number, if it is there."""
    row = connection.execute(f"{_CONVERSATION} WHERE id = ?", (number,)).fetchone()
    return Conversation(**dict(row)) if row else None


def turns(connection: sqlite3.Connection, number: int, last: int | None) -> list[Recorded]:
    """Return the turns from the first to *last*, following who came before whom."""
    query = """
        WITH RECURSIVE chain (id) AS (
            SELECT coalesce(?, (SELECT max(id) FROM turn WHERE conversation = ?))
            UNION ALL
            SELECT turn.parent FROM turn JOIN chain USING (id) WHERE turn.parent IS NOT NULL
        )
        SELECT turn.* FROM turn JOIN chain USING (id) WHERE conversation = ? ORDER BY id
    """
    return _recorded(connection, connection.execute(query, (last, number, number)).fetchall())


def all_turns(connection: sqlite3.Connection, number: int) -> list[Recorded]:
    """Return every turn of a conversation."""
    query = "SELECT * FROM turn WHERE conversation = ? ORDER BY id"
    return _recorded(connection, connection.execute(query, (number,)).fetchall())


def _recorded(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Recorded]:
    return [
        Recorded(
            row["id"], row["conversation"], row["parent"], row["created"], _checked(connection, row)
        )
        for row in rows
    ]


def _checked(connection: sqlite3.Connection, row: sqlite3.Row) -> Turn:
    """Return a turn.

    Raises:
        VerificationError: what is stored of it is not what was.
    """
    try:
        return _turn(connection, row)
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationError(
            f"Turn {row['id']} of the history is damaged.",
            f"{str(error)[:100]!a}.",
            f"Remove its conversation: expert log rm {row['conversation']}",
        ) from error


def _turn(connection: sqlite3.Connection, row: sqlite3.Row) -> Turn:
    raw: bytes | None = row["answer_bytes"]
    return Turn(
        prompt=row["prompt"],
        answer=row["answer"] if raw is None else raw.decode("utf-8", "surrogateescape"),
        finish=row["finish"],
        sampling=Sampling(**json.loads(row["sampling"])),
        model=row["model"],
        model_path=row["model_path"],
        reasoning=row["reasoning"],
        error=row["error"],
        origin=row["origin"],
        system=row["system"],
        context=[Message(**message) for message in json.loads(row["context"])],
        experts=_experts(connection, row["id"]),
        route=json.loads(row["route"]),
        timings=Timings(**json.loads(row["timings"])),
        conversation=row["conversation"],
        parent=row["parent"],
    )


def _experts(connection: sqlite3.Connection, turn: int) -> tuple[ExpertUse, ...]:
    query = "SELECT name, digest, scale, version FROM turn_expert WHERE turn = ? ORDER BY position"
    return tuple(ExpertUse(**dict(row)) for row in connection.execute(query, (turn,)))


_HIT = """
    SELECT conversation.id AS conversation, turn.id AS turn, conversation.title, turn.created,
           {snippet} AS snippet
    FROM {tables} JOIN conversation ON conversation.id = turn.conversation
    WHERE conversation.deleted IS NULL AND {condition}
      AND (:expert IS NULL OR EXISTS (
          SELECT 1 FROM turn_expert WHERE turn_expert.turn = turn.id AND name = :expert))
    ORDER BY {order} LIMIT :limit
"""
_INDEXED = _HIT.format(
    snippet="snippet(turn_text, -1, :found, :end, '…', 16)",
    tables="turn_text JOIN turn ON turn.id = turn_text.rowid",
    condition="turn_text MATCH :query",
    order="turn_text.rank, turn.id DESC",
)
_TITLED = _HIT.format(
    snippet="substr(turn.prompt, 1, 120)",
    tables="turn",
    condition="instr(small(conversation.title), small(:query)) AND turn.parent IS NULL",
    order="turn.id DESC",
)
_LITERAL = _HIT.format(
    snippet="substr(text, max(1, place - 40), 120)",
    tables="(SELECT *, prompt || char(10) || answer AS text, "
    "instr(small(prompt || char(10) || answer), small(:query)) AS place FROM turn) AS turn",
    condition="place",
    order="turn.id DESC",
)


def search(connection: sqlite3.Connection, query: str, limit: int, expert: str | None) -> list[Hit]:
    """Return the turns that hold the words of *query*, then those of conversations titled so.

    Text that the index does not know (punctuation, parts of words, most Chinese and Japanese) is
    looked for as it stands.
    """
    text = printable(query).strip()
    values: dict[str, Any] = {"expert": expert, "limit": limit, "found": FOUND, "end": END}
    if not text:
        return []
    # SQLite's own lower() knows the capitals of English alone.
    connection.create_function("small", 1, str.lower, deterministic=True)
    hits: dict[int, Hit] = {}
    expression = match_expression(text)
    if expression:
        _add(hits, connection.execute(_INDEXED, {**values, "query": expression}))
    _add(hits, connection.execute(_TITLED, {**values, "query": text}))
    if not hits:
        _add(hits, connection.execute(_LITERAL, {**values, "query": text}))
    return list(hits.values())[: limit if limit >= 0 else None]


def _add(hits: dict[int, Hit], rows: sqlite3.Cursor) -> None:
    for row in rows:
        hits.setdefault(row["turn"], Hit(**dict(row)))


def as_messages(turns: Sequence[Recorded]) -> tuple[Message, ...]:
    """Return the turns of a conversation as the model is to see them again."""
    if not turns:
        return ()
    system = turns[-1].turn.system
    messages = [Message("system", system)] if system else []
    messages += turns[0].turn.context
    for recorded in turns:
        messages.append(Message("user", recorded.turn.prompt))
        messages.append(Message("assistant", recorded.turn.answer))
    return tuple(messages)
