"""The verbs around asking: each run as the real program."""

import json
import tomllib
from pathlib import Path

import pytest

from expert._version import __version__
from expert.cli import VERBS
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.program import expert, in_terminal


def test_version() -> None:
    """Three ways to the same line."""
    for arguments in (["version"], ["--version"], ["-V"]):
        assert expert(*arguments).text == f"expert {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    """`--help` is on stdout, code 0, and names the verb."""
    done = expert(verb, "--help")
    assert done.code == 0
    assert f"usage: expert {verb}" in done.text


def test_help_lists_every_verb() -> None:
    """`expert --help` has each verb with its sentence."""
    text = expert("--help").text
    for verb, sentence in VERBS.items():
        assert verb in text
        assert sentence in text


def test_paths_are_those_of_the_home(home: Path) -> None:
    """As lines and as JSON."""
    rows = json.loads(expert("paths", "--json").out)
    assert rows["models"] == str(home / "data" / "models")
    assert rows["models"] in expert("paths").text


def test_models_are_listed_shown_and_chosen(tiny_path: Path, home: Path) -> None:
    """A file in the models folder has its name there; `use` makes it the default."""
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    (folder / "small.gguf").write_bytes(tiny_path.read_bytes())
    names = {row["name"] for row in json.loads(expert("model", "list", "--json").out)}
    assert "small" in names
    assert expert("model", "path", "small").text.strip() == str(folder / "small.gguf")
    shown = json.loads(expert("model", "show", "small", "--json").out)
    assert (shown["architecture"], shown["context"], shown["vocabulary"]) == ("qwen3", 512, 448)
    assert expert("model", "use", "small").code == 0
    assert tomllib.loads((home / "config" / "config.toml").read_text()) == {"model": "small"}
    assert "* small" in expert("model").text
    record = json.loads(expert("ask", "--json", "--max-tokens", "2", "Hi").out)
    assert record["model"]["name"] == "small"


def test_a_path_can_be_the_default_model(tiny_path: Path) -> None:
    """`use` remembers where the file is."""
    assert expert("model", "use", str(tiny_path)).code == 0
    assert expert("model", "path").text.strip() == str(tiny_path)


def test_unknown_and_broken_models(tmp_path: Path, tiny_path: Path) -> None:
    """Not found is 3 with a suggestion, broken is 5, and neither becomes the default."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(tiny_path.read_bytes()[:1000])
    for name, code in (("pockett", 3), (str(bad), 5)):
        for action in ("show", "use"):
            done = expert("model", action, name)
            assert done.code == code
            assert done.out == b""
    assert expert("model", "path", "pockett").code == 3


def test_doctor_passes_with_a_good_model(tiny_path: Path) -> None:
    """Every check is ok and an answer comes."""
    report = json.loads(expert("doctor", "--json", "-m", tiny_path).out)
    assert report["ok"]
    assert {"build", "devices", "threads", "memory", "model", "answer"} <= set(report["checks"])


def test_doctor_names_what_fails(tmp_path: Path) -> None:
    """A broken model fails its check and the answer, not the rest; the code is 1."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF")
    done = expert("doctor", "--json", "-m", bad)
    checks = json.loads(done.out)["checks"]
    assert done.code == 1
    assert [name for name, row in checks.items() if not row["ok"]] == ["model", "answer"]


def test_bench_measures(tiny_path: Path) -> None:
    """Table and JSON agree on what was measured."""
    options = ("bench", tiny_path, "--prompt", "32", "--decode", "8", "--repeat", "2")
    result = json.loads(expert(*options, "--json").out)
    assert len(result["prefill_runs"]) == 2
    for key in ("load_s", "prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s"):
        assert result[key] > 0
    assert "tokens/s" in expert(*options).text


@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
def test_a_checkpoint_converts_and_answers(
    tiny_checkpoint: Path, tmp_path: Path, kind: str
) -> None:
    """From a checkpoint folder to an answer, through our writer and llama.cpp's quantiser."""
    out = tmp_path / "out.gguf"
    done = expert("convert", "model", tiny_checkpoint, "-o", out, "--type", kind)
    assert (done.code, done.text.strip()) == (0, str(out))
    assert list(tmp_path.iterdir()) == [out]
    assert expert("ask", "-m", out, "--max-tokens", "2", "Hi").code == 0


def test_an_adapter_converts_and_back(tiny_path: Path, tmp_path: Path) -> None:
    """PEFT to GGUF to PEFT."""
    folder = peft_adapter(tmp_path / "lora", Qwen3Shape(), AdapterShape(rank=32, alpha=32))
    adapter = tmp_path / "lora.gguf"
    assert expert("convert", "adapter", folder, "--base", tiny_path, "-o", adapter).code == 0
    back = tmp_path / "back"
    assert expert("convert", "peft", adapter, "--base", tiny_path, "-o", back).code == 0
    assert (back / "adapter_config.json").is_file()


def test_conversion_errors_are_typed_and_leave_nothing(tmp_path: Path) -> None:
    """An empty folder is no checkpoint: code 5, no file written."""
    out = tmp_path / "out.gguf"
    empty = tmp_path / "empty"
    empty.mkdir()
    done = expert("convert", "model", empty, "-o", out)
    assert done.code == 5
    assert "Traceback" not in done.message
    assert list(tmp_path.iterdir()) == [empty]


def test_conversion_shows_progress_to_people_only(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A bar in a terminal, silence in a pipe."""
    command = ["convert", "model", str(tiny_checkpoint), "-o", str(tmp_path / "a.gguf")]
    assert "█" in in_terminal(command).text
    assert expert(*command).err == b""
