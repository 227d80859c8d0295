"""Grammars, schemas and SQL: what an answer may look like, and the masks that make it so.

The front ends (`gbnf`, `language`, `schema`, `sql`) compile what people write to a
`CompiledGrammar`; started on a `TokenTable` it gives the `Constraint` that decoding asks at
every token. `library` is what the commands call. Nothing here imports the rest of Expert
except its errors.
"""
