"""Making an adapter smaller where memory is short: another rank, by SVD, stored as Q8_0."""

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.fit import ExpertForm
from expert.engine.header import recall, remember
from expert.errors import VerificationError
from expert.paths import user_paths
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.gguf_types import GGMLType

_STEP = 32  # ranks come in whole Q8_0 blocks


def forms_of(file: AdapterFile) -> list[ExpertForm]:
    """Return an adapter as it is, and its approximations by half the rank and so on down to 32."""
    forms = [ExpertForm(file.bytes)]
    if file.kind != "lora":
        return forms
    tensors = inspect(file.path).tensors
    pairs = [(tensors[name], tensors[name[:-1] + "b"]) for name in tensors if name[-1] == "a"]
    rank = -(-file.rank // _STEP) * _STEP
    while rank >= _STEP:
        size = 0
        for a, b in pairs:
            kept = min(rank, -(-b.shape[0] // _STEP) * _STEP)
            values = kept * (a.shape[0] * a.shape[1] // b.shape[0] + b.shape[1])
            size += values * GGMLType.Q8_0.type_size // GGMLType.Q8_0.block_size
        if size < forms[-1].size:
            forms.append(ExpertForm(size, rank))
        rank = rank // 2 // _STEP * _STEP
    return forms


def approximate(file: AdapterFile, rank: int, base: GGUFFile) -> tuple[AdapterFile, float]:
    """Return the best approximation of a LoRA at *rank*, and the share of its weight it keeps.

    It is made once and kept in the cache folder.

    Raises:
        VerificationError: the adapter cannot be read any more.
    """
    from expert_converters.fuse import FuseJob, fuse  # with numpy, 0.1 s that few answers need

    key = f"{file.digest[:24]}-{rank}"
    path = user_paths().cache / "reduced" / f"{key}.gguf"
    kept = recall(key, float)
    if kept is None or not path.is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        parts = [(file.path, 1.0)]
        try:
            job = FuseJob(parts, path, rank, "q8_0", digests=[file.digest])
            kept = fuse(job).energy
        except ConversionError as error:
            raise VerificationError(error.what, error.why, error.fix) from error
        remember(key, kept)
    return read_adapter(path, base), kept
