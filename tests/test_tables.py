"""Tables that a question shows: found wherever they are, read by the model as it learnt them."""

from pathlib import Path

import pytest

from expert.forms import choose_form
from expert.tables import is_about_tables, shown_tables, tables_first, words_besides_tables
from expert.types import Attachment, ExpertChoice, ExpertProfile, Message, Request

CREATE = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INT);"
SHORT = "users(id number pk, name, age number)"
ASKED = "How many users are there?"


def expert(form: str | None) -> ExpertChoice:
    """Return an expert whose answers have a form."""
    return ExpertChoice(Path("a.gguf"), profile=ExpertProfile("a/b", "1.0.0", "0", None, form))  # type: ignore[arg-type]  # a literal


def asked(*said: str, **more: object) -> Request:
    """Return a conversation of a user who said this, with answers between."""
    turns = [Message("user", said[0])]
    for text in said[1:]:
        turns += [Message("assistant", "SELECT 1"), Message("user", text)]
    return Request(turns, **more)  # type: ignore[arg-type]  # fields of it


WORDINGS = [
    f"{SHORT}\n\n{ASKED}",
    f"{ASKED}\n\n{CREATE}",
    f"{CREATE}\n{ASKED}",
    f"Schema: {SHORT} Question: {ASKED} SQL:",
    f"{ASKED}\n\n```sql\n{CREATE}\n```\n",
    f"Tables:\n{SHORT}\n\nQuery: {ASKED}",
    f"Database: {SHORT}.\n{ASKED}",
    f"{CREATE.upper().replace('USERS', 'users').replace('ID', 'id').replace('NAME', 'name').replace('AGE', 'age')} {ASKED}",  # noqa: E501 - one wording
]


@pytest.mark.parametrize("text", WORDINGS)
def test_one_form_for_all_wordings(text: str) -> None:
    """The short notation, an empty line and the question, as in training."""
    assert tables_first(asked(text)).messages[-1].content == f"{SHORT}\n\n{ASKED}"


@pytest.mark.parametrize("text", WORDINGS)
def test_the_words_besides_the_tables(text: str) -> None:
    """Neither the tables nor the labels around them, of every turn of the user."""
    assert words_besides_tables(asked(text)) == ASKED
    assert words_besides_tables(asked(text, "And in Rome?")) == f"{ASKED}\nAnd in Rome?"


def test_words_of_files_count() -> None:
    """What came through a pipe or from a file can be copied as well."""
    file = Attachment("notes.txt", "Ann of Rome")
    assert "Ann of Rome" in words_besides_tables(asked(f"{SHORT}\n\n{ASKED}", attachments=(file,)))


def test_a_question_without_tables_stays_as_it_is() -> None:
    """So does one that is nothing but tables, and one for which there is no message."""
    for text in (ASKED, CREATE, "Use count(x) here", ""):
        assert tables_first(asked(text)).messages[-1].content == text
    assert tables_first(Request([])) == Request([])


def test_files_that_show_tables() -> None:
    """Their tables come first and their other words stay; a file without any stays a file."""
    request = asked(ASKED, attachments=(Attachment("a.sql", f"-- ours\n{CREATE}\n"),))
    told = tables_first(request)
    assert told.attachments == ()
    assert told.messages[-1].content == f"{SHORT}\n\n-- ours\n{ASKED}"
    other = asked(ASKED, attachments=(Attachment("a.txt", "no table"),))
    assert tables_first(other) == other


def test_turns_before_it() -> None:
    """Tables that came earlier are rewritten there, and hold for what is asked now."""
    request = asked(f"{ASKED}\n{CREATE}", "And how old are they?")
    told = tables_first(request)
    assert told.messages[0].content == f"{SHORT}\n\n{ASKED}"
    assert told.messages[1:] == request.messages[1:]
    found = shown_tables(request)
    assert found is not None and [table.name for table in found.tables] == ["users"]
    newer = shown_tables(asked(f"{CREATE} a?", "dogs(id, name) how many?"))
    assert newer is not None and newer.tables[0].name == "dogs"


def test_what_others_say_is_not_touched() -> None:
    """A system prompt or an answer with a table in it is none of the question."""
    turns = [Message("system", CREATE), Message("user", "a?"), Message("assistant", CREATE)]
    request = Request([*turns, Message("user", ASKED)])
    assert tables_first(request) == request
    assert shown_tables(request) is None


def test_who_is_asked_for_sql() -> None:
    """An expert of SQL that decides on the form, unless the user says which it is."""
    sql, free, other = expert("sql"), expert(None), expert("gbnf")
    assert is_about_tables(asked(ASKED), [free, sql])
    assert not is_about_tables(asked(ASKED), [other, sql])
    assert not is_about_tables(asked(ASKED), [free])
    assert not is_about_tables(asked(ASKED), [])
    assert not is_about_tables(asked(ASKED, sql_schema=Path("x.db")), [sql])
    assert not is_about_tables(asked(ASKED, grammar="json"), [sql])


def test_a_file_gives_the_form() -> None:
    """The answer is held to the tables of an attached file."""
    request = asked(ASKED, attachments=(Attachment("a.sql", CREATE),))
    form = choose_form(request, (expert("sql"),))
    assert form is not None and form.name == "SQL over the tables shown"
    assert choose_form(asked(ASKED), (expert("sql"),)) is None
