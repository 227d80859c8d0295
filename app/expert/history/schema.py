"""The history's tables in Expert's database.

A conversation is a tree of turns: a turn names the one before it, so that asking again from an
earlier point makes a branch and loses nothing. Turns are never changed, only removed with their
conversation, which keeps the full-text index right. The index is written beside the table, without
triggers, which may not touch it where the schema of a file is not trusted.
"""

from expert.store.database import Migration, Schema

_INITIAL = (
    """
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        deleted TEXT                -- since when it is in the bin
    ) STRICT
    """,
    "CREATE INDEX conversation_updated ON conversation (updated)",
    """
    CREATE TABLE turn (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        parent INTEGER REFERENCES turn ON DELETE CASCADE,   -- the turn before it
        created TEXT NOT NULL,
        origin TEXT NOT NULL,       -- ask, chat, sh, tui, python
        system TEXT NOT NULL,
        context TEXT NOT NULL,      -- JSON: messages before it that are no turns of ours
        prompt TEXT NOT NULL,
        answer TEXT NOT NULL,
        answer_bytes BLOB,          -- exactly what was made, where that is not UTF-8
        reasoning TEXT NOT NULL,
        finish TEXT NOT NULL,       -- stop, length, cancelled, timeout, failed
        error TEXT NOT NULL,        -- why it failed
        model TEXT NOT NULL,
        model_path TEXT NOT NULL,
        seed INTEGER NOT NULL,
        sampling TEXT NOT NULL,     -- JSON
        route TEXT NOT NULL,        -- JSON: who was chosen, and why
        timings TEXT NOT NULL       -- JSON: seconds and token counts
    ) STRICT
    """,
    "CREATE INDEX turn_conversation ON turn (conversation)",
    "CREATE INDEX turn_parent ON turn (parent)",
    """
    CREATE TABLE turn_expert (
        turn INTEGER NOT NULL REFERENCES turn ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        digest TEXT NOT NULL,       -- SHA-256 of the adapter
        scale REAL NOT NULL,
        PRIMARY KEY (turn, position)
    ) STRICT
    """,
    "CREATE INDEX turn_expert_name ON turn_expert (name)",
    """
    CREATE VIRTUAL TABLE turn_text USING fts5 (
        prompt, answer,
        content = 'turn', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER turn_stays BEFORE UPDATE ON turn
    BEGIN SELECT raise(ABORT, 'turns are not changed'); END
    """,
)

HISTORY = Schema("history", (Migration("001_initial", _INITIAL),))
