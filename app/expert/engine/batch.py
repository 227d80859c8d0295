"""What llama.cpp computes in one call: tokens, or input embeddings, with their places."""

import ctypes
from collections.abc import Sequence
from typing import Any


class Batch:
    """A `llama_batch` of llama.h over arrays of our own, filled anew for every call.

    llama.cpp's own `llama_batch_init` gives pointers, which ctypes fills one number at a time;
    arrays take a whole slice at once.
    """

    def __init__(self, lib: Any, size: int, width: int = 0) -> None:
        """*size* entries of one sequence each; with *width*, embeddings in place of tokens."""
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._sequences = (ctypes.c_int32 * size)()
        self._outputs = (ctypes.c_int8 * size)()
        self._embeddings = (ctypes.c_float * (size * width))()
        self._width = width
        # Each entry belongs to one sequence, whose number stands at its place in `_sequences`.
        self._counts = (ctypes.c_int32 * size)(*[1] * size)
        start = ctypes.addressof(self._sequences)
        self._places = (ctypes.c_void_p * size)(*range(start, start + 4 * size, 4))
        fields = {name: kind for name, kind in lib.llama_batch._fields_}
        self.raw = lib.llama_batch(
            n_tokens=0,
            token=None if width else ctypes.cast(self._tokens, fields["token"]),
            embd=ctypes.cast(self._embeddings, fields["embd"]) if width else None,
            pos=ctypes.cast(self._positions, fields["pos"]),
            n_seq_id=ctypes.cast(self._counts, fields["n_seq_id"]),
            seq_id=ctypes.cast(self._places, fields["seq_id"]),
            logits=ctypes.cast(self._outputs, fields["logits"]),
        )
        """What `llama_decode` takes."""

    def __len__(self) -> int:
        return int(self.raw.n_tokens)

    def clear(self) -> None:
        """Begin a new batch."""
        self.raw.n_tokens = 0

    def add(self, tokens: Sequence[int], position: int, sequence: int, outputs: int) -> range:
        """Append tokens of a sequence and return the entries whose logits will be there.

        Those are the last *outputs* of them. The caller sees to it that there is room.
        """
        start = self.raw.n_tokens
        end = start + len(tokens)
        first = max(start, end - outputs)
        self._tokens[start:end] = list(tokens)
        self._place(start, end, position, sequence)
        self._outputs[start:end] = [place >= first for place in range(start, end)]
        return range(first, end)

    def add_rows(self, rows: Any, position: int, sequence: int) -> None:
        """Append input embeddings, an F32 array (count, width), whose logits are not wanted."""
        start = self.raw.n_tokens
        end = start + len(rows)
        target = ctypes.addressof(self._embeddings) + start * self._width * 4
        ctypes.memmove(target, rows.tobytes(), rows.nbytes)
        self._place(start, end, position, sequence)
        self._outputs[start:end] = [0] * len(rows)

    def _place(self, start: int, end: int, position: int, sequence: int) -> None:
        count = end - start
        self._positions[start:end] = list(range(position, position + count))
        self._sequences[start:end] = [sequence] * count
        self.raw.n_tokens = end
