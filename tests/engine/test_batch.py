"""A batch's arrays, read back through the C struct that llama.cpp gets."""

import ctypes
from typing import Any

import numpy as np
import pytest

from expert.engine import library
from expert.engine.batch import Batch


@pytest.fixture(scope="module")
def lib() -> Any:
    """Return llama.cpp's C functions."""
    return library.load()


def entries(batch: Batch) -> list[tuple[int, int, list[int], int]]:
    """Return (token, position, sequences, wants logits) of each entry, as C sees them."""
    raw = batch.raw
    return [
        (
            raw.token[i] if raw.token else -1,
            raw.pos[i],
            [raw.seq_id[i][j] for j in range(raw.n_seq_id[i])],
            raw.logits[i],
        )
        for i in range(raw.n_tokens)
    ]


def test_entries_of_several_sequences(lib: Any) -> None:
    """Tokens, positions, sequences and outputs stand where llama.cpp reads them."""
    batch = Batch(lib, 8)
    assert batch.add([10, 11, 12], 5, 0, 1) == range(2, 3)
    assert batch.add((20,), 9, 3, 1) == range(3, 4)
    assert batch.add([30, 31], 0, 1, 0) == range(6, 6)
    assert len(batch) == 6
    assert entries(batch) == [
        (10, 5, [0], 0), (11, 6, [0], 0), (12, 7, [0], 1),
        (20, 9, [3], 1),
        (30, 0, [1], 0), (31, 1, [1], 0),
    ]  # fmt: skip


def test_a_new_batch_forgets_the_one_before(lib: Any) -> None:
    """No output, position or sequence of an earlier filling shows through."""
    batch = Batch(lib, 4)
    batch.add([1, 2, 3, 4], 0, 2, 4)
    batch.clear()
    assert len(batch) == 0
    batch.add([7, 8], 3, 0, 1)
    assert entries(batch) == [(7, 3, [0], 0), (8, 4, [0], 1)]


@pytest.mark.parametrize("outputs", [0, 1, 3, 9])
def test_outputs_are_the_last_tokens_and_never_more_than_there_are(lib: Any, outputs: int) -> None:
    """The returned entries are exactly those marked for logits."""
    batch = Batch(lib, 8)
    batch.add([5], 0, 1, 0)
    rows = batch.add([1, 2, 3], 0, 0, outputs)
    assert list(rows) == [i for i, entry in enumerate(entries(batch)) if entry[3]]
    assert len(rows) == min(outputs, 3)


def test_an_empty_part_changes_nothing(lib: Any) -> None:
    """A slice whose tokens were all rows of a soft prompt leaves no entry."""
    batch = Batch(lib, 2)
    assert batch.add([], 4, 0, 1) == range(0)
    assert len(batch) == 0


def test_embeddings_stand_in_place_of_tokens(lib: Any) -> None:
    """Rows are copied whole, one after another, whatever their order in memory."""
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    batch = Batch(lib, 4, width=3)
    batch.add_rows(rows[::2], 0, 1)
    batch.add_rows(rows[1:3], 6, 0)
    assert not batch.raw.token
    assert entries(batch) == [(-1, 0, [1], 0), (-1, 1, [1], 0), (-1, 6, [0], 0), (-1, 7, [0], 0)]
    values = (ctypes.c_float * 12).from_address(ctypes.addressof(batch.raw.embd.contents))
    assert np.array_equal(np.frombuffer(memoryview(values), np.float32), rows[[0, 2, 1, 2]].ravel())
