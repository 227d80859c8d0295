"""What a model and a context will take, estimated from the file's header before allocating."""

from dataclasses import dataclass

from expert.engine.hardware import available_memory
from expert.engine.options import ContextOptions
from expert.errors import ResourceError
from expert.types import KVType
from expert_converters.gguf_file import GGUFFile

# Bytes of one value in the KV cache: a q8_0 block holds 32 values in 34 bytes, q4_0 in 18.
_KV_BYTES: dict[KVType, float] = {"f32": 4, "f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}
# Types llama.cpp's CPU back end may re-order into a buffer of its own (ggml-cpu/repack.cpp).
_REPACKED = frozenset({"Q4_0", "Q4_K", "Q2_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL"})
_CELL_STEP = 256  # llama.cpp rounds the number of KV cells up to this


@dataclass(frozen=True, slots=True)
class Memory:
    """An estimate, in bytes."""

    weights: int
    repacked: int
    """At most this much of the weights is copied into another order."""
    kv_cache: int
    compute: int

    @property
    def total(self) -> int:
        """All of it: mapped weights count too, since decoding reads every one of them."""
        return self.weights + self.repacked + self.kv_cache + self.compute

    def describe(self) -> str:
        """Return the parts in words, in MB."""
        parts = (
            ("weights", self.weights),
            ("re-ordered weights", self.repacked),
            ("KV cache", self.kv_cache),
            ("compute", self.compute),
        )
        return ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in parts if size)


def estimate(header: GGUFFile, options: ContextOptions) -> Memory:
    """Estimate the memory of a context on a model file.

    Where flash attention is left open, the scores it saves on a device are counted too.
    """
    options = options.settled(on_cpu=True)
    repacked = sum(
        tensor.nbytes
        for tensor in header.tensors.values()
        if tensor.type.name in _REPACKED
        and len(tensor.shape) == 2
        and not tensor.name.startswith("token_embd")
    )
    compute = _compute_bytes(header, options)
    return Memory(weight_bytes(header), repacked, kv_bytes(header, options), compute)


def weight_bytes(header: GGUFFile) -> int:
    """Return the size of the weights, as the file stores them."""
    return sum(tensor.nbytes for tensor in header.tensors.values())


def kv_bytes(header: GGUFFile, options: ContextOptions) -> int:
    """Return the size of the KV cache: keys and values of every layer and cell."""
    shape = _Shape.of(header)
    cells = -(-options.size // _CELL_STEP) * _CELL_STEP
    values = shape.layers * cells * shape.kv_heads * (shape.key_size + shape.value_size)
    return int(values * _KV_BYTES[options.kv_type])


def _compute_bytes(header: GGUFFile, options: ContextOptions) -> int:
    """Estimate the largest set of activations alive at once, for one micro-batch in f32."""
    shape = _Shape.of(header)
    rows = min(options.micro_batch, options.batch)
    activations = rows * (3 * shape.feed_forward + 6 * shape.embedding) * 4
    scores = 0
    if options.flash_attention == "off":
        scores = 2 * shape.heads * rows * options.size * 4
    mask = rows * options.size * 6
    logits = 2 * options.outputs_max * shape.vocabulary * 4
    return activations + scores + mask + logits


@dataclass(frozen=True, slots=True)
class _Shape:
    """The hyperparameters that memory depends on."""

    layers: int
    embedding: int
    feed_forward: int
    heads: int
    kv_heads: int
    key_size: int
    value_size: int
    vocabulary: int

    @classmethod
    def of(cls, header: GGUFFile) -> "_Shape":
        architecture = header.metadata["general.architecture"]

        def number(key: str, default: int | None = None) -> int:
            value = header.metadata.get(f"{architecture}.{key}", default)
            assert isinstance(value, int), key  # the header's checks have made sure of it
            return value

        heads = number("attention.head_count")
        head_size = number("embedding_length") // heads
        return cls(
            number("block_count"),
            number("embedding_length"),
            number("feed_forward_length"),
            heads,
            number("attention.head_count_kv", heads),
            number("attention.key_length", head_size),
            number("attention.value_length", head_size),
            header.tensors["token_embd.weight"].shape[1],
        )


def check_memory(header: GGUFFile, options: ContextOptions) -> Memory:
    """Return the estimate, after making sure that it fits into this machine's free memory.

    Raises:
        ResourceError: it does not fit.
    """
    needed = estimate(header, options)
    free = available_memory()
    if free and needed.total > free:
        raise ResourceError(
            f"{needed.total / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free.",
            f"{needed.describe()}.",
            "Close other programs, or choose a smaller model, a smaller context "
            "or a smaller KV type (q8_0, q4_0).",
        )
    return needed
