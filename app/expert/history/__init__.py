"""Conversations in SQLite: recorded turn by turn, listed, searched, renamed, removed, exported."""
