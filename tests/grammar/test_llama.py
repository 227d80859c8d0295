"""The same verdicts as llama.cpp's own grammar sampler, on random grammars and texts."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.grammar.compile import compile_grammar
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.normal import has_empty_loop, left_recursive
from expert.grammar.tokens import TokenTable
from grammar.llama_peer import LlamaGrammars
from grammar.random_grammars import LETTERS, GrammarWriter
from grammar.sentences import Sentences
from grammar.vocabularies import accepts

_EDITS = ["{2}", "{0}", "{1,}", "{,2}", "{3,2001}", "{2001}", "{ 1 , 2 }", "[]", '""', "()", "|"]
_EDITS += ["<[5]>", "!<[7]>", "\\x4", "\\u00e9", "\n", *'"[]()|*+?{},09 \n\r\t\\-^ab:=#.<>!_']


@pytest.fixture
def llama(tiny_path: Path) -> Iterator[LlamaGrammars]:
    """Return llama.cpp in a process of its own, on the tiny vocabulary."""
    peer = LlamaGrammars(tiny_path)
    yield peer
    peer.close()


def _refused_by_llama(text: str) -> bool:
    """Tell whether we read a grammar that llama.cpp takes for left-recursive."""
    rules = parse_gbnf(text).rules
    return bool(left_recursive(rules)) or has_empty_loop(rules)


def _compare(table: TokenTable, llama: LlamaGrammars, seed: int) -> tuple[int, int]:
    """Compare all verdicts on one random grammar; return how many texts, and how many matched."""
    written = GrammarWriter(seed).text()
    if _refused_by_llama(written):
        return 0, 0
    grammar = compile_grammar(parse_gbnf(written))
    sentences = Sentences(parse_gbnf(written), seed, budget=300, longest=60, plain=LETTERS)
    texts = set[str]()
    for _ in range(25):
        text = sentences.draw()
        if text is not None:
            texts |= {text, sentences.near(text), sentences.near(sentences.near(text))}
    single = {table.piece(token): token for token in range(table.size)}
    tokens = [
        table.encode(text) if index % 2 else [single[bytes([byte])] for byte in text.encode()]
        for index, text in enumerate(sorted(texts))
    ]
    try:
        theirs = llama.verdicts(written, tokens)
    except ChildProcessError:  # llama.cpp's stacks multiply on some grammars until it hangs
        return 0, 0
    assert theirs == [accepts(grammar.start(table), one) for one in tokens], written
    return len(texts), sum(theirs)


def _compare_many(
    table: TokenTable, llama: LlamaGrammars, grammars: int, start: int
) -> tuple[int, int]:
    done = texts = matched = 0
    seed = start
    while done < grammars:
        seed += 1
        count, yes = _compare(table, llama, seed)
        done += count > 0
        texts += count
        matched += yes
    return texts, matched


def test_same_verdicts_as_llama_cpp(table: TokenTable, llama: LlamaGrammars) -> None:
    """A sample of what the slow test compares."""
    texts, matched = _compare_many(table, llama, grammars=12, start=0)
    assert texts > 300 and matched > 100


@pytest.mark.slow
def test_same_verdicts_as_llama_cpp_on_many(table: TokenTable, llama: LlamaGrammars) -> None:
    """On 220 grammars and more than 10,000 texts, whole tokens and single bytes."""
    texts, matched = _compare_many(table, llama, grammars=220, start=1000)
    assert texts >= 10_000 and matched >= 3_000


def _edited(seed: int) -> str:
    draw = random.Random(seed)
    text = GrammarWriter(seed).text()[:400]
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(text) + 1)
        text = text[:place] + draw.choice(_EDITS) + text[place + draw.randint(0, 1) :]
    return text


@pytest.mark.parametrize("start", [0, pytest.param(10_000, marks=pytest.mark.slow)])
def test_same_grammars_read_as_by_llama_cpp(llama: LlamaGrammars, start: int) -> None:
    """Grammars with slips of the pen are refused by both or by neither."""
    read = 0
    for seed in range(start, start + 200 + start // 10):
        text = _edited(seed)
        if re.search(r"<(?!\[)", text):  # a token's name, which we look up later
            continue
        try:
            ours = not _refused_by_llama(text)
            if not ours:
                continue
        except UsageError as error:
            if "but at most" in error.what:  # llama.cpp fills the memory instead
                continue
            ours = False
        assert ours == (llama.verdicts(text, []) is not None), text
        read += ours
    assert read > 15


def test_left_recursion_is_read_though_llama_cpp_refuses_it(
    table: TokenTable, llama: LlamaGrammars
) -> None:
    """The one thing read in addition."""
    text = 'root ::= root "+" [0-9] | [0-9]'
    assert llama.verdicts(text, []) is None
    assert accepts(compile_grammar(parse_gbnf(text)).start(table), table.encode("1+2+3"))
