"""SQL that fits a database: its own tables and columns, each where it is in scope."""
