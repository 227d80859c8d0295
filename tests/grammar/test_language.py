"""Forms: what each kind matches, what they print as, and that mistakes are told, never a crash."""

import random
import re
from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.grammar.compile import compile_gbnf, compile_grammar
from expert.grammar.language.compiler import compile_form, read_form
from expert.grammar.language.gbnf_writer import to_gbnf
from expert.grammar.tokens import TokenTable
from grammar.llama_peer import LlamaGrammars
from grammar.vocabularies import accepts, generate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "grammars.md"
TICKET = """
# What support files.
ticket:
  | Ticket: {title}
  | Priority {level}, seen {date}
  | Tags: {list of tag, 1 to 3, separated by "; "}
title: text 3 to 20
level: one of low, normal, "very high"
tag: word
"""

POINT = """{"type": "object", "properties": {"x": {"type": "integer"}},
 "required": ["x"], "additionalProperties": false}"""
SET = '{"type": "array", "items": {"type": "integer"}, "uniqueItems": true}'

# Form, texts it matches, texts it does not.
RIGHT = [
    ("a: text up to 3", ["x", "x y", "é!"], ["", " x", "xyzw", "a\nb"]),
    ("a: text 2", ["xy"], ["x", "xyz", "x "]),
    ("a: text 0 to 2", ["", "x", "xy"], ["xyz"]),
    ("a: word", ["x", "don't", "a-b_1"], ["1a", "a b", ""]),
    ("a: integer", ["0", "-42"], ["01", "1.5", "x"]),
    ("a: number", ["-0.5", "3"], [".5", "1."]),
    ("a: date", ["2024-02-29"], ["2023-02-29"]),
    ("a: json", ['{"b": [1]}'], ["{b: 1}"]),
    ("a: one of low, very high, 3", ["low", "very high", "3"], ["very", "high", ""]),
    ('a: "x" or "y" or integer', ["x", "y", "12"], ["xy", ""]),
    ("a: optional word", ["", "x"], ["1"]),
    ("a: list of word", ["x", "x, y"], ["", "x,y", "x, "]),
    ('a: list of b, 2, separated by "\\n"\nb: one of 1, 2', ["1\n2"], ["1", "1\n2\n1"]),
    ("a: list of integer, 0 to 2", ["", "1", "1, 2"], ["1, 2, 3"]),
    ('a: template "({b}) {{{integer}}}"\nb: word', ["(x) {1}"], ["x {1}", "(x) 1"]),
    ("a:\n  | one\n  |   {word}\n  | ", ["one\n  x\n"], ["one\nx\n", "one\n  x"]),
    (
        "a:\n  name: word\n  age: optional integer\n  city: word",
        ["name: x\nage: 3\ncity: y", "name: x\ncity: y"],
        ["name: x", "age: 3\nname: x\ncity: y"],
    ),
    ("a:\n  b: optional word\n  c: word", ["c: x", "b: y\nc: x"], ["b: y", "\nc: x"]),
    ("a: b or c # either\nb: integer\nc: template \"<{a}>\"", ["1", "<<2>>"], ["<1", ""]),
    (
        TICKET,
        ["Ticket: It is slow\nPriority very high, seen 2024-02-29\nTags: ui; speed"],
        ["Ticket: It is slow\nPriority high, seen 2024-02-29\nTags: ui"],
    ),
]  # fmt: skip

# Form, place of the mistake, what it is about, what to do.
WRONG = [
    ("", "1:1", "no definition", "name: kind"),
    ("a", "1:1", "expected a name and a colon", "name: kind"),
    ("a b: word", "1:1", "expected a name and a colon", "name: kind"),
    ("  a: word", "1:3", "belongs to no definition", "start of the line"),
    ("a: wrd", "1:4", "no kind or name `wrd`", "one of"),
    ("a: word\na: integer", "2:1", "`a` is defined twice", "another name"),
    ("date: word", "1:1", "the name of a kind", "another name"),
    ("a:", "1:1", "nothing is said", "text up to 60"),
    ("a: word word", "1:9", "unexpected 'word'", "`or`"),
    ("a: one low", "1:8", "expected `of`", "`of`"),
    ("a: one of low, , x", "1:16", "expected an option", "one of low"),
    ("a: text 5 to 2", "1:9", "at least 5 but at most 2", "Swap"),
    ("a: text up to 99999", "1:15", "more than 2000", "Lower"),
    ('a: "x', "1:4", "not closed", 'missing "'),
    ('a: "\\q"', "1:4", "unknown escape \\q", "\\n"),
    ("a: word $", "1:9", "'$' means nothing", "quotes"),
    ("a: list of word, x", "1:18", "expected how many", "1 to 5"),
    ("a:\n  | {word", "2:5", "no partner", "{{"),
    ("a:\n  | {wrd}", "2:6", "no kind or name `wrd`", "Known"),
    ("a:\n  | x\n  b: word", "3:3", "a field in a template", "|"),
    ("a:\n  b: word\n  | x", "3:3", "template's line among fields", "none"),
    ("a:\n  b: optional word", "2:3", "every field is optional", "optional"),
    ("a: schema missing", "1:11", "missing cannot be used", "form's folder"),
    ("a: template {x}", "1:13", "'{' means nothing", "quotes"),
]


@pytest.mark.parametrize(("text", "matching", "other"), RIGHT)
def test_what_a_form_matches(
    table: TokenTable, text: str, matching: list[str], other: list[str]
) -> None:
    """Each kind matches what the page says, and the printed GBNF matches the same."""
    for grammar in (compile_form(text), compile_gbnf(to_gbnf(read_form(text)))):
        for one in matching:
            assert accepts(grammar.start(table), table.encode(one)), one
        for one in other:
            assert not accepts(grammar.start(table), table.encode(one)), one


@pytest.mark.parametrize(("text", "place", "problem", "fix"), WRONG)
def test_mistakes_name_place_and_remedy(text: str, place: str, problem: str, fix: str) -> None:
    """Each mistake is told with line and column, the definition it is in, and what to do."""
    with pytest.raises(UsageError) as caught:
        compile_form(text, "my.form")
    assert caught.value.what.startswith(f"my.form:{place}: ")
    assert problem in caught.value.what
    assert fix in caught.value.fix


def test_a_mistake_inside_a_definition_names_it() -> None:
    """The definition is the one being read."""
    with pytest.raises(UsageError, match=r"my\.form:2:4: .* in `b`\."):
        compile_form("a: b\nb: c", "my.form")


def test_printed_forms_are_the_same_to_llama_cpp(table: TokenTable, tiny_path: Path) -> None:
    """llama.cpp reads the printed GBNF, and gives the verdicts of our engine."""
    llama = LlamaGrammars(tiny_path)
    try:
        for text, matching, other in RIGHT:
            tokens = [table.encode(one) for one in (*matching, *other)]
            expected = [True] * len(matching) + [False] * len(other)
            assert llama.verdicts(to_gbnf(read_form(text)), tokens) == expected, text
    finally:
        llama.close()


def test_files_that_a_form_names(table: TokenTable, tmp_path: Path) -> None:
    """Grammars, other forms and schemas are looked for beside the form."""
    (tmp_path / "code.gbnf").write_text('root ::= "A" digit\ndigit ::= [0-9]')
    (tmp_path / "pair.form").write_text('pair: template "{word}={integer}"')
    (tmp_path / "point.json").write_text(POINT)
    text = 'all:\n  | {grammar "code.gbnf"} {grammar "pair.form"}\n  | {schema "point.json"}\n'
    grammar = compile_form(text, "all.form", tmp_path)
    assert accepts(grammar.start(table), table.encode('A1 x=2\n{"x": 3}'))
    assert not accepts(grammar.start(table), table.encode('A1 x=2\n{"y": 3}'))
    printed = to_gbnf(read_form(text, "all.form", tmp_path))
    assert '# json-value keeps this JSON Schema as well: {"type": "object"' in printed
    assert accepts(compile_gbnf(printed).start(table), table.encode('A1 x=2\n{"x": 3}'))


def test_a_form_that_is_a_schema_keeps_all_of_its_checks(table: TokenTable, tmp_path: Path) -> None:
    """Keywords the engine cannot hold alone are checked beside it; inside a form, refused."""
    (tmp_path / "set.json").write_text(SET)
    alone = compile_form('a: schema "set.json"', folder=tmp_path)
    assert accepts(alone.start(table), table.encode("[1, 2]"))
    assert not accepts(alone.start(table), table.encode("[1, 1]"))
    with pytest.raises(UsageError, match=r"form:2:13: .*cannot be a part of a form"):
        compile_form('a:\n  | {schema "set.json"}', folder=tmp_path)


def test_files_that_are_not_there_or_lead_in_circles(tmp_path: Path) -> None:
    """A missing file and forms that name each other are told where they are named."""
    (tmp_path / "loop.form").write_text('a: grammar "loop.form"')
    with pytest.raises(UsageError, match=r"form:1:12: .*cannot be used"):
        compile_form('a: grammar "loop.form"', folder=tmp_path)
    with pytest.raises(ExpertError, match="cannot be used here"):
        compile_form('a: grammar "no.gbnf"', folder=tmp_path)
    assert issubclass(NotFoundError, ExpertError)


def _edited(seed: int) -> str:
    draw = random.Random(seed)
    text = draw.choice([one for one, _, _ in RIGHT])
    pieces = [
        "{",
        "}",
        "{{",
        '"',
        ":",
        "|",
        "\n",
        "\r\n",
        "\t",
        " ",
        "\\",
        "\0",
        "#",
        "é",
        ",",
        "9",
    ]
    pieces += ["or", "optional ", "list of ", "template ", "1 to 2", "to", "text", "a", "a: "]
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(text) + 1)
        text = text[:place] + draw.choice(pieces) + text[place + draw.randint(0, 2) :]
    return text


@pytest.mark.timeout(120)
@pytest.mark.parametrize("count", [250, pytest.param(4000, marks=pytest.mark.slow)])
def test_any_text_is_a_form_or_a_typed_error(table: TokenTable, count: int) -> None:
    """Forms with slips of the pen compile and generate, or say where they are wrong."""
    right = wrong = 0
    for seed in range(count):
        text = _edited(seed)
        try:
            grammar = read_form(text)
            compiled = compile_grammar(grammar)
            if seed % 20 == 0:
                generate(compiled.start(table), table, seed, limit=30)
            right += 1
        except UsageError as error:
            assert error.what and error.fix
            assert re.match(r"form:\d+:\d+: |No text|These rules|The rules", error.what), error.what
            wrong += 1
    assert right > count // 20 and wrong > count // 20


def test_hostile_forms(table: TokenTable) -> None:
    """Depth, size and recursion end in a typed error."""
    for text in (
        "a: " + "optional " * 2000 + "word",
        "a: " + "list of " * 500 + "word",
        "a: a",
        "a: list of a",
        "a: text up to 2000\n" + "#" * 300_000,
        "\n".join(f"a{i}: word" for i in range(3000)),
        "\n".join(f"a{i}: list of a{i + 1}, 50" for i in range(60)) + "\na60: word",
        'a: template "' + "{b}" * 3000 + '"\nb: text up to 2000',
        "a: " + " or ".join(f'"w{i}"' for i in range(5000)),
    ):
        try:
            generate(compile_form(text).start(table), table, seed=1, limit=20)
        except ExpertError as error:
            assert error.what


def test_every_example_of_the_page(table: TokenTable) -> None:
    """Each form on the page compiles, and matches the answer shown below it."""
    blocks = re.findall(r"```form\n(.*?)```\n.*?```text\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for form, answer in blocks:
        assert accepts(compile_form(form).start(table), table.encode(answer)), form
