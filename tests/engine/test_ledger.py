"""The ledger says what may be reused, and never more."""

import random
from pathlib import Path

from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import BASE, AdapterSet, Run, set_at
from expert.engine.ledger import Ledger

SETS = [BASE] + [
    AdapterSet.of([(AdapterFile(Path("x"), digest, 1, 32, ()), scale)])
    for digest in "ab"
    for scale in (0.5, 1.0)
]


def test_shared_equals_a_plain_comparison() -> None:
    """On 2,000 random ledgers and prompts, the answer is that of comparing each position."""
    draw = random.Random(1)
    for _ in range(2000):
        ledger = Ledger()
        record = []
        for _ in range(draw.randrange(4)):
            tokens = [draw.randrange(2) for _ in range(draw.randrange(5))]
            adapters = draw.choice(SETS)
            ledger.append(tokens, adapters)
            record += [(token, adapters) for token in tokens]
        prompt = [draw.randrange(2) for _ in range(draw.randrange(12))]
        starts = sorted({0, *(draw.randrange(12) for _ in range(2))})
        runs = [Run(start, draw.choice(SETS)) for start in starts]
        wanted = [(token, set_at(runs, place)) for place, token in enumerate(prompt)]
        expected = 0
        while expected < min(len(record), len(wanted)) and record[expected] == wanted[expected]:
            expected += 1
        assert ledger.shared(prompt, runs) == expected


def test_changes_equal_those_of_a_plain_list() -> None:
    """After any appending, truncating and dropping, every position is under its own set."""
    draw = random.Random(2)
    for _ in range(500):
        ledger = Ledger()
        record: list[tuple[int, AdapterSet]] = []
        for _ in range(draw.randrange(12)):
            start = draw.randrange(len(record) + 1)
            match draw.randrange(4):
                case 0:
                    ledger.truncate(start)
                    del record[start:]
                case 1:
                    end = draw.randrange(start, len(record) + 1)
                    ledger.drop(start, end)
                    del record[start:end]
                case _:
                    tokens = [draw.randrange(9) for _ in range(draw.randrange(5))]
                    adapters = draw.choice(SETS)
                    ledger.append(tokens, adapters)
                    record += [(token, adapters) for token in tokens]
            places = enumerate(ledger.tokens)
            assert [(token, set_at(ledger.runs, place)) for place, token in places] == record
            pairs = zip(ledger.runs, ledger.runs[1:], strict=False)
            assert all(a.start < b.start and a.adapters != b.adapters for a, b in pairs)
            base = [adapters == BASE for _, adapters in record]
            assert ledger.base_prefix() == (base.index(False) if False in base else len(base))


def test_runs_group_positions() -> None:
    """Neighbouring positions under the same set are one run."""
    ledger = Ledger()
    ledger.append([1, 2], BASE)
    ledger.append([3], BASE)
    ledger.append([4, 5], SETS[1])
    assert ledger.runs == (Run(0, BASE), Run(3, SETS[1]))
    assert ledger.base_prefix() == 3
    ledger.drop(1, 4)
    assert (ledger.tokens, ledger.runs) == ([1, 5], (Run(0, BASE), Run(1, SETS[1])))
    ledger.truncate(1)
    assert ledger.base_prefix() == len(ledger) == 1
