"""`expert grammar` and the form options of `expert ask`, as the real program."""

import json
import re
from pathlib import Path

import pytest

from expert.forms import shipped_grammars
from support.constraints import NUMBERS
from support.program import Outcome, expert, in_terminal


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Return a grammar file."""
    path = tmp_path / "numbers.gbnf"
    path.write_text(NUMBERS)
    return path


def ask(model: Path, *arguments: str | Path) -> Outcome:
    """Run `expert ask` on one thread."""
    options = ("-m", model, "-e", "none", "-n", "--threads", "1", "--max-tokens", "100")
    return expert("ask", *options, *arguments, "Hello")


def test_an_answer_matches_the_grammar_file(tiny_path: Path, numbers: Path) -> None:
    """Only the answer is on stdout, and the exit code is 0; so with a beam search."""
    for extra in ((), ("--beam", "4"), ("--temperature", "1.5", "--seed", "3")):
        done = ask(tiny_path, "--grammar", numbers, *extra)
        assert (done.code, done.err) == (0, b"")
        assert re.fullmatch(r"\[\d+(,\d+){0,5}\]\n", done.text)
        assert expert("grammar", "test", numbers, done.text.strip()).code == 0


def test_an_answer_keeps_the_schema(tiny_path: Path, tmp_path: Path) -> None:
    """Given as JSON and as a file; in JSON output the text is that JSON."""
    schema = '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], ' \
        '"additionalProperties": false}'  # fmt: skip
    file = tmp_path / "schema.json"
    file.write_text(schema)
    for given in (schema, file):
        assert json.loads(ask(tiny_path, "--schema", given).text)["ok"] in (True, False)
    record = json.loads(ask(tiny_path, "--schema", schema, "--json").text)
    assert isinstance(json.loads(record["text"])["ok"], bool)
    assert record["finish"] == "stop"


def test_nothing_invalid_is_on_stdout_of_a_pipe(tiny_path: Path) -> None:
    """An answer cut in mid-structure exits with 6; what there was is on stderr, or in the error."""
    grammar = 'root ::= "[" [ab]{300} "]"'
    done = ask(tiny_path, "--grammar", grammar)
    assert (done.code, done.out) == (6, b"")
    assert re.match(r"\[[ab]+\nexpert: The text stops in the middle", done.message)
    quiet = ask(tiny_path, "-q", "--grammar", grammar)
    assert (quiet.code, quiet.out) == (6, b"")
    assert quiet.message.startswith("expert: The text stops")
    as_json = ask(tiny_path, "--json", "--grammar", grammar)
    assert (as_json.code, as_json.out) == (6, b"")
    error = json.loads(as_json.err)
    assert error["code"] == 6
    assert error["partial"].startswith("[")


def test_on_a_screen_the_answer_streams(tiny_path: Path, numbers: Path) -> None:
    """People see it grow; the exit code is the same."""
    done = in_terminal(
        ["ask", "-m", tiny_path, "-e", "none", "-n", "--grammar", 'root ::= "[" [ab]{300}', "x",
         "--no-stdin", "--max-tokens", "5", "--threads", "1"]
    )  # fmt: skip
    assert done.code == 6
    assert b"[" in done.out.splitlines()[0]


def test_a_wrong_grammar_is_placed(tmp_path: Path, tiny_path: Path) -> None:
    """Line, column, rule and remedy are named, by `check` and by `ask`."""
    bad = tmp_path / "bad.gbnf"
    bad.write_text('root ::= item+\nitem ::= "a\n')
    for done in (expert("grammar", "check", bad), ask(tiny_path, "--grammar", bad)):
        assert (done.code, done.out) == (2, b"")
        assert "bad.gbnf:2:" in done.message
        assert "rule `item`" in done.message
        assert "Fix: " in done.message


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["grammar", "check", "sq-select"], 3, "Did you mean"),
        (["grammar", "check", "none.gbnf"], 3, "none.gbnf"),
        (["grammar", "frobnicate"], 2, "invalid choice"),
        (["grammar"], 2, "ACTION"),
        (["ask", "--grammar", "json", "--schema", "{}", "x"], 2, "at once"),
        (["ask", "--schema", '{"type": 7}', "x"], 2, ""),
        (["ask", "--sql-schema", "none.db", "x"], 3, "none.db"),
        (["ask", "--beam", "0", "x"], 2, "at least 1"),
        (["ask", "--beam", "9", "x"], 2, "impossible"),
        (["ask", "--beam", "2", "--temperature", "1", "x"], 2, "cannot be combined"),
    ],
)
def test_mistakes_have_their_code_and_words(
    arguments: list[str], code: int, words: str, tiny_path: Path
) -> None:
    """Nothing is on stdout, and there is no traceback."""
    if arguments[0] == "ask":
        arguments = [*arguments, "-m", str(tiny_path), "-e", "none", "-n"]
    done = expert(*arguments)
    assert (done.code, done.out) == (code, b"")
    assert words in done.message
    assert "Traceback" not in done.message


def test_the_grammars_that_ship_are_listed_and_shown() -> None:
    """Each with what it is for; `show` prints text that is a grammar itself."""
    listed = expert("grammar", "list")
    assert listed.code == 0
    rows = dict(line.split(maxsplit=1) for line in listed.text.splitlines())
    assert set(rows) == set(shipped_grammars())
    assert all(rows.values())
    name = next(iter(rows))
    shown = expert("grammar", "show", name)
    assert "root" in shown.text
    assert json.loads(expert("grammar", "show", name, "--json").text)["gbnf"] == shown.text
    assert [row["name"] for row in json.loads(expert("grammar", "list", "--json").text)] == [*rows]


def test_texts_are_tried(numbers: Path, tmp_path: Path) -> None:
    """Whether they match is the exit code; '-' reads them; a schema is a grammar too."""
    assert expert("grammar", "test", numbers, "[1,2]").code == 0
    assert expert("grammar", "test", numbers, "-", stdin=b"[1,2]\n").code == 0
    done = expert("grammar", "test", numbers, "[1;2]")
    assert (done.code, done.out) == (6, b"")
    assert "after '[1'" in done.message
    schema = tmp_path / "list.json"
    schema.write_text('{"type": "array", "uniqueItems": true}')
    assert expert("grammar", "test", schema, "[1, 2]").code == 0
    assert expert("grammar", "test", schema, "[1, 1]").code == 6
    assert "checked beside" in expert("grammar", "check", schema).text


def test_a_grammar_of_our_own_language_is_shown_as_gbnf(tmp_path: Path) -> None:
    """What is printed matches what the form itself matches."""
    form = tmp_path / "ticket.form"
    form.write_text("ticket:\n  | priority {level}\nlevel: one of low, high\n")
    shown = expert("grammar", "show", form)
    assert shown.code == 0, shown.message
    gbnf = tmp_path / "ticket.gbnf"
    gbnf.write_text(shown.text)
    for text, code in (("priority low", 0), ("priority none", 6)):
        assert expert("grammar", "test", form, text).code == code
        assert expert("grammar", "test", gbnf, text).code == code


def test_a_schema_becomes_the_nearest_gbnf(tmp_path: Path) -> None:
    """From JSON, a file or a pipe; what the grammar cannot say is named in a comment."""
    schema = '{"type": "array", "items": {"type": "null"}, "uniqueItems": true}'
    file = tmp_path / "schema.json"
    file.write_text(schema)
    texts = [
        expert("grammar", "from-schema", schema).text,
        expert("grammar", "from-schema", file).text,
        expert("grammar", "from-schema", "-", stdin=schema.encode()).text,
        expert("grammar", "show", file).text,
    ]
    assert len(set(texts)) == 1
    assert texts[0].startswith("# Not in this grammar, but in the schema: uniqueItems.\n")
    assert "root ::=" in texts[0]
    assert expert("grammar", "from-schema", '{"type": ').code == 2
