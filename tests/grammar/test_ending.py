"""Answers that come to their end within a limit, whatever is written before."""

import random
from typing import Any

import pytest

from benchmarks.constrained import SCHEMAS
from expert.errors import ContractError
from expert.forms import byte_table, read_grammar, read_schema, shipped_grammars
from expert.grammar.constraint import Check, CompiledGrammar
from expert.grammar.ending import Ending, Landing
from expert.grammar.language.compiler import compile_form
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.read import read_text
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import allowed
from support.checks import Sum

_WRITTEN = [*b'etaoin shrdlu"",,::{}[]0123456789truefalsenull-.()\n']
_END = 256


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def babble(grammar: CompiledGrammar, table: TokenTable, limit: int, seed: int) -> bytes | None:
    """Write what a very bad model would; None if that is not whole after *limit* tokens."""
    draw = random.Random(seed)
    constraint = grammar.start(table, limit)
    while not constraint.finished():
        left = limit - len(constraint.tokens)
        if left <= 0:
            return table.decode(constraint.tokens) if constraint.can_end() else None
        tokens = constraint.forced()[:left]
        if not tokens:
            wishes = draw.choices(_WRITTEN, k=15)
            tokens = next(([one] for one in wishes if constraint.allows(one)), [])
        if not tokens:
            others = allowed(constraint, table.size)
            draw.shuffle(others)
            tokens = next(([one] for one in others if constraint.allows(one)), [])
        if not tokens:
            assert not constraint.exact
            assert constraint.retreat() > 0
        for token in tokens:
            constraint.accept(token)
    return table.decode(constraint.tokens)


@pytest.mark.parametrize("name", sorted(set(shipped_grammars()) - {"sql", "sql-select"}))
def test_answers_end_under_every_shipped_grammar(octets: TokenTable, name: str) -> None:
    """Nonsense is brought to its end, and the end is one."""
    form = read_grammar(name)
    for limit, seed in ((100, 1), (200, 2)):
        answer = babble(form.grammar, octets, limit, seed)
        assert answer is not None and len(answer) <= limit
        form.check(answer.decode(), octets)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sql", "sql-select"])
def test_answers_end_under_sql(octets: TokenTable, name: str) -> None:
    """The same for the largest grammars, which take seconds to compile."""
    test_answers_end_under_every_shipped_grammar(octets, name)


@pytest.mark.parametrize("number", range(len(SCHEMAS)))
def test_answers_end_under_every_kind_of_schema(octets: TokenTable, number: int) -> None:
    """Also where a check refuses what the mask allows."""
    form = read_schema(SCHEMAS[number])
    for seed in range(3):
        answer = babble(form.grammar, octets, 120, seed)
        assert answer is not None and len(answer) <= 120
        form.check(answer.decode(), octets)


def test_a_form_with_a_schema_inside_ends(octets: TokenTable, tmp_path: Any) -> None:
    """Where no guide knows the grammar, what must come and what closes lead to the end."""
    (tmp_path / "s.json").write_text('{"type": "object", "required": ["a", "b"]}')
    grammar = compile_form('a:\n  | <<{schema "s.json"}>>\n', "test", tmp_path)
    assert grammar.guide is not None and grammar.guide() is None
    answer = babble(grammar, octets, 120, 3)
    assert answer is not None and answer.endswith(b"}>>")


def test_an_answer_with_time_is_left_alone(octets: TokenTable) -> None:
    """Far from its limit nothing is forbidden that the grammar allows."""
    grammar = read_grammar("json").grammar
    free, held = grammar.start(octets), grammar.start(octets, 1000)
    for token in b'{"name": ["a", 12, {"b": null}, "' + b"x" * 150:
        assert held.mask() == free.mask()
        assert held.allows(token) and free.allows(token)
        held.accept(token)
        free.accept(token)


def test_no_token_is_asked_twice_for_its_ending(octets: TokenTable) -> None:
    """An ending is looked for seldom, and oftener only when the limit comes near."""
    grammar = read_grammar("json").grammar
    held, looks = grammar.start(octets, 210), 0
    ending = held.ending

    def counted() -> list[int] | None:
        nonlocal looks
        looks += 1
        return ending()

    held.ending = counted  # type: ignore[method-assign]  # only counts
    for token in b'"' + b"x" * 150:
        assert held.allows(token)
        held.accept(token)
    assert 0 < looks <= 12


def test_an_ending_is_found_without_any_guide(octets: TokenTable) -> None:
    """The search tries single characters, and backs up from dead ends."""
    constraint = CompiledGrammar("start: /[0-9]{4}/", Sum(12)).start(octets)
    constraint.accept(ord("4"))
    found = constraint.ending()
    assert found is not None and sum(map(int, octets.decode(found).decode())) == 8
    assert constraint.text() == "4"


def test_the_search_for_what_does_not_exist_ends(octets: TokenTable) -> None:
    """Nothing is found, and soon."""
    assert CompiledGrammar("start: /[0-2]{9}/", Sum(25)).start(octets).ending() is None


def test_the_end_is_asked_for_only_where_the_answer_has_moved(octets: TokenTable) -> None:
    """A costly check judges each place once, not once for each way that fails there."""
    judged: list[int] = []

    class Slow(Sum):
        def push(self, data: bytes) -> Check | None:
            return Slow(self.total, self.used + data[0])

        def complete(self) -> bool:
            judged.append(self.used)
            return False

    assert CompiledGrammar("start: /[0-2]{1,3}/", Slow(25)).start(octets).ending() is None
    places, searches = 3 + 9 + 27, 3
    assert places <= len(judged) <= places * searches


def test_an_ending_is_followed_while_the_answer_is_on_its_way() -> None:
    """It names the next token; what has left the way has none, nor has what is before it."""
    ending = Ending(2, (5, 6, _END))
    assert ending.after([1, 1]) == 5
    assert ending.after([1, 1, 5]) == 6
    assert ending.after([1, 1, 5, 6]) == _END
    assert ending.after([1, 1, 7]) is None
    assert ending.after([1]) is None
    assert ending.after([1, 1, 5, 6, _END]) is None


def test_an_ending_is_taken_when_the_limit_comes_near() -> None:
    """Not before, and then at once; a way that was left is looked for anew."""
    landing = Landing(40, _END, exact=False)
    assert landing.token([], 0, lambda: [1, 2]) is None
    written = [0] * 29
    assert landing.token(written, 0, lambda: [1, 2]) == 1
    assert landing.token([*written, 1], 0, lambda: None) == 2
    assert landing.token([*written, 1, 2], 0, lambda: None) == _END
    assert landing.token([*written, 9], 0, lambda: [3]) == 3


def test_a_lost_answer_takes_the_first_ending() -> None:
    """After a dozen dead ends, without any limit, and searches in vain become rarer."""
    landing = Landing(None, _END, exact=False)
    tried = []

    def search() -> None:
        tried.append(1)

    for dead_ends in range(30):
        assert landing.token([1], dead_ends, search) is None
    assert 2 <= len(tried) <= 4
    assert landing.token([1], 40, lambda: [8]) == 8


def test_a_stranded_answer_returns_to_its_last_ending() -> None:
    """Endings from places that were taken back are forgotten; copies know their own."""
    landing = Landing(20, _END, exact=False)
    assert landing.token([], 0, lambda: [1]) is None
    assert landing.token([0] * 8, 0, lambda: [2]) is None
    twin = landing.copy()
    landing.rollback(3)
    assert landing.token([0] * 18, 0, lambda: None) is None
    assert landing.stranded and not twin.stranded
    assert (landing.return_to(), twin.return_to()) == (0, 8)
    assert landing.token([], 0, lambda: None) == 1
    assert Landing(20, _END, exact=False).return_to() is None


def test_a_dead_end_at_the_limit_goes_back_to_where_it_could_end(octets: TokenTable) -> None:
    """What leads nowhere is taken back as far as is needed, so the answer is whole."""

    class Trap(Sum):
        """Once the sum is past 3 there is no end, but that shows in no refusal."""

        def push(self, data: bytes) -> Check | None:
            return Trap(3, self.used + sum(byte - ord("0") for byte in data))

    constraint = CompiledGrammar("start: /[0-9]+/", Trap(3)).start(octets, 60)
    for _ in range(200):
        if constraint.finished():
            break
        token = next((one for one in (ord("1"), _END) if constraint.allows(one)), None)
        token = next(iter(allowed(constraint, octets.size)), None) if token is None else token
        if token is None:
            assert constraint.retreat() > 0
        else:
            constraint.accept(token)
        assert len(constraint.tokens) <= 60
    assert constraint.finished()
    assert sum(map(int, constraint.text())) == 3


def test_an_ending_overrules_what_was_given_up_too_soon(octets: TokenTable) -> None:
    """Going back from dead ends may refuse the only way on; the ending found opens it again."""
    constraint = CompiledGrammar("start: /[0-9]/", Sum(3)).start(octets)
    constraint._banned[0] = {ord("3")}
    assert not constraint.allows(ord("3"))
    constraint._stuck = 20
    assert constraint.allows(ord("3"))
    assert allowed(constraint, octets.size) == [ord("3")]


def test_without_a_limit_and_without_trouble_nothing_is_looked_for(octets: TokenTable) -> None:
    """A text that is only checked costs no search."""
    constraint = read_grammar("json").grammar.start(octets)

    def never() -> None:
        raise ContractError("No.", "No.", "No.")

    constraint.ending = never  # type: ignore[method-assign]  # it must not be called
    for token in b'[1, 2, "three"]':
        assert constraint.allows(token)
        constraint.accept(token)
    assert constraint.can_end()


@pytest.mark.parametrize("limit", [100, 128, 1000])
def test_a_limit_does_not_hinder_an_answer_that_fits(octets: TokenTable, limit: int) -> None:
    """The search for an ending finds a short one, though quotes can go on for ever in a text."""
    grammar = compile_sql(read_text("t(record, attendance, date, week)"))
    constraint = grammar.start(octets, limit)
    for token in b"SELECT MAX(week) FROM t WHERE date = 'may 1st'":
        assert constraint.allows(token), constraint.text()
        constraint.accept(token)
    assert constraint.can_end()
    ending = grammar.start(octets).ending()
    assert ending is not None and len(ending) < 20


def test_an_ending_that_does_not_fit_is_not_taken() -> None:
    """It would use up the limit without bringing the answer to its end."""
    landing = Landing(20, _END, exact=False)
    assert landing.token([], 0, lambda: [65] * 30) is None
    assert landing.token([65] * 10, 0, lambda: [66] * 5) == 66
