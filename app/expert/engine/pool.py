"""The adapters in memory: loaded once a content, the least recently used freed first."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expert.engine import library
from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import AdapterSet
from expert.engine.context import Attached
from expert.engine.hardware import available_memory
from expert.engine.model import Model
from expert.errors import ResourceError, VerificationError
from expert_converters.errors import ConversionError

_SHARE = 4  # of the memory that is free when the pool is made, adapters may take one part in this
_NO_PRIORITY = 0


@dataclass(slots=True)
class _Resident:
    """A loaded adapter and its rank for staying."""

    file: AdapterFile
    handle: Any
    """llama.cpp's pointer to a LoRA; the numbers themselves of other kinds, as an array."""
    priority: int = _NO_PRIORITY


class AdapterPool:
    """Loaded adapters of one model, under a budget of bytes.

    Everything here runs on the engine's thread: llama.cpp's adapter list belongs to the model and
    is not locked. Nothing is freed while it is attached or pinned.
    """

    def __init__(self, model: Model, budget: int | None = None) -> None:
        """*budget* is in bytes; None: a quarter of the memory free now."""
        self._model = model
        self.budget = budget if budget is not None else max(1, available_memory() // _SHARE)
        self._residents: OrderedDict[str, _Resident] = OrderedDict()
        self._pins: dict[str, int] = {}
        self._attached: AdapterSet = AdapterSet()

    @property
    def resident(self) -> list[AdapterFile]:
        """What is loaded, the least recently used first."""
        return [resident.file for resident in self._residents.values()]

    @property
    def bytes(self) -> int:
        """Memory of everything loaded."""
        return sum(file.bytes for file in self.resident)

    def load(self, file: AdapterFile, priority: int = _NO_PRIORITY) -> Any:
        """Return what an adapter is in memory, loading it and making room first if need be.

        Raises:
            ResourceError: it does not fit beside what may not be freed, or llama.cpp refuses it.
        """
        found = self._residents.get(file.digest)
        if found is None:
            self._make_room(file)
            found = _Resident(file, self._open(file))
            self._residents[file.digest] = found
        found.priority = max(found.priority, priority)
        self._residents.move_to_end(file.digest)
        return found.handle

    def holds(self, adapters: AdapterSet) -> bool:
        """Tell whether every member of a set is loaded."""
        return all(file.digest in self._residents for file, _ in adapters.parts)

    def attached(self, adapters: AdapterSet) -> Attached:
        """Return a set as a context takes it; its members stay loaded until the next call.

        Raises:
            ResourceError: a member cannot be loaded.
        """
        self._attached = adapters
        loaded = [(file.kind, self.load(file), scale) for file, scale in adapters.parts]
        prompts = [rows for kind, rows, _ in loaded if kind == "soft-prompt"]
        vectors = [(rows, scale) for kind, rows, scale in loaded if kind == "control-vector"]
        return Attached(
            tuple((handle, scale) for kind, handle, scale in loaded if kind == "lora"),
            prompts[0] if prompts else None,
            _weighted_sum(vectors) if vectors else None,
        )

    def pin(self, file: AdapterFile) -> None:
        """Keep an adapter loaded until `unpin` was called as often."""
        self.load(file)
        self._pins[file.digest] = self._pins.get(file.digest, 0) + 1

    def unpin(self, file: AdapterFile) -> None:
        """Take back one `pin`."""
        left = self._pins.get(file.digest, 0) - 1
        if left > 0:
            self._pins[file.digest] = left
        else:
            self._pins.pop(file.digest, None)

    def preload(self, files: Sequence[tuple[AdapterFile, int]]) -> None:
        """Load (adapter, priority) pairs while they fit, without pushing anything out."""
        for file, priority in sorted(files, key=lambda pair: -pair[1]):
            if file.digest in self._residents or self.bytes + file.bytes <= self.budget:
                self.load(file, priority)

    def _open(self, file: AdapterFile) -> Any:
        if file.kind != "lora":
            return _read_rows(file)
        library.recent_errors()
        handle = self._model.lib.llama_adapter_lora_init(
            self._model.handle, str(file.path).encode()
        )
        if not handle:  # a null pointer object; attaching it would crash the process
            raise ResourceError(
                f"llama.cpp could not load the adapter {file.path}.",
                library.recent_errors() or "It gave no reason.",
                "Free some memory; the file itself passed its checks.",
            )
        return handle

    def _make_room(self, file: AdapterFile) -> None:
        """Free what is least important and longest unused until *file* fits the budget."""
        while self.bytes + file.bytes > self.budget:
            victim = self._victim()
            if victim is None:
                raise ResourceError(
                    f"The adapter {file.name} does not fit.",
                    f"It takes {file.bytes / 1e6:.1f} MB; of {self.budget / 1e6:.1f} MB for "
                    f"adapters, {self.bytes / 1e6:.1f} MB are held by adapters in use.",
                    "Use fewer experts at once, or raise the budget.",
                )
            self._free(victim)

    def _victim(self) -> _Resident | None:
        in_use = {file.digest for file, _ in self._attached.parts} | set(self._pins)
        free = [item for item in self._residents.values() if item.file.digest not in in_use]
        return min(free, key=lambda item: item.priority, default=None)  # the first is the oldest

    def _free(self, resident: _Resident) -> None:
        del self._residents[resident.file.digest]
        if resident.file.kind == "lora":
            self._model.lib.llama_adapter_lora_free(resident.handle)

    def close(self) -> None:
        """Free every adapter; nothing may be attached any more."""
        for resident in list(self._residents.values()):
            self._free(resident)


def _read_rows(file: AdapterFile) -> Any:
    """Return the numbers of a soft prompt or a control vector: F32 (rows, width)."""
    from expert_converters.kinds.control_vector import read_control_vector
    from expert_converters.kinds.soft_prompt import read_soft_prompt

    try:
        return (read_soft_prompt if file.kind == "soft-prompt" else read_control_vector)(file.path)
    except ConversionError as error:  # it passed its checks, so it changed since
        raise VerificationError(error.what, error.why, error.fix) from error


def _weighted_sum(vectors: Sequence[tuple[Any, float]]) -> Any:
    """Return the sum of control vectors of unlike length at their scales, in F32."""
    import numpy as np

    longest = max((rows for rows, _ in vectors), key=len)
    total = np.zeros_like(longest)
    for rows, scale in vectors:
        total[: len(rows)] += np.float32(scale) * rows
    return total
