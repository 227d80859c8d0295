"""Which form an answer must have, and that it has it or is an error."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from expert.assistant import Assistant
from expert.config import Config
from expert.errors import ContractError, ExpertError, NotFoundError, UsageError
from expert.forms import byte_table, choose_form, read_grammar, read_schema, shipped_grammars
from expert.types import Delta, ExpertChoice, ExpertProfile, Message, Request
from support.constraints import NUMBERS

HELLO = [Message("user", "Hello")]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"enum": [1, 2, 3]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture
def assistant(tiny_path: Path) -> Any:
    """Return an assistant on the tiny model."""
    with Assistant(tiny_path, Config(threads=1)) as assistant:
        yield assistant


def ask(assistant: Assistant, **options: Any) -> str:
    """Return the text of an answer by the base itself."""
    return assistant.ask(HELLO, experts=(), max_tokens=200, **options).text


@pytest.mark.parametrize("options", [{}, {"temperature": 1.3, "seed": 5}, {"beams": 3}], ids=str)
def test_an_answer_has_the_form_asked_for(assistant: Assistant, options: dict[str, Any]) -> None:
    """By grammar and by schema; greedy, sampled and searched for."""
    assert re.fullmatch(r"\[\d+(,\d+){0,5}\]", ask(assistant, grammar=NUMBERS, **options))
    person = json.loads(ask(assistant, schema=PERSON, **options))
    assert list(person) == ["name", "age"]
    assert person["age"] in (1, 2, 3)
    assert len(person["name"]) <= 8


def test_a_check_beside_the_grammar_holds_too(assistant: Assistant) -> None:
    """What the mask engine cannot say of a schema is kept as well."""
    schema = {
        "type": "array",
        "items": {"enum": [1, 2, 3, 4]},
        "uniqueItems": True,
        "minItems": 4,
        "maxItems": 4,
    }
    for seed in range(4):
        found = json.loads(ask(assistant, schema=schema, temperature=2.0, seed=seed))
        assert sorted(found) == [1, 2, 3, 4]


def test_an_answer_cut_in_mid_structure_is_an_error(assistant: Assistant) -> None:
    """Its text goes with the error, and is not an answer."""
    shown = ""
    with pytest.raises(ContractError, match="middle of the grammar") as caught:
        for event in assistant.ask(
            HELLO, experts=(), max_tokens=4, grammar='root ::= [ab]{90} "."'
        ):
            shown += event.text if isinstance(event, Delta) else ""
    assert caught.value.partial == shown
    assert len(shown) >= 4
    assert caught.value.as_dict()["partial"] == shown


def test_a_stop_sequence_that_breaks_the_form_is_an_error(assistant: Assistant) -> None:
    """The text that is left is judged, not the one that was generated."""
    with pytest.raises(ContractError, match="middle"):
        ask(assistant, grammar=NUMBERS, stop=("]",))


def test_the_final_check_reads_the_text_itself() -> None:
    """It accepts what matches and names the place where another text stops matching."""
    form, table = read_grammar(NUMBERS), byte_table()
    form.check("[1,22]", table)
    for text, words in (("[1,", "middle"), ("[1 ]", "does not match"), ("[]", "does not match")):
        with pytest.raises(ContractError, match=words):
            form.check(text, table)
    schema = read_schema({"type": "array", "uniqueItems": True})
    schema.check("[1, 2]", table)
    with pytest.raises(ContractError):
        schema.check("[1, 1]", table)


def test_a_grammar_of_tokens_is_judged_by_the_engine(tiny_path: Path) -> None:
    """Its text shows no tokens, so the engine's own verdict counts."""
    form = read_grammar('root ::= !<[3]> "."')
    with Assistant(tiny_path, Config(threads=1)) as assistant:
        table = assistant.resident.prepare_table().get()
        form.check("anything", table, complete=True)
        with pytest.raises(ContractError, match="middle"):
            form.check("anything", table, complete=False)
        assert ask(assistant, grammar='root ::= !<[3]> "."').endswith(".")


def test_grammars_are_found_by_name_file_and_text(tmp_path: Path) -> None:
    """Every shipped one can be used; a name that is nearly right is named in the error."""
    for name, path in shipped_grammars().items():
        assert read_grammar(name).name == path.name
    file = tmp_path / "n.gbnf"
    file.write_text(NUMBERS)
    assert read_grammar(file).grammar.engine == read_grammar(NUMBERS).grammar.engine
    assert read_grammar(str(file)).grammar.engine == read_grammar(NUMBERS).grammar.engine
    with pytest.raises(NotFoundError, match="no grammar 'sqll'") as caught:
        read_grammar("sqll")
    assert "Did you mean 'sql'?" in caught.value.fix


def test_schemas_are_files_json_text_and_values(tmp_path: Path) -> None:
    """All three are the same form."""
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    forms = [read_schema(PERSON), read_schema(json.dumps(PERSON)), read_schema(file)]
    forms += [read_schema(str(file)), read_grammar(file)]
    assert len({form.grammar.engine for form in forms}) == 1


@pytest.mark.parametrize(
    ("option", "value", "error", "words"),
    [
        ("schema", "missing.json", NotFoundError, "missing.json"),
        ("schema", '{"type": 5}', UsageError, ""),
        ("schema", '{"type": ', UsageError, ""),
        ("schema", False, UsageError, ""),
        ("grammar", "root ::= x", UsageError, "1:10"),
        ("sql_schema", "missing.db", ExpertError, "missing.db"),
    ],
)
def test_a_wrong_form_is_an_error_before_anything_is_computed(
    assistant: Assistant, option: str, value: Any, error: type[ExpertError], words: str
) -> None:
    """The model is not asked, and the message says what is wrong."""
    with pytest.raises(error) as caught:
        ask(assistant, **{option: value})
    assert words in str(caught.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Neither bytes that are no UTF-8 nor huge files are read as grammars."""
    bad = tmp_path / "bad.gbnf"
    bad.write_bytes(b'root ::= "\xff"')
    with pytest.raises(UsageError, match="not UTF-8"):
        read_grammar(bad)
    with bad.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(UsageError, match="too large"):
        read_grammar(bad)
    with pytest.raises(NotFoundError, match="cannot be read"):
        read_schema(tmp_path)


def test_two_forms_at_once_are_refused() -> None:
    """One answer cannot be two things."""
    with pytest.raises(UsageError, match="a grammar and a schema"):
        choose_form(Request(HELLO, grammar="json", schema={}))


def test_an_expert_brings_its_form_along(tmp_path: Path) -> None:
    """Unless the user asks for another one."""
    file = tmp_path / "own.gbnf"
    file.write_text('root ::= "own"')
    schema = tmp_path / "own.json"
    schema.write_text('{"const": "own"}')
    profiles = [
        ExpertProfile("a/plain", "1.0.0", "id"),
        ExpertProfile("a/own", "1.0.0", "id", grammar_format="gbnf", grammar=file),
        ExpertProfile("a/json", "1.0.0", "id", grammar_format="json-schema", grammar=schema),
    ]
    plain, own, by_schema = (ExpertChoice(tmp_path, 1.0, profile) for profile in profiles)
    assert choose_form(Request(HELLO)) is None
    assert choose_form(Request(HELLO), (plain,)) is None
    found = choose_form(Request(HELLO), (plain, own))
    assert found and found.name == "own.gbnf"
    found = choose_form(Request(HELLO), (by_schema,))
    assert found and found.name == "own.json"
    found = choose_form(Request(HELLO, grammar='root ::= "mine"'), (own,))
    assert found and found.name == "the grammar"


def test_an_expert_of_sql_is_held_to_the_tables_shown(tmp_path: Path) -> None:
    """Those of the last question that shows any; without one its answer is free."""
    profile = ExpertProfile("a/sql", "1.0.0", "id", grammar_format="sql")
    choice = ExpertChoice(tmp_path, 1.0, profile)
    shown = Message("user", "Schema: singer(id number pk, age number). Question: How many? SQL:")
    found = choose_form(Request([shown, Message("user", "And the ages?")]), (choice,))
    assert found is not None and found.tables is None  # the model sees them already
    found.check("SELECT COUNT(age) FROM singer", byte_table())
    with pytest.raises(ContractError):
        found.check("SELECT COUNT(ageage) FROM singer", byte_table())
    assert choose_form(Request(HELLO), (choice,)) is None
    assert choose_form(Request([shown]), ()) is None


TABLES = "singer(id number pk, name, home)"


@pytest.mark.parametrize("by", ["request", "expert", "expert and database"])
def test_texts_of_a_query_may_be_held_to_the_question(tmp_path: Path, by: str) -> None:
    """To what the user said in any turn, besides the tables and short codes."""
    profile = ExpertProfile("a/sql", "1.0.0", "id", grammar_format="sql", verbatim=True)
    experts = () if by == "request" else (ExpertChoice(tmp_path, 1.0, profile),)
    asked = {} if by == "expert" else {"sql_schema": TABLES, "verbatim": by == "request"}
    turns = [
        Message("user", f"{TABLES}\n\nWho lives in Rome?"),
        Message("assistant", "SELECT name FROM singer WHERE home = 'Turin'"),
        Message("user", "And in new york?"),
    ]
    found = choose_form(Request(turns, **asked), experts)  # type: ignore[arg-type]  # its fields
    assert found is not None
    for text in ("Rome", "new york", "New york", "NY", "%york%"):
        found.check(f"SELECT name FROM singer WHERE home = '{text}'", byte_table())
    for text in ("Turin", "singer", "number", "New Yorkk"):
        with pytest.raises(ContractError):
            found.check(f"SELECT name FROM singer WHERE home = '{text}'", byte_table())


def test_texts_of_a_query_are_free_where_nobody_asks(tmp_path: Path) -> None:
    """A database alone holds names to its tables, and an expert may know values by heart."""
    profile = ExpertProfile("a/sql", "1.0.0", "id", grammar_format="sql")
    for experts in ((), (ExpertChoice(tmp_path, 1.0, profile),)):
        found = choose_form(Request(HELLO, sql_schema=TABLES), experts)
        assert found is not None
        found.check("SELECT name FROM singer WHERE home = 'Turin'", byte_table())


def test_sql_is_held_to_the_tables_of_a_database(assistant: Assistant, tmp_path: Path) -> None:
    """What comes out names nothing else, as SQLite itself finds when it prepares it."""
    file = tmp_path / "music.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE singer (name TEXT, age INT)")
        for seed in range(3):
            try:
                text = ask(assistant, sql_schema=file, temperature=1.0, seed=seed)
            except ContractError:
                continue  # too long for its limit, and said so
            database.execute(f"EXPLAIN {text}", {"p": 1} if ":" in text else ())


@pytest.mark.parametrize(
    "against", [{"temperature": 1.0}, {"repeat_penalty": 1.2}, {"think": True}, {"logprobs": 2}]
)
def test_a_beam_search_takes_the_place_of_sampling(
    assistant: Assistant, against: dict[str, Any]
) -> None:
    """What it cannot do is refused instead of ignored."""
    with pytest.raises(UsageError, match="cannot be combined"):
        ask(assistant, beams=4, **against)
    for beams in (0, 9):
        with pytest.raises(UsageError, match="impossible"):
            ask(assistant, beams=beams)


def test_a_beam_search_needs_no_form(assistant: Assistant) -> None:
    """It also looks for the most probable free text, and plain answers go on as before."""
    options: dict[str, Any] = {"experts": (), "max_tokens": 12, "temperature": 0}
    plain = assistant.ask(HELLO, **options).text
    assert assistant.ask(HELLO, beams=4, **options).text
    assert assistant.ask(HELLO, **options).text == plain


def test_preview_refuses_a_wrong_form(assistant: Assistant) -> None:
    """A dry run tells of it too."""
    with pytest.raises(UsageError):
        assistant.preview(HELLO, experts=(), grammar="root ::= x")
