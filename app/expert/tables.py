"""The tables of a question about data: where it shows them, and where a model reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from expert.types import ExpertChoice, Message, Notice, Request

if TYPE_CHECKING:
    from expert.grammar.sql.schema import Schema


NO_TABLES = Notice(
    "The question shows no tables, so the answer may name any. Add them as `t(a, b)` or CREATE "
    "TABLE, or give the database: --sql-schema FILE.",
    "warning",
)


def shown_tables(request: Request) -> "Schema | None":
    """Return the tables that the conversation showed last, if it did."""
    from expert.grammar.sql.find import find_tables

    earlier = [one.content for one in request.messages[:-1] if one.role == "user"]
    for text in (request.question, *reversed(earlier)):
        if found := find_tables(text):
            return found.tables
    return None


def words_besides_tables(request: Request) -> str:
    """Return what the user has said in a conversation, files included, without the tables."""
    from expert.grammar.sql.find import find_tables

    earlier = [one.content for one in request.messages[:-1] if one.role == "user"]
    said = (*earlier, request.question)
    found = [find_tables(text) for text in said]
    return "\n".join(one.rest if one else text for one, text in zip(found, said, strict=True))


def is_about_tables(request: Request, experts: Sequence[ExpertChoice]) -> bool:
    """Tell whether the answer is to be SQL over the tables that the question shows."""
    if any(form is not None for form in (request.grammar, request.schema, request.sql_schema)):
        return False
    forms = (one.profile.grammar_format for one in experts if one.profile is not None)
    return next((form for form in forms if form is not None), None) == "sql"


def tables_first(request: Request) -> Request:
    """Return *request* with the tables it shows as experts of SQL learn them.

    They stand before the question, one a line in the short notation, whether they came as
    statements, in a file, or within a sentence.
    """
    if not request.messages:
        return request
    *earlier, last = request.messages
    messages = [_tables_first(one) for one in earlier]
    asked = _tables_first(last)
    if request.attachments and asked is last:
        asked = _tables_first(replace(last, content=request.question))
        if asked.content != request.question:
            return replace(request, messages=[*messages, asked], attachments=())
        asked = last
    return replace(request, messages=[*messages, asked])


def _tables_first(message: Message) -> Message:
    from expert.grammar.sql.find import find_tables
    from expert.grammar.sql.show import describe

    found = find_tables(message.content) if message.role == "user" else None
    if found is None or not found.rest:
        return message
    return replace(message, content=f"{describe(found.tables)}\n\n{found.rest}")


def with_tables(messages: Sequence[Message], tables: "Schema | None") -> Sequence[Message]:
    """Return the turns with a description of *tables* before the last one's words."""
    if tables is None or not messages:
        return messages
    from expert.grammar.sql.show import describe, names_all

    *earlier, last = messages
    if names_all(last.content, tables):
        return messages
    return [*earlier, replace(last, content=f"{describe(tables)}\n\n{last.content}")]
