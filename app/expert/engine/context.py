"""A context: the KV cache of several sequences, and the step that computes with it."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from expert.closing import Closing
from expert.engine import library
from expert.engine.batch import Batch
from expert.engine.hardware import threads_for
from expert.engine.memory import weight_bytes
from expert.engine.model import Model
from expert.engine.options import ContextOptions, RopeScaling
from expert.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GGML_TYPES = {"f32": 0, "f16": 1, "q8_0": 8, "q4_0": 2}
_FLASH = {"auto": -1, "off": 0, "on": 1}
_ROPE_KINDS = {"model": -1, "none": 0, "linear": 1, "yarn": 2}


class Cancelled(Exception):
    """A step was stopped on request; the KV cache holds what was there before it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The next tokens of one sequence, as a part of a step."""

    sequence: int
    position: int
    """Where the first of *tokens* stands in its sequence."""
    tokens: Sequence[int]
    """Token -1 - i, only before all others, stands for row i of the attached soft prompt."""
    outputs: int = 0
    """How many of the last tokens need logits."""

    @property
    def soft(self) -> int:
        """How many of the first tokens are rows of a soft prompt."""
        return sum(1 for _ in takewhile(lambda token: token < 0, self.tokens))

    def after(self, count: int) -> "Slice":
        """Return the slice without its first *count* tokens."""
        return replace(self, position=self.position + count, tokens=self.tokens[count:])


@dataclass(frozen=True, slots=True)
class Attached:
    """Adapters as a context takes them: loaded, and what adds up added up."""

    loras: tuple[tuple[Any, float], ...] = ()
    """llama.cpp's pointers with their scales."""
    prompt: Any = None
    """A soft prompt: input embeddings, an F32 array (rows, width)."""
    control: Any = None
    """What is added to the output of each layer after the first: an F32 array (layers, width)."""


class Context(Closing):
    """One KV cache on a model. Not safe for several threads, except for `cancel`.

    Raises:
        ResourceError: llama.cpp could not allocate it.
    """

    def __init__(self, model: Model, options: ContextOptions) -> None:
        self.model = model
        self.options = options = options.settled(on_cpu=model.gpu_layers == 0)
        self._lib = model.lib
        self._abort = ctypes.create_string_buffer(2)
        self._handle = self._open(options)
        self._batch = Batch(self._lib, options.batch)
        self._attached = Attached()
        self._views: dict[int, NDArray[np.float32]] = {}
        self.size: int = self._lib.llama_n_ctx_seq(self._handle) // options.beams
        """Tokens one sequence can hold."""
        model.adopt(self)

    def _open(self, options: ContextOptions) -> Any:
        lib = self._lib
        params = lib.llama_context_default_params()
        params.n_ctx = options.size
        params.n_seq_max = options.sequences * options.stride
        params.n_batch = options.batch
        params.n_ubatch = min(options.micro_batch, options.batch)
        params.n_outputs_max = min(options.outputs_max, options.batch)
        threads = options.threads or threads_for(weight_bytes(self.model.header))
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = _GGML_TYPES[options.kv_type]
        params.flash_attn_type = _FLASH[options.flash_attention]
        params.kv_unified = options.beams > 1  # so that hypotheses share what they have in common
        params.no_perf = True
        _set_rope(params, options.rope)
        # llama.cpp asks this callback after every operation, too often for Python. The C
        # function strlen answers "stop" exactly when the flag's first byte is not zero.
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, lib.ggml_abort_callback)
        params.abort_callback = self._strlen = strlen
        params.abort_callback_data = ctypes.cast(self._abort, ctypes.c_void_p)
        library.recent_errors()
        handle = lib.llama_init_from_model(self.model.handle, params)
        if not handle:
            raise ResourceError(
                f"A context of {options.size} tokens could not be opened.",
                library.recent_errors() or "llama.cpp gave no reason.",
                "Ask for a smaller context, or a smaller KV type such as q8_0.",
            )
        return handle

    @property
    def handle(self) -> Any:
        if not self._handle:
            raise UsageError("The context is closed.", "", "Open a new one.")
        return self._handle

    def step(self, slices: Sequence[Slice]) -> list[range]:
        """Compute one batch of sequences and return, for each slice, the rows of its logits.

        Raises:
            Cancelled: `cancel` was called; every sequence is as it was before.
            ResourceError: the KV cache is full, or the computation failed.
            UsageError: the batch is larger than the context was opened for.
        """
        handle = self.handle
        self._check(slices)
        status, rest = 0, slices
        if self._attached.prompt is not None and any(part.soft for part in slices):
            status = self._decode_rows(slices)
            rest = [part.after(part.soft) for part in slices]
        rows = self._fill(rest)
        if status == 0 and len(self._batch):
            status = self._lib.llama_decode(handle, self._batch.raw)
        if status != 0:
            for part in slices:
                self.forget(part.sequence, part.position)
            self._fail(status)
        return rows

    def _check(self, slices: Sequence[Slice]) -> None:
        total = outputs = 0
        for part in slices:
            total += len(part.tokens)
            outputs += min(part.outputs, len(part.tokens))
        if not 0 < total <= self.options.batch or outputs > self.options.outputs_max:
            raise UsageError(
                f"A step of {total} tokens with {outputs} outputs is impossible here.",
                f"This context takes 1 to {self.options.batch} tokens and at most "
                f"{self.options.outputs_max} outputs a step.",
                "Split the step, or open the context for more.",
            )

    def _decode_rows(self, slices: Sequence[Slice]) -> int:
        """Compute the soft prompt's rows that the slices begin with: llama.cpp wants them apart."""
        prompt = self._attached.prompt
        batch = Batch(self._lib, sum(part.soft for part in slices), prompt.shape[1])
        for part in slices:
            if part.soft:
                first = -1 - part.tokens[0]
                batch.add_rows(prompt[first : first + part.soft], part.position, part.sequence)
        return int(self._lib.llama_decode(self.handle, batch.raw))

    def _fill(self, slices: Sequence[Slice]) -> list[range]:
        batch = self._batch
        batch.clear()
        return [
            batch.add(part.tokens, part.position, part.sequence, part.outputs) for part in slices
        ]

    def _fail(self, status: int) -> None:
        if status == 2:
            raise Cancelled
        reason = library.recent_errors()
        if status == 1:
            raise ResourceError(
                "The context is full.",
                reason or "No KV cells are left for the next tokens.",
                "Ask for a larger context or a shorter conversation.",
            )
        raise ResourceError(
            "llama.cpp failed to compute a step.",
            reason or f"It returned status {status}.",
            "Run `expert doctor`; if memory is short, use a smaller context.",
        )

    def logits(self, row: int) -> "NDArray[np.float32]":
        """Return the logits of a *row* that the last step returned, in llama.cpp's own memory.

        They are valid until the next step; shape (vocabulary,).
        """
        import numpy as np  # takes 0.1 s: only where the numbers themselves are wanted

        pointer = self._lib.llama_get_logits_ith(self.handle, row)
        address = ctypes.addressof(pointer.contents)
        view = self._views.get(address)
        if view is None:
            cells = (ctypes.c_float * self.model.vocabulary.size).from_address(address)
            view = self._views[address] = np.ctypeslib.as_array(cells)
        return view

    def attach(self, adapters: Attached) -> None:
        """Make *adapters*, and no others, act on every sequence from the next step on.

        KV computed before stays as it was: what may be reused is the ledger's business.
        """
        lib, count = self._lib, len(adapters.loras)
        handles = (lib.llama_adapter_lora_p_ctypes * count)(*(each for each, _ in adapters.loras))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters.loras))
        lib.llama_set_adapters_lora(self.handle, handles if count else None, count, scales)
        self._steer(adapters.control)
        self._attached = adapters

    def _steer(self, control: Any) -> None:
        """Add *control* to the layers' outputs; to tell llama.cpp the same again costs a switch."""
        before = self._attached.control
        if control is None:
            if before is not None:
                self._lib.llama_set_adapter_cvec(self.handle, None, 0, 0, 0, 0)
        elif before is None or control.tobytes() != before.tobytes():
            layers, width = control.shape
            data = control.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._lib.llama_set_adapter_cvec(self.handle, data, control.size, width, 1, layers)

    def forget(self, sequence: int, start: int, end: int = -1) -> None:
        """Drop the KV of a sequence's positions from *start* up to *end* (-1: all that follow)."""
        self._lib.llama_memory_seq_rm(self._memory(), sequence, start, end)

    def copy(self, source: int, target: int) -> None:
        """Let the sequence *target* share the KV of *source*; only with `beams` is that free."""
        self.forget(target, 0)
        self._lib.llama_memory_seq_cp(self._memory(), source, target, -1, -1)

    def shift(self, sequence: int, start: int, delta: int) -> None:
        """Move the positions of a sequence from *start* on by *delta*."""
        self._lib.llama_memory_seq_add(self._memory(), sequence, start, -1, delta)

    def copy_out(self, sequence: int) -> bytes:
        """Return llama.cpp's own form of a sequence's KV cache."""
        size = self._lib.llama_state_seq_get_size(self.handle, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = self._lib.llama_state_seq_get_data(self.handle, buffer, size, sequence)
        return bytes(buffer[:written])

    def copy_in(self, sequence: int, blob: bytes) -> None:
        """Replace a sequence's KV cache by one that `copy_out` returned under equal options.

        Raises:
            ResourceError: llama.cpp does not take it.
        """
        buffer = (ctypes.c_uint8 * len(blob)).from_buffer_copy(blob)
        if not self._lib.llama_state_seq_set_data(self.handle, buffer, len(blob), sequence):
            self.forget(sequence, 0)
            raise ResourceError(
                "A saved KV cache could not be restored.",
                library.recent_errors() or "llama.cpp gave no reason.",
                "Let the conversation be computed again.",
            )

    def _memory(self) -> Any:
        return self._lib.llama_get_memory(self.handle)

    def cancel(self) -> None:
        """Stop the running step, from any thread; it raises `Cancelled` at its next operation."""
        self._abort[0] = b"\x01"

    def resume(self) -> None:
        """Allow steps again after `cancel`."""
        self._abort[0] = b"\x00"

    def close(self) -> None:
        """Free the KV cache and the compute buffers."""
        if self._handle:
            self._lib.llama_free(self._handle)
            self._handle = None


def _set_rope(params: Any, rope: RopeScaling) -> None:
    params.rope_scaling_type = _ROPE_KINDS[rope.kind]
    if rope.factor is not None:
        params.rope_freq_scale = 1.0 / rope.factor
    settings = {
        "rope_freq_base": rope.base,
        "yarn_orig_ctx": rope.original_context,
        "yarn_ext_factor": rope.extrapolation,
        "yarn_attn_factor": rope.attention,
        "yarn_beta_fast": rope.beta_fast,
        "yarn_beta_slow": rope.beta_slow,
    }
    for name, value in settings.items():
        if value is not None:
            setattr(params, name, value)
