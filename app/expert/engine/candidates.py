"""The candidates of one draw: tokens with their logits, as llama.cpp's samplers take them."""

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Candidates:
    """A buffer for one vocabulary that a chain of samplers filters, orders and draws from."""

    def __init__(self, lib: Any, size: int) -> None:
        import numpy as np  # only constrained answers need it

        # llama_token_data of llama.h: an id, a logit and a probability.
        kinds = [("id", np.int32), ("logit", np.float32), ("p", np.float32)]
        self._data = np.empty(size, dtype=kinds)
        self._ids = np.arange(size, dtype=np.int32)
        pointer = ctypes.cast(self._data.ctypes.data, lib.llama_token_data_p)
        self.array = lib.llama_token_data_array(data=pointer, size=0, selected=-1, sorted=False)
        """What `llama_sampler_apply` takes."""

    def fill(
        self, logits: "NDArray[np.float32]", allowed: "NDArray[np.bool_] | None" = None
    ) -> None:
        """Take every token, or those that are *allowed*; both of shape (vocabulary,)."""
        if allowed is None:
            ids = self._ids
        else:
            ids = self._ids[allowed]
            logits = logits[allowed]
        self._data["id"][: len(ids)] = ids
        self._data["logit"][: len(ids)] = logits
        self.array.size, self.array.selected, self.array.sorted = len(ids), -1, False

    @property
    def selected(self) -> int:
        """The token that the samplers drew."""
        return int(self._data["id"][self.array.selected])

    @property
    def kept(self) -> "tuple[NDArray[np.int32], NDArray[np.float32]]":
        """The tokens that the samplers left, and their logits; they change with the next draw."""
        rest = self._data[: self.array.size]
        return rest["id"], rest["logit"]


def read_mask(mask: bytes, size: int) -> "NDArray[np.bool_]":
    """Return the mask of a constraint as one truth value a token; shape (*size*,)."""
    import numpy as np

    bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
    return bits[:size].view(np.bool_)
