"""GBNF is read as llama.cpp reads it, and errors say where, in which rule and what to do."""

from pathlib import Path

import pytest

from expert.errors import ContractError, ExpertError, UsageError
from expert.grammar.compile import compile_gbnf
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts, generate

# Grammar, place of the error, what it is about, what to do.
WRONG = [
    ('root ::= "a', "1:10", 'closing " is missing', 'Add "'),
    ("root ::= [a-", "1:10", "closing ] is missing", "Add ]"),
    ('root ::= ("a" | "b"', "1:10", "parenthesis is not closed", "missing )"),
    ("root ::= digt\ndigit ::= [0-9]", "1:10", "no rule `digt`", "mean `digit`"),
    ("root ::= x", "1:10", "no rule `x`", "Define it: x ::="),
    ('start ::= "a"', "1:1", "no rule `root`", "`root`"),
    ("", "1:1", "no rule `root`", "`root`"),
    ('root = "a"', "1:6", "expected ::=", "name ::="),
    ('root ::= "a"\n  | "b"', "2:3", "expected a rule's name", "goes on after a |"),
    ('root ::= * "a"', "1:10", "nothing to repeat", "Put an item"),
    ('root ::= "a" ""+', "1:16", "nothing to repeat", "Put an item"),
    ('root ::= "a" {0}*', "1:17", "nothing to repeat", "Put an item"),
    ('root ::= "a"{2,1}', "1:13", "at least 2 but at most 1", "Swap"),
    ('root ::= "a"{2001}', "1:13", "more than 2000 repetitions", "Lower"),
    ('root ::= ("a"{0,200}){11}', "1:22", "repeats 2,211 parts", "Lower"),
    ('root ::= "a"{x}', "1:14", "expected a number", "{n,m}"),
    ('root ::= "a"{1;2}', "1:15", "expected } or ,", "{n,m}"),
    ('root ::= "\\q"', "1:11", "unknown escape \\q", "\\xNN"),
    ('root ::= "\\x4"', "1:11", "needs 2 hexadecimal digits", "zeros"),
    ('root ::= "a" ) "b"', "1:14", "unexpected ')'", "End the rule"),
    ("root ::= <[x]>", "1:10", "a token's number", "<[number]>"),
    ("root ::= !a", "1:10", "expected a token", "<name>"),
    ("root ::= <[99999999999]>", "1:10", "no such token", "32 bits"),
    ('root ::= a_b\na ::= "x"', "1:11", "unexpected '_'", "End the rule"),
    ('# fine\nroot ::= "a"\n\nb ::= "b" "\0"', "4:12", "this is no text", "UTF-8"),
]


@pytest.mark.parametrize(("text", "place", "problem", "fix"), WRONG)
def test_errors_name_place_rule_and_remedy(text: str, place: str, problem: str, fix: str) -> None:
    """Each mistake is told with line and column, and with what to do."""
    with pytest.raises(UsageError) as caught:
        parse_gbnf(text, "my.gbnf")
    assert caught.value.what.startswith(f"my.gbnf:{place}: ")
    assert problem in caught.value.what
    assert fix in caught.value.fix


def test_errors_inside_a_rule_name_it() -> None:
    """The rule is the one being read, not the first."""
    with pytest.raises(UsageError, match=r"in rule `second`"):
        parse_gbnf('root ::= second\nsecond ::= "a" *"b" [')


# Grammar, texts it matches, texts it does not.
RIGHT = [
    ('root ::= "a" | "b" # one\n', ["a", "b"], ["", "c", "ab"]),
    ("root ::= [a-cx]+", ["a", "xcb"], ["", "d"]),
    ("root ::= [^a-c\\n]", ["d", "é", "🙂"], ["a", "\n", ""]),
    ("root ::= [a-]", ["a", "-"], ["b"]),
    ("root ::= [\\]\\-\\[]+", ["][-"], ["\\"]),
    ("root ::= .", ["a", "\n", "🙂"], ["", "ab"]),
    ('root ::= "\\x41\\u00e9\\U0001F642\\n\\t\\r\\\\\\""', ['Aé🙂\n\t\r\\"'], ["A"]),
    ('root ::= "ab"{2}', ["abab"], ["ab", "abb"]),
    ('root ::= "a"{1,} "b"{0,2} "c"?', ["a", "aabbc"], ["b", "abbb"]),
    ('root ::= "a"{0,2001} "b"', ["b", "a" * 30 + "b"], ["a"]),
    ('root ::= ("a" |\n  "b")* "c"', ["c", "abac"], ["ab"]),
    ('root ::=\n  "a" |\n  "b"\r\nunused ::= "c"', ["a", "b"], ["c"]),
    ('root ::= | "a"', ["", "a"], ["aa"]),
    ('root ::= "" [] "a"', ["a"], [""]),
    ('root ::= a\na ::= "x"\na ::= "y"', ["y"], ["x"]),
    ('root ::= "(" root ")" | "x"', ["x", "((x))"], ["(x", "()"]),
    ('root ::= root "+" [0-9] | [0-9]', ["1", "1+2+3"], ["1+", "+1"]),
    ('root ::= [0-9] "," root | [0-9]', ["1", "1,2,3"], ["1,", ",1"]),
    ('root ::= ("a"* "b"?)*', ["", "aab", "bba"], ["c"]),
    ('root ::= (("a"))\n', ["a"], [""]),
    ("root ::= [z-a] | [b]", ["b"], ["a", "z"]),
]


@pytest.mark.parametrize(("text", "matching", "other"), RIGHT)
def test_what_a_grammar_matches(
    table: TokenTable, text: str, matching: list[str], other: list[str]
) -> None:
    """Each construct matches what llama.cpp's documentation says, and no more."""
    grammar = compile_gbnf(text)
    for one in matching:
        assert accepts(grammar.start(table), table.encode(one)), one
    for one in other:
        assert not accepts(grammar.start(table), table.encode(one)), one


def test_tokens_by_number_and_name(table: TokenTable) -> None:
    """A token is matched whatever its text; an unknown name is a typed error."""
    think, letter = table.named("<|im_start|>"), table.encode("a")[0]
    assert think is not None
    grammar = compile_gbnf(f'root ::= <|im_start|> !<[{letter}]> "x"')
    tail = table.encode("x")
    assert accepts(grammar.start(table), [think, *table.encode("b"), *tail])
    assert not accepts(grammar.start(table), [think, letter, *tail])
    assert not accepts(grammar.start(table), table.encode("<|im_start|>bx"))
    with pytest.raises(UsageError, match="no single token <nothing like it>"):
        compile_gbnf("root ::= <nothing like it>").start(table)


def _chain(length: int, link: str, end: str) -> str:
    rules = [f"r{index} ::= {link.format(index + 1)}" for index in range(length)]
    return "\n".join(["root ::= r0", *rules, f"r{length} ::= {end}"])


HOSTILE = {
    "deep parentheses": "root ::= " + "(" * 5000 + '"x"' + ")" * 5000,
    "long chain": _chain(3000, '"a" r{}', '"x"'),
    "long recursive chain": _chain(3000, '"a" r{}', '"(" root ")" | "x"'),
    "doubling": _chain(60, "r{0} r{0}", '"x"'),
    "multiplied repetitions": 'root ::= a{2000}\na ::= b{2000}\nb ::= "x"{2000}',
    "no end": 'root ::= "a" root',
    "no characters": 'root ::= "a" [z-a]',
    "too large": "#" + "x" * 1_000_001,
    "stars": "root ::= " + ".* " * 300,
    "recursive stars": 'root ::= "(" root ")" | ' + ".* " * 40,
    "many words": "root ::= " + " | ".join(f'"w{index}"' for index in range(4000)),
    "many calls": 'root ::= "x" | ' + " | ".join(f'"w{index}" root' for index in range(1500)),
    "subset explosion": 'root ::= [ab]* "a" [ab]{200} "c"',
    "ambiguity": 'root ::= root root root | "a" | ""',
    "nothing": 'root ::= ""',
    "large set": "root ::= [" + "".join(chr(0x4E00 + 2 * i) for i in range(3000)) + "]+",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_grammars_end_in_a_typed_error_or_work(table: TokenTable, name: str) -> None:
    """No grammar hangs or kills the process; a generation under it ends or is refused."""
    try:
        generate(compile_gbnf(HOSTILE[name]).start(table), table, seed=1, limit=40)
    except ExpertError as error:
        assert isinstance(error, UsageError | ContractError)
        assert error.what and error.fix


def test_grammars_of_no_usable_text_are_refused() -> None:
    """A generation that could never end, or only after 100,000 characters, does not begin."""
    with pytest.raises(UsageError, match="No text matches the rule `root`"):
        compile_gbnf(HOSTILE["no end"])
    with pytest.raises(UsageError, match="usable length"):
        compile_gbnf(HOSTILE["doubling"])


def test_a_branch_without_an_end_is_no_trap(table: TokenTable) -> None:
    """A rule that can never be completed is left out, so no generation gets caught in it."""
    grammar = compile_gbnf('root ::= "a" | "b" trap\ntrap ::= "c" trap')
    assert not grammar.start(table).allows(table.encode("b")[0])


def test_llama_cpp_s_own_grammars_compile(table: TokenTable, llama_cpp_source: Path) -> None:
    """Its example grammars compile and generate."""
    found = sorted((llama_cpp_source / "grammars").glob("*.gbnf"))
    assert len(found) >= 8
    for path in found:
        generate(compile_gbnf(path.read_text()).start(table), table, seed=3, limit=60)
