"""Options about models, adapters, measuring, grammars and routes, given to the real program."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from expert.package.container import inspect
from expert.package.keys import PrivateKey, write_key_pair
from expert_converters.gguf_file import inspect as read_gguf
from models.conftest import FILE, QWEN
from models.conftest import hub as hub
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.hub import FIRST, SECOND, Hub
from support.low_rank_adapters import write_synthetic
from support.packages import make_package
from support.peft_kinds import peft_folder
from support.program import Outcome, expert, in_terminal

NAME = "qwen3-0.6b"
REPOSITORY = Path(__file__).parents[2]
LABELLED = "tests/data/routing/prompts.jsonl"


def good(*arguments: str | Path) -> Outcome:
    """Run the program, which must succeed."""
    done = expert(*arguments)
    assert done.code == 0, (arguments, done.message)
    return done


def record(*arguments: str | Path) -> Any:
    """Return the JSON that it prints."""
    return json.loads(good(*arguments).out)


def types(path: Path) -> set[str]:
    """Return the types of the matrices in a GGUF file."""
    return {one.type.name for one in read_gguf(path).tensors.values() if len(one.shape) > 1}


def test_models_of_your_own(tiny_path: Path, home: Path) -> None:
    """Where one is, that it is used now, and that removing it needs a word more."""
    place = home / "data" / "models" / "mine.gguf"
    place.parent.mkdir(parents=True)
    shutil.copyfile(tiny_path, place)
    assert record("model", "path", "mine", "--json") == {"path": str(place)}
    used = record("model", "use", "mine", "--json")
    assert used["model"] == "mine"
    assert Path(used["saved"]).is_file()
    refused = expert("model", "rm", "mine", "--json")
    assert json.loads(refused.err)["code"] == 2
    size = place.stat().st_size
    assert record("model", "rm", "mine", "--yes", "--json") == {"removed": "mine", "bytes": size}
    assert not place.exists()


def test_the_newest_model(hub: Hub, tiny_path: Path) -> None:
    """What was pulled before stays the one, until --newest asks for another."""
    assert record("model", "pull", NAME, "--json")["commit"] == FIRST
    hub.add(QWEN, {FILE: tiny_path.read_bytes() + bytes(32)}, SECOND)
    assert record("model", "pull", NAME, "--json")["commit"] == FIRST
    assert record("model", "pull", NAME, "--newest", "--json")["commit"] == SECOND


@pytest.mark.slow
def test_converting(tiny_checkpoint: Path, tiny_path: Path, tmp_path: Path) -> None:
    """--quiet is quiet on a terminal too; a type and a rank are those that were asked for."""
    model, lora, back = tmp_path / "model.gguf", tmp_path / "lora.gguf", tmp_path / "back"
    folder = peft_adapter(tmp_path / "lora", Qwen3Shape(), AdapterShape(rank=32, alpha=32))
    for command in (
        ("convert", "model", tiny_checkpoint, "-o", model, "--quiet"),
        ("convert", "adapter", folder, "--base", tiny_path, "-o", lora, "--type", "f16", "--quiet"),
        ("convert", "peft", lora, "--base", tiny_path, "-o", back, "--quiet"),
    ):
        done = in_terminal(command)
        assert (done.code, done.text.strip()) == (0, str(command[command.index("-o") + 1]))
    assert types(lora) == {"F16"}
    peft = pytest.importorskip("peft", reason="needs the extra `train`")
    config = peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[])
    ia3 = peft_folder(tiny_checkpoint, tmp_path / "ia3", config)
    options = ("--base", tiny_path, "--type", "f32")
    whole = good("convert", "adapter", ia3, *options, "-o", tmp_path / "whole.gguf")
    assert "whole model" in whole.message
    low = good("convert", "adapter", ia3, *options, "-o", tmp_path / "low.gguf", "--rank", "64")
    assert "whole model" not in low.message
    assert ranks(tmp_path / "low.gguf") == {64}


def ranks(path: Path) -> set[int]:
    """Return the ranks of the updates in an adapter."""
    return {
        tensor.shape[-1]
        for name, tensor in read_gguf(path).tensors.items()
        if name.endswith("lora_a")
    }


def test_types_of_a_fused_adapter_and_a_compressed_package(tmp_path: Path) -> None:
    """The fused file has the type; the package has the version and the signature."""
    adapter, fused = write_synthetic(tmp_path / "one.gguf"), tmp_path / "fused.gguf"
    good("fuse", adapter, f"{adapter}:0.5", "-o", fused, "--rank", "32", "--type", "f16")
    assert types(fused) == {"F16"}
    key = PrivateKey.generate()
    write_key_pair(key, tmp_path / "key")
    package = make_package(tmp_path, contents=adapter.read_bytes())
    small = tmp_path / "small.expert"
    good(
        "compress", package, "-o", small, "--method", "q4_0", "--version", "2.0.0",
        "-k", tmp_path / "key",
    )  # fmt: skip
    found = inspect(small)
    assert found.signer is not None and found.signer.raw == key.public.raw
    assert found.manifest.version == "2.0.0"


def test_measuring(tiny_path: Path) -> None:
    """On the CPU by order, and for an adapter of a rank."""
    result = record(
        "bench", tiny_path, "--prompt", "16", "--decode", "2", "--repeat", "1", "--threads", "1",
        "--gpu-layers", "0", "--json",
    )  # fmt: skip
    assert len(result["decode_runs"]) == 1
    assert (
        record("bench", "package", tiny_path, "--rank", "64", "--repeat", "1", "--json")["rank"]
        == 64
    )


def test_grammars_as_json(tmp_path: Path) -> None:
    """What can be held to, and whether a text does."""
    schema = tmp_path / "numbers.json"
    schema.write_text('{"type": "array", "items": {"type": "integer"}, "uniqueItems": true}')
    checked = record("grammar", "check", schema, "--json")
    assert (checked["usable"], checked["checked"]) == (True, True)
    assert record("grammar", "test", schema, "[1, 2]", "--json")["matches"] is True
    wrong = expert("grammar", "test", schema, "[1, 1]", "--json")
    assert (wrong.code, json.loads(wrong.err)["code"]) == (6, 6)
    gbnf = record("grammar", "from-schema", '{"type": "boolean"}', "--json")["gbnf"]
    assert "root" in gbnf and "true" in gbnf


@pytest.fixture(name="experts")
def two_experts(tmp_path: Path) -> tuple[str, str]:
    """Return the option that names two experts with few examples."""
    for name in ("regex", "sql"):
        shipped = REPOSITORY / "experts" / name
        folder = tmp_path / "experts" / name
        folder.mkdir(parents=True)
        shutil.copyfile(shipped / "manifest.toml", folder / "manifest.toml")
        lines = (shipped / "routing.txt").read_text(encoding="utf-8").splitlines()
        (folder / "routing.txt").write_text("\n".join(lines[:6]), encoding="utf-8")
    return ("--experts", str(tmp_path / "experts"))


@pytest.fixture(name="few")
def few_prompts(tmp_path: Path) -> Path:
    """Return a few prompts for these experts, and as many for none, of both halves."""
    lines = (REPOSITORY / LABELLED).read_text(encoding="utf-8").splitlines()
    wanted = {"regex": 8, "sql": 8, "": 8}
    path = tmp_path / "few.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for line in lines[::3]:
            names = json.loads(line)["experts"]
            name = names[0] if names else ""
            if len(names) < 2 and wanted.get(name, 0):
                wanted[name] -= 1
                print(line, file=out)
    return path


@pytest.mark.slow
def test_routing_by_meaning(experts: tuple[str, str], few: Path, minilm: Path) -> None:
    """With embeddings a stage more is measured and fitted; a half is only its prompts."""
    counts = {
        half: record("router", "eval", few, *experts, "--half", half, "--json")["prompts"]
        for half in ("development", "heldout", "all")
    }
    assert counts["development"] + counts["heldout"] == counts["all"] > counts["heldout"] > 0
    dense = ("--embedding", minilm)
    stages = record("router", "eval", few, *experts, *dense, "--ablation", "--json")
    assert set(stages) == {"heuristics", "ngrams", "both", "dense", "all"}
    weights = few.with_name("weights.json")
    fitted = record("router", "fit", few, *experts, *dense, "-o", weights, "--json")
    assert fitted["prompts"] == counts["development"]
    assert set(stages) <= set(fitted["stages"])
    assert set(json.loads(weights.read_text())) == set(fitted["stages"])
    asked = "Write a regular expression for lines that end in a vowel"
    route = record("route", *experts, *dense, "--json", asked)
    assert route["choices"] != record("route", *experts, "--json", asked)["choices"]
