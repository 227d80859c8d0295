"""Measuring constrained answers: masks, speed beside none and beside llama.cpp, beams, cold starts.

Speeds are compared in pairs, one run right after the other, because a machine's own speed drifts;
what is reported is the median of such ratios.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expert.engine.constrained import Contract
from expert.engine.context import Context, Slice
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job
from expert.engine.memory import check_memory
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.token_table import build_table
from expert.errors import ResourceError
from expert.grammar.compile import compile_gbnf
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.schema.contract import compile_schema
from expert.grammar.tokens import TokenTable
from expert.types import Timings

JSON = r"""
root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (pair ("," ws pair)*)? "}" ws
pair ::= string ":" ws value
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ws
ws ::= [ \n]{0,4}
"""
"""Any JSON object; both our front end and llama.cpp read it."""
DOCUMENT = (
    '{"name": "Ada Lovelace", "born": 1815, "fields": ["mathematics", "computing"],\n'
    ' "address": {"city": "London", "street": "12 St James\'s Square", "code": "SW1Y 4JH"},\n'
    ' "published": true, "rating": 4.75, "notes": "First to see that a machine could do more."}'
)
RECORD = {
    "type": "object",
    "properties": {
        "identifier": {"type": "integer", "minimum": 1, "maximum": 99},
        "classification": {"enum": ["confirmed", "probable", "unconfirmed"]},
        "responsible_department": {"enum": ["administration", "engineering"]},
        "requires_confirmation": {"type": "boolean"},
    },
    "required": [
        "identifier",
        "classification",
        "responsible_department",
        "requires_confirmation",
    ],
    "additionalProperties": False,
}
"""A record of long names: most of its tokens are forced."""
_ASK = ("ask", "-n", "-q", "-e", "none", "--temperature", "0", "--seed", "1", "--no-stdin")


@dataclass(frozen=True, slots=True)
class GrammarBench:
    """What holding answers to a grammar costs; times in microseconds, ratios of elapsed time."""

    vocabulary: int
    mask_us: float
    """Mean over every place of a JSON document."""
    mask_p99_us: float
    allows_us: float
    """Mean of judging one token."""
    table_s: float
    """Seconds to build the tables of the vocabulary, once a process."""
    tokens_per_s: float
    """Of unconstrained decoding."""
    constrained: float
    """Speed under a JSON grammar, relative to unconstrained."""
    forced: float
    """Speed where names are forced, relative to unconstrained."""
    llama_cpp: float
    """Speed of llama.cpp's own grammar sampler, relative to unconstrained."""
    llama_cpp_us: float
    """Microseconds llama.cpp's grammar sampler takes a token, over the whole vocabulary."""
    beam: float
    """Time of a step with four hypotheses, relative to one of greedy decoding."""
    cold: float
    """Time of a cold `expert ask --schema`, relative to one without."""


@dataclass(frozen=True, slots=True)
class GrammarOptions:
    """What to measure."""

    tokens: int = 48
    """Tokens of each answer."""
    repeat: int = 5
    threads: int | None = None
    beams: int = 4


def bench_grammar(
    path: Path, options: GrammarOptions, progress: Callable[[int, int], None] | None = None
) -> GrammarBench:
    """Measure constrained answers on one model file.

    Raises:
        ExpertError: the model cannot be loaded, or memory does not suffice.
    """
    tell = progress or (lambda _done, _total: None)
    with Model(path) as model:
        start = time.perf_counter()
        table = build_table(model.header, lambda: model.vocabulary)
        table_s = time.perf_counter() - start
        masks, allows = time_masks(compile_gbnf(JSON), table)
        tell(1, 4)
        bench = _Speeds(model, table, options)
        speeds = bench.speeds()
        tell(2, 4)
        beam = bench.beam()
        tell(3, 4)
    cold = cold_ratio(path, options)
    tell(4, 4)
    return GrammarBench(
        vocabulary=table.size,
        mask_us=statistics.fmean(masks),
        mask_p99_us=sorted(masks)[int(len(masks) * 0.99)],
        allows_us=statistics.fmean(allows),
        table_s=table_s,
        **speeds,
        beam=beam,
        cold=cold,
    )


def time_masks(
    grammar: CompiledGrammar, table: TokenTable, document: str = DOCUMENT, rounds: int = 5
) -> tuple[list[float], list[float]]:
    """Return the microseconds of each mask, and of judging each token, along a document.

    They are of processor time: on a busy machine a mask is shorter than what interrupts it.

    The first round warms up and does not count.
    """
    tokens = table.encode(document)
    masks: list[float] = []
    allows: list[float] = []
    for warm in range(rounds + 1):
        constraint = grammar.start(table)
        for token in tokens:
            marks = [time.thread_time()]
            constraint.allows(token)
            marks.append(time.thread_time())
            constraint.mask()
            marks.append(time.thread_time())
            constraint.accept(token)
            if warm:
                allows.append((marks[1] - marks[0]) * 1e6)
                masks.append((marks[2] - marks[1]) * 1e6)
    return masks, allows


class _Speeds:
    """Decoding speeds on one model."""

    def __init__(self, model: Model, table: TokenTable, options: GrammarOptions) -> None:
        self._model = model
        self._options = options
        self._prompt = model.vocabulary.encode("Return one JSON object about a person:\n")
        self._size = len(self._prompt) + options.tokens + 8
        self._plain = Job(self._prompt, max_tokens=options.tokens, ignore_end=True)
        self._json = replace(self._plain, contract=_contract(compile_gbnf(JSON), table))
        self._record = replace(self._plain, contract=_contract(compile_schema(RECORD), table))

    def _context(self, **more: Any) -> ContextOptions:
        return ContextOptions(size=self._size, threads=self._options.threads, **more)

    def speeds(self) -> dict[str, float]:
        """Return the speeds relative to unconstrained decoding, run by run."""
        check_memory(self._model.header, self._context())
        rounds: list[dict[str, float]] = []
        with Engine(self._model, self._context()) as engine:
            for _ in range(self._options.repeat + 1):  # the first warms up and does not count
                plain = _timings(engine, self._plain).decode_tokens_per_s
                constrained = _timings(engine, self._json).decode_tokens_per_s
                forced = _timings(engine, self._record).decode_tokens_per_s
                theirs, sampler_us = engine.call(lambda: self._llama(engine.context))
                engine.call(lambda: engine.scheduler.slots[0].rewind(0, engine.context))
                rounds.append(
                    {
                        "tokens_per_s": plain,
                        "constrained": constrained / plain,
                        "forced": forced / plain,
                        "llama_cpp": theirs / plain,
                        "llama_cpp_us": sampler_us,
                    }
                )
        return {key: statistics.median(run[key] for run in rounds[1:]) for key in rounds[0]}

    def _llama(self, context: Context) -> tuple[float, float]:
        """Decode with llama.cpp's own grammar sampler; return tokens/s and microseconds each.

        As in llama-cpp-python the grammar comes first in the chain, before anything truncates.
        """
        lib = self._model.lib
        vocabulary = lib.llama_model_get_vocab(self._model.handle)
        grammar = lib.llama_sampler_init_grammar(vocabulary, JSON.encode(), b"root")
        if not grammar:
            raise ResourceError("llama.cpp refuses the grammar of this benchmark.")
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for part in (grammar, lib.llama_sampler_init_greedy()):
            lib.llama_sampler_chain_add(chain, part)
        context.forget(0, 0)
        (rows,) = context.step([Slice(0, 0, self._prompt, outputs=1)])
        start = time.perf_counter()
        sampling = 0.0
        count = 0
        for position in range(len(self._prompt), len(self._prompt) + self._options.tokens):
            mark = time.perf_counter()
            token = lib.llama_sampler_sample(chain, context.handle, rows[-1])
            sampling += time.perf_counter() - mark
            count += 1
            if self._model.vocabulary.ends(token):
                break
            (rows,) = context.step([Slice(0, position, [token], outputs=1)])
        elapsed = time.perf_counter() - start
        lib.llama_sampler_free(chain)
        return count / elapsed, sampling / count * 1e6

    def beam(self) -> float:
        """Return the time of a step with several hypotheses relative to one of greedy decoding."""
        beams = self._options.beams
        options = self._context(beams=beams)
        options = replace(options, size=self._size * beams)
        check_memory(self._model.header, options)
        ratios = []
        with Engine(self._model, options) as engine:
            for _ in range(self._options.repeat + 1):
                greedy = _timings(engine, self._plain).decode_s
                searched = _timings(engine, replace(self._plain, beams=beams)).decode_s
                ratios.append(searched / greedy)
        return statistics.median(ratios[1:])


def _contract(grammar: CompiledGrammar, table: TokenTable) -> Contract:
    return Contract(lambda _limit: grammar.start(table))


def _timings(engine: Engine, job: Job) -> Timings:
    for output in engine.submit(job):
        if isinstance(output, Finished):
            return output.timings
    raise AssertionError("a stream ends with Finished")


def cold_ratio(path: Path, options: GrammarOptions) -> float:
    """Return the time of a cold `expert ask --schema`, relative to one of as many free tokens.

    Each is a process of its own, from its start to its end.
    """
    schema = '{"enum": ["confirmed", "probable", "unconfirmed"]}'
    threads = () if options.threads is None else ("--threads", str(options.threads))
    common = (*_ASK, "-m", str(path), *threads)
    ratios = []
    for _ in range(options.repeat + 1):
        free = _elapsed([*common, "--max-tokens", "4", "Is it so?"])
        held = _elapsed([*common, "--max-tokens", "24", "--schema", schema, "Is it so?"])
        ratios.append(held / free)
    return statistics.median(ratios[1:])


def _elapsed(arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "expert", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
