"""The grammars that come with Expert: what they accept, and that real parsers read all of it."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from expert.grammar import form
from expert.grammar.compile import compile_grammar
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.language.gbnf_writer import to_gbnf
from expert.grammar.tokens import TokenTable
from grammar.library_parsers import PARSERS, parses
from grammar.llama_peer import LlamaGrammars
from grammar.sentences import Sentences
from grammar.vocabularies import accepts, generate

FOLDER = Path(__file__).resolve().parents[2] / "grammars"
EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "grammars"
NAMES = sorted(path.stem for path in FOLDER.glob("*.gbnf"))
_WANTED = "json json-lines csv yaml sql sql-select cypher elasticsearch shell regex commit"
_WANTED += " python-function typescript-function date time date-time integer number"
WANTED = _WANTED.split()
UNBOUNDED = {"sql": "query", "sql-select": "query"}  # rules that may lead back to themselves


@cache
def grammar_of(name: str) -> form.Grammar:
    """Read a shipped grammar once."""
    return parse_gbnf((FOLDER / f"{name}.gbnf").read_text("utf-8"), name)


@cache
def compiled(name: str) -> CompiledGrammar:
    """Compile a shipped grammar once."""
    return compile_grammar(grammar_of(name))


def examples(name: str) -> tuple[list[str], list[str]]:
    """Return the accepted and the rejected examples."""
    held = tomllib.loads((EXAMPLES / f"{name}.toml").read_text("utf-8"))
    return held["accepted"], held["rejected"]


@pytest.fixture(scope="module")
def llama(tiny_path: Path) -> Iterator[LlamaGrammars]:
    """Return llama.cpp in a process of its own."""
    peer = LlamaGrammars(tiny_path)
    yield peer
    peer.close()


def test_all_are_there() -> None:
    """The folder holds what was promised, each with examples and a first line that says what."""
    assert sorted(WANTED) == NAMES
    for name in NAMES:
        first = (FOLDER / f"{name}.gbnf").read_text("utf-8").splitlines()[0]
        assert re.fullmatch(r"# [A-Z1].{20,97}[.]", first), name
        accepted, rejected = examples(name)
        assert len(accepted) >= 2 and len(rejected) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_examples(table: TokenTable, name: str) -> None:
    """Every accepted example matches, and no rejected one; the real parser agrees on the first."""
    accepted, rejected = examples(name)
    for text in accepted:
        assert accepts(compiled(name).start(table), table.encode(text)), text
        assert name not in PARSERS or parses(name, text), text
    for text in rejected:
        assert not accepts(compiled(name).start(table), table.encode(text)), text


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_real_parsers_read_whatever_is_drawn(name: str) -> None:
    """Texts drawn at random from the grammar are read by the real parser, every one."""
    sentences, read = Sentences(grammar_of(name), seed=11), 0
    for _ in range(60 if name == "shell" else 200):
        text = sentences.draw()
        if text is not None:
            assert parses(name, text), text
            read += 1
    assert read >= 20


@pytest.mark.parametrize("name", NAMES)
def test_drawn_texts_are_accepted(table: TokenTable, name: str) -> None:
    """What the rules say and what the engine makes of them agree."""
    sentences = Sentences(grammar_of(name), seed=3)
    for text in filter(None, (sentences.draw() for _ in range(12))):
        assert accepts(compiled(name).start(table), table.encode(text)), text


@pytest.mark.parametrize("name", NAMES)
def test_same_verdicts_as_llama_cpp(table: TokenTable, llama: LlamaGrammars, name: str) -> None:
    """llama.cpp's sampler says the same of examples and drawn texts, of file and printout."""
    accepted, rejected = examples(name)
    sentences = Sentences(grammar_of(name), seed=7, budget=200)
    drawn = [text for text in (sentences.draw() for _ in range(4)) if text and len(text) < 200]
    texts = [text for text in (*accepted, *rejected, *drawn) if len(text) < 250]
    tokens = [table.encode(text) for text in texts]
    expected = [accepts(compiled(name).start(table), one) for one in tokens]
    source = (FOLDER / f"{name}.gbnf").read_text("utf-8")
    for gbnf in (source, to_gbnf(grammar_of(name))):
        for text, one, verdict in zip(texts, tokens, expected, strict=True):
            try:
                assert llama.verdicts(gbnf, [one]) == [verdict], text
            except ChildProcessError:  # its stacks multiply on some texts until it hangs
                continue
        assert llama.verdicts(gbnf, [[]]) is not None


@pytest.mark.parametrize("name", NAMES)
def test_nothing_repeats_without_end(name: str) -> None:
    """No repetition is open, and no rule leads back to itself but for subqueries of SQL."""
    rules = dict(grammar_of(name).rules)
    for node in rules.values():
        for one in form.walk(node):
            assert not isinstance(one, form.Repeat) or one.most is not None
    rules.pop(UNBOUNDED.get(name, ""), None)
    left = {rule: set(form.references(node)) & set(rules) for rule, node in rules.items()}
    while ready := {rule for rule, used in left.items() if not used & set(left)}:
        left = {rule: used for rule, used in left.items() if rule not in ready}
    assert not left


@pytest.mark.parametrize("name", NAMES)
def test_generations_end(table: TokenTable, name: str) -> None:
    """Drawn uniformly, token by token, answers end; those that end are whole."""
    ended = 0
    for seed in range(3):
        text = generate(compiled(name).start(table), table, seed, limit=300)
        if text is not None:
            ended += 1
            assert name not in PARSERS or parses(name, text), text
    assert ended or name not in ("commit", "date", "time", "date-time", "integer", "number")


def test_python_and_typescript_names_are_no_keywords(table: TokenTable) -> None:
    """A name may begin like a keyword, and none is one."""
    import keyword

    for word in keyword.kwlist:
        for name, right in ((word, False), (word + "s", True), (word[:-1] + "_", True)):
            tokens = table.encode(f"def {name}():\n    ...\n")
            assert accepts(compiled("python-function").start(table), tokens) is right, name


def test_sql_select_is_a_part_of_sql() -> None:
    """The two files agree on every rule that both have."""
    select, whole = ((FOLDER / f"{name}.gbnf").read_text("utf-8") for name in ("sql-select", "sql"))
    body = select.partition('root ::= query (sp ";")?')[2]
    query, _, names = body.partition("\n# Names and literals.")
    assert query in whole and names in whole
