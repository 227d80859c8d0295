"""The at-rest form: what was written is read back, and every field is attacked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind

from expert_converters.compress.compress import CompressJob, compress
from expert_converters.compress.expand import expand
from expert_converters.compress.packed_file import KEY, is_packed, read_packed
from expert_converters.compress.packing import unpack
from expert_converters.errors import AdapterError, ConversionError
from expert_converters.gguf_file import inspect
from expert_converters.lora_file import open_lora
from support.hostile import mutants
from support.hostile_adapters import attacks
from support.hostile_models import Contents
from support.low_rank_adapters import Synthetic, write_synthetic

METHODS = ("q2", "q3", "osd")
BUDGET = 12_000


def packed(method: str, folder: Path, made: Synthetic | None = None) -> Path:
    """Return a made-up adapter in an at-rest form."""
    source = write_synthetic(folder / "source.gguf", made or Synthetic(invocation=(5, 6)))
    target = folder / f"{method}.gguf"
    compress(CompressJob(source, target, method, BUDGET))
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one file of each method."""
    folder = tmp_path_factory.mktemp("packed")
    return {method: packed(method, folder) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_file_says_all_there_is_to_know(files: dict[str, Path], method: str) -> None:
    """Base, invocation, matrices, loss and method; and that it is no adapter for llama.cpp."""
    assert is_packed(inspect(files[method]))
    found = read_packed(files[method])
    assert found.architecture == "qwen3"
    assert found.invocation == (5, 6)
    assert found.method == ("sparse" if method == "osd" else "codes")
    assert 0 < found.loss < 0.5
    assert {matrix.target for matrix in found.matrices} >= {"blk.0.attn_q.weight"}
    sizes = {matrix.target: (matrix.outputs, matrix.inputs) for matrix in found.matrices}
    assert sizes["blk.1.ffn_down.weight"] == (64, 96)
    for factors in unpack(found):
        assert (factors.u.shape[1], factors.v.shape[1]) == sizes[factors.target]


@pytest.mark.parametrize("method", METHODS)
def test_the_expanded_file_is_an_ordinary_adapter(
    files: dict[str, Path], method: str, tmp_path: Path
) -> None:
    """Q8_0, whole blocks of ranks, alpha equal to the rank, and the origin in its keys."""
    loss = expand(files[method], tmp_path / "expanded.gguf")
    header = inspect(tmp_path / "expanded.gguf")
    assert header.metadata["adapter.lora.alpha"] == 32.0
    assert header.metadata[f"{KEY}loss"] == pytest.approx(loss)
    lora = open_lora(tmp_path / "expanded.gguf")
    assert lora.invocation == (5, 6)
    for pair in lora.pairs.values():
        assert pair.rank == 32
        assert {pair.a.type.name, pair.b.type.name} == {"Q8_0"}


@pytest.mark.parametrize("method", METHODS)
def test_equal_sources_give_equal_bytes(
    files: dict[str, Path], method: str, tmp_path: Path
) -> None:
    """Nothing of chance or time gets in."""
    assert packed(method, tmp_path).read_bytes() == files[method].read_bytes()


def test_llama_cpp_refuses_the_form(files: dict[str, Path], tiny_path: Path) -> None:
    """A program that knows nothing of it must not attach it as something else."""
    from expert.engine.model import Model

    with Model(tiny_path) as model:
        path = str(files["q2"]).encode()
        assert not model.lib.llama_adapter_lora_init(model.handle, path)


Change = Callable[[Contents], None]


def put(key: str, value: object, kind: Kind, element: Kind | None = None) -> Change:
    """Return what replaces a key."""
    return lambda contents: contents.values.__setitem__(key, (value, kind, element))


def numbers(name: str, change: Callable[[list[int]], list[int]]) -> Change:
    """Return what changes a list of the matrices."""

    def apply(contents: Contents) -> None:
        value, kind, element = contents.values[KEY + name]
        contents.values[KEY + name] = (change(list(value)), kind, element)

    return apply


def tensor(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Return what changes a tensor's bytes."""

    def apply(contents: Contents) -> None:
        data, kind, _ = contents.tensors[f"packed.{name}"]
        data = change(data.copy())
        size = data.nbytes // (4 if kind is Type.F32 else 1)
        contents.tensors[f"packed.{name}"] = (data, kind, (size,))

    return apply


def poison(data: np.ndarray) -> np.ndarray:
    """Return the bytes with NaN as the first number."""
    data[:4] = np.frombuffer(np.float32(np.nan).tobytes(), np.uint8)
    return data


FAULTS: dict[str, Change] = {
    "a later version": put(KEY + "version", 2, Kind.UINT32),
    "another method": put(KEY + "method", "magic", Kind.STRING),
    "a loss above one": put(KEY + "loss", 1.5, Kind.FLOAT32),
    "a loss that is no number": put(KEY + "loss", float("nan"), Kind.FLOAT32),
    "the type of an adapter": put("general.type", "adapter", Kind.STRING),
    "a chat template": put("tokenizer.chat_template", "{{ x }}", Kind.STRING),
    "tokens as texts": put("adapter.alora.invocation_tokens", ["a"], Kind.ARRAY, Kind.STRING),
    "a target twice": numbers("targets", lambda names: [names[0], names[0], *names[2:]]),
    "a target without a name": numbers("targets", lambda names: ["", *names[1:]]),  # type: ignore[list-item]  # texts
    "a target with a long name": numbers("targets", lambda names: ["x" * 60, *names[1:]]),  # type: ignore[list-item]  # texts
    "a target with NUL": numbers("targets", lambda names: ["a\0b", *names[1:]]),  # type: ignore[list-item]  # texts
    "a target too few": numbers("targets", lambda names: names[1:]),
    "no rank": numbers("ranks", lambda ranks: [0, *ranks[1:]]),
    "a rank too high": numbers("ranks", lambda ranks: [ranks[0] + 1, *ranks[1:]]),
    "a huge rank": numbers("ranks", lambda ranks: [2**32 - 1, *ranks[1:]]),
    "a rank too low": numbers("ranks", lambda ranks: [ranks[0] - 1, *ranks[1:]]),
    "no inputs": numbers("inputs", lambda sizes: [0, *sizes[1:]]),
    "huge inputs": numbers("inputs", lambda sizes: [2**32 - 1, *sizes[1:]]),
    "large inputs": numbers("inputs", lambda sizes: [2**20, *sizes[1:]]),
    "large outputs": numbers("outputs", lambda sizes: [2**20, *sizes[1:]]),
    "a scale that is no number": lambda contents: _first_floats(contents),
}


def _first_floats(contents: Contents) -> None:
    name = "peaks" if "packed.peaks" in contents.tensors else "scales"
    tensor(name, poison)(contents)


CODE_FAULTS: dict[str, Change] = {
    "no codebook": lambda contents: _drop_levels(contents),
    "a codebook too short": put(KEY + "levels.2", [0.5], Kind.ARRAY, Kind.FLOAT32),
    "a codebook of texts": put(KEY + "levels.2", ["a"] * 4, Kind.ARRAY, Kind.STRING),
    "a codebook of another width": put(KEY + "levels.9", [0.5] * 512, Kind.ARRAY, Kind.FLOAT32),
    "a codebook of no width": put(KEY + "levels.", [0.5] * 4, Kind.ARRAY, Kind.FLOAT32),
    "huge levels": put(KEY + "levels.2", [3e38] * 4, Kind.ARRAY, Kind.FLOAT32),
    "infinite levels": put(KEY + "levels.2", [float("inf")] * 4, Kind.ARRAY, Kind.FLOAT32),
    "an unknown width": tensor("widths", lambda data: np.full_like(data, 7)),
    "a width of nothing": tensor("widths", np.zeros_like),
    "codes too short": tensor("codes", lambda data: data[:-1]),
    "codes too long": tensor("codes", lambda data: np.append(data, data[:4])),
    "scales too short": tensor("scales", lambda data: data[:-1]),
    "peaks too long": tensor("peaks", lambda data: np.append(data, data[:4])),
}
SPARSE_FAULTS: dict[str, Change] = {
    "masks too short": tensor("masks", lambda data: data[:-1]),
    "masks that call for more": tensor("masks", lambda data: np.full_like(data, 255)),
    "masks that call for less": tensor("masks", np.zeros_like),
    "values too long": tensor("values", lambda data: np.append(data, data[:1])),
}


def _drop_levels(contents: Contents) -> None:
    for key in [key for key in contents.values if ".levels." in key]:
        del contents.values[key]


def refused(source: Path, change: Change, folder: Path) -> AdapterError:
    """Return how a changed file is refused."""
    contents = Contents(source)
    change(contents)
    contents.write(folder / "bad.gguf")
    with pytest.raises(AdapterError) as caught:
        expand(folder / "bad.gguf", folder / "expanded.gguf")
    assert [path.name for path in folder.iterdir()] == ["bad.gguf"], "something was left behind"
    return caught.value


@pytest.mark.parametrize("method", ["q3", "osd"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_every_form_are_named(
    files: dict[str, Path], method: str, fault: str, tmp_path: Path
) -> None:
    """Each wrong field is refused with what is wrong and what to do, and leaves no file."""
    error = refused(files[method], FAULTS[fault], tmp_path)
    assert error.why and error.fix


@pytest.mark.parametrize("fault", CODE_FAULTS)
def test_faults_of_codes_are_named(files: dict[str, Path], fault: str, tmp_path: Path) -> None:
    """Codebooks, widths and streams that do not belong together."""
    assert refused(files["q2"], CODE_FAULTS[fault], tmp_path).why


@pytest.mark.parametrize("fault", SPARSE_FAULTS)
def test_faults_of_sparse_factors_are_named(
    files: dict[str, Path], fault: str, tmp_path: Path
) -> None:
    """Masks and values that do not belong together."""
    assert refused(files["osd"], SPARSE_FAULTS[fault], tmp_path).why


def survives(path: Path, target: Path) -> str:
    """Expand a file that may be anything; what comes out must be a sound adapter."""
    try:
        expand(path, target)
    except ConversionError as error:
        assert error.what and error.why and error.fix
        return "refused"
    for pair in open_lora(target).pairs.values():
        assert all(np.isfinite(values).all() for values in pair.values())
    return "expanded"


@pytest.mark.parametrize("method", ["q2", "osd"])
def test_every_field_attacked(files: dict[str, Path], method: str, tmp_path: Path) -> None:
    """Two hundred attacks on keys, tensors and raw numbers: refused, or harmless."""
    (tmp_path / "made").mkdir()
    found = [
        survives(attack.path, tmp_path / "out.gguf")
        for attack in attacks(files[method], tmp_path / "made")
    ]
    assert found.count("refused") >= 150


@pytest.mark.parametrize("method", ["q2", "osd"])
def test_random_damage(files: dict[str, Path], method: str, tmp_path: Path) -> None:
    """Three hundred damaged copies end in a typed error or a sound adapter."""
    found = []
    for _, data in mutants(files[method].read_bytes(), 300, seed=4):
        (tmp_path / "bad.gguf").write_bytes(data)
        found.append(survives(tmp_path / "bad.gguf", tmp_path / "out.gguf"))
    assert found.count("refused") >= 100
