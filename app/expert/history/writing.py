"""Changes to the history; each is called inside one transaction."""

import json
import sqlite3
from dataclasses import asdict

from expert.history.records import Place, Turn
from expert.screen import one_line, printable

TITLE = 60
"""Longest title made of a prompt, in characters."""


def record(connection: sqlite3.Connection, turn: Turn, now: str) -> Place:
    """Write a turn, and a new conversation unless it goes on with one that is still there."""
    conversation = _going_on(connection, turn.conversation, now)
    parent = None
    if conversation is None:
        conversation = _begin(connection, turn.prompt, now)
    else:
        parent = _last(connection, conversation, turn.parent)
    row = {
        "conversation": conversation,
        "parent": parent,
        "created": now,
        "origin": turn.origin,
        "system": printable(turn.system),
        "context": json.dumps([asdict(message) for message in turn.context]),
        "prompt": printable(turn.prompt),
        "answer": printable(turn.answer),
        "answer_bytes": _bytes(turn.answer),
        "reasoning": printable(turn.reasoning),
        "finish": turn.finish,
        "error": printable(turn.error),
        "model": printable(turn.model),
        "model_path": printable(turn.model_path),
        "seed": turn.sampling.seed,
        "sampling": json.dumps(asdict(turn.sampling)),
        "route": json.dumps(turn.route),
        "timings": json.dumps(asdict(turn.timings)),
    }
    names, holes = ", ".join(row), ", ".join(f":{name}" for name in row)
    made = connection.execute(f"INSERT INTO turn ({names}) VALUES ({holes})", row)
    assert made.lastrowid is not None
    index = "INSERT INTO turn_text (rowid, prompt, answer) VALUES (?, ?, ?)"
    connection.execute(index, (made.lastrowid, row["prompt"], row["answer"]))
    connection.executemany(
        "INSERT INTO turn_expert VALUES (?, ?, ?, ?, ?, ?)",
        [
            (made.lastrowid, place, printable(use.name), use.version, use.digest, use.scale)
            for place, use in enumerate(turn.experts)
        ],
    )
    return Place(conversation, made.lastrowid)


def _going_on(connection: sqlite3.Connection, conversation: int | None, now: str) -> int | None:
    """Return *conversation* if it is there, out of the bin and marked as the latest."""
    if conversation is None:
        return None
    query = "UPDATE conversation SET updated = ?, deleted = NULL WHERE id = ?"
    return conversation if connection.execute(query, (now, conversation)).rowcount else None


def _begin(connection: sqlite3.Connection, prompt: str, now: str) -> int:
    title = one_line(prompt[: 20 * TITLE]) or "(empty)"
    if len(title) > TITLE:
        title = title[: TITLE - 1].rstrip() + "…"
    query = "INSERT INTO conversation (title, created, updated) VALUES (?, ?, ?)"
    made = connection.execute(query, (title, now, now)).lastrowid
    assert made is not None
    return made


def _last(connection: sqlite3.Connection, conversation: int, wanted: int | None) -> int | None:
    """Return the turn *wanted* if it is one of this conversation, else the latest one of it."""
    query = "SELECT id FROM turn WHERE conversation = ? ORDER BY id = ? DESC, id DESC LIMIT 1"
    found = connection.execute(query, (conversation, wanted)).fetchone()
    return found[0] if found else None


def _bytes(text: str) -> bytes | None:
    """Return the bytes of *text* if they are not UTF-8 (ADR 4)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return None


def change(
    connection: sqlite3.Connection, conversation: int, column: str, value: str | None
) -> None:
    """Set one column of a conversation."""
    query = f"UPDATE conversation SET {column} = ? WHERE id = ?"
    connection.execute(query, (None if value is None else printable(value), conversation))


def erase(connection: sqlite3.Connection, conversation: int) -> None:
    """Remove a conversation with its turns, first from the index, which needs their text."""
    connection.execute(
        "INSERT INTO turn_text (turn_text, rowid, prompt, answer) "
        "SELECT 'delete', id, prompt, answer FROM turn WHERE conversation = ?",
        (conversation,),
    )
    connection.execute("DELETE FROM conversation WHERE id = ?", (conversation,))


def purge(connection: sqlite3.Connection, before: str) -> None:
    """Remove for good what has been in the bin since *before*."""
    query = "SELECT id FROM conversation WHERE deleted < ?"
    for (conversation,) in connection.execute(query, (before,)).fetchall():
        erase(connection, conversation)


def compact(connection: sqlite3.Connection) -> None:
    """Rewrite the index, in which removed words would otherwise stay until it is merged."""
    connection.execute("INSERT INTO turn_text (turn_text) VALUES ('optimize')")
