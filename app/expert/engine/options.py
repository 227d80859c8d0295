"""How to load a model and open a context: small frozen records, with the machine's defaults."""

from dataclasses import dataclass, replace
from typing import Literal

from expert.errors import UsageError
from expert.types import FlashAttention, KVType

_QUANTISED: tuple[KVType, ...] = ("q8_0", "q4_0")
_CONVERSATION = range(1025, 8193)  # tokens of a context in which plain attention pays on a CPU
_PLAIN_MICRO_BATCH = 128  # plain attention holds a score for each of these, cell and head


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How the weights come into memory."""

    gpu_layers: int | None = None
    """Layers to place on graphics devices; None: all that the build and machine allow."""
    mmap: bool = True
    """Map the file instead of copying it, so that several processes share it."""
    lock: bool = False
    """Keep the weights from being swapped out."""


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How positions beyond the trained context are squeezed into it.

    Sources: linear (Chen et al. 2023, arXiv:2306.15595), YaRN (Peng et al. 2023,
    arXiv:2309.00071). None takes the model file's own value.
    """

    kind: Literal["model", "none", "linear", "yarn"] = "model"
    factor: float | None = None
    """How many times longer the context becomes."""
    base: float | None = None
    """The rotation's base frequency (theta)."""
    original_context: int | None = None
    """YaRN: the context the model was trained with."""
    extrapolation: float | None = None
    """YaRN: mix of extrapolation (1) and interpolation (0)."""
    attention: float | None = None
    """YaRN: scale of the attention's magnitude."""
    beta_fast: float | None = None
    beta_slow: float | None = None

    def __post_init__(self) -> None:
        if self.factor is not None and self.factor <= 0:
            raise UsageError(
                f"A RoPE factor of {self.factor} is impossible.",
                "It says how many times longer the context becomes.",
                "Give a number above 0, for example 4.",
            )


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """The size and form of one context."""

    size: int = 4096
    """Tokens of all sequences together."""
    sequences: int = 1
    beams: int = 1
    """Most hypotheses of a beam search on each sequence; *size* is to hold all of them."""
    batch: int = 2048
    """Most tokens of one step."""
    micro_batch: int = 512
    """Most tokens computed at once; sets the size of the compute buffers."""
    outputs: int | None = None
    """Most tokens of one step whose logits are wanted; None: one a sequence."""
    threads: int | None = None
    """None: one a physical core, one in all for a small model."""
    kv_type: KVType = "f16"
    flash_attention: FlashAttention = "auto"
    rope: RopeScaling = RopeScaling()

    def __post_init__(self) -> None:
        if min(self.size, self.sequences, self.beams, self.batch, self.micro_batch) < 1:
            raise UsageError(
                "A context needs room for at least one token.",
                f"It was asked for {self.size} tokens in {self.sequences} sequences.",
                "Give a context of, for example, 4096 tokens.",
            )
        if self.kv_type in _QUANTISED and self.flash_attention == "off":
            raise UsageError(
                f"A {self.kv_type} KV cache needs flash attention.",
                "llama.cpp can read a quantised V cache only there.",
                "Leave flash attention on auto, or use an f16 KV cache.",
            )

    def settled(self, *, on_cpu: bool) -> "ContextOptions":
        """Return the same with flash attention decided, if that was left to us.

        llama.cpp's flash attention on a CPU is made for many tokens at once. After 2,000 tokens
        of history it takes 1.6 times as long for three tokens and 1.2 times for one, and reads a
        prompt of 2,000 in 0.9 of the time (0.6B parameters, two cores). So conversations do
        without; short contexts see prompts above all, and in long ones the scores take too much
        memory.
        """
        plain = on_cpu and self.flash_attention == "auto" and self.size in _CONVERSATION
        if not plain or self.kv_type in _QUANTISED:
            return self
        micro_batch = min(self.micro_batch, _PLAIN_MICRO_BATCH)
        return replace(self, flash_attention="off", micro_batch=micro_batch)

    @property
    def outputs_max(self) -> int:
        return self.outputs if self.outputs is not None else self.sequences * self.stride

    @property
    def stride(self) -> int:
        """How many of llama.cpp's sequences one of ours takes: itself and its hypotheses."""
        return 1 if self.beams == 1 else 1 + self.beams
