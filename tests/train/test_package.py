"""From a trained adapter to its package: manifest, card, folder, file, and what lies beside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.package.codec import decode_draft
from expert.package.container import inspect
from expert.package.keys import PrivateKey
from expert.package.validate import validate
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.package import (
    ABOUT,
    ADAPTER,
    CARD,
    ROUTING,
    adapted_layers,
    adapter_entry,
    convert,
    manifest,
    read_source,
    training_entry,
    write_folder,
)
from expert.train.adapter.publish import publish, read_card, read_record
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.record import versions
from expert.train.adapter.train import Trained, train_expert
from expert.train.adapter.trainee import TARGETS
from expert.train.evaluation.conditions import BASE, EXPERT, Score
from expert_converters.gguf_file import inspect as inspect_gguf
from support.experts import write_expert
from support.tiny_training import tiny_options


@pytest.fixture(scope="module")
def done(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a finished tiny run."""
    found = train_expert(tiny_options(tmp_path_factory.mktemp("done"), tiny_path, tokens=800))
    assert found is not None
    return found


def score(condition: str, value: float, gain: tuple[float, float] | None) -> Score:
    """Return a made-up score."""
    bounds = (max(0.0, value - 0.1), min(1.0, value + 0.1))
    return Score("snips", condition, 20, {"whole": value}, {"whole": bounds}, gain, [])


SCORES = [score(BASE, 0.2, None), score(EXPERT, 0.7, (0.3, 0.6))]


def spoil(name: str, text: str | None) -> Callable[[Path], None]:
    """Return what replaces a file of an expert's folder, or removes it."""

    def change(folder: Path) -> None:
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text, encoding="utf-8")

    return change


SPOILT: list[tuple[Callable[[Path], None], str]] = [
    (spoil(ABOUT, None), "is not described"),
    (spoil(ROUTING, None), "is not described"),
    (spoil(ABOUT, "name = "), "is not TOML"),
    (spoil(ROUTING, "\n" * 60), "holds 0 prompts"),
    (spoil(ROUTING, "a\n" * 49), "holds 49 prompts"),
    (spoil(ROUTING, "a\n" * 201), "holds 201 prompts"),
    (spoil(ABOUT, '[grammar]\nfile = "none.gbnf"\n'), "none.gbnf is not there"),
]


@pytest.mark.parametrize(("change", "why"), SPOILT)
def test_what_people_write_is_checked(
    tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    """A file that is missing or wrong is named, whichever it is."""
    write_expert(tmp_path)
    change(tmp_path)
    with pytest.raises(UsageError, match=why):
        read_source(tmp_path)


def test_prompts_may_have_several_lines(tmp_path: Path) -> None:
    """A line of the file is a prompt, in which \\n is a new line; blank lines are none."""
    write_expert(tmp_path)
    text = (tmp_path / ROUTING).read_text(encoding="utf-8") + "\n  \nt(a)\\n\\nhow many?\n"
    (tmp_path / ROUTING).write_text(text, encoding="utf-8")
    routing = read_source(tmp_path).routing
    assert len(routing) == 51 and routing[-1] == "t(a)\n\nhow many?"


def test_a_grammar_is_found_beside_the_manifest(tmp_path: Path) -> None:
    """By the name that the manifest gives."""
    write_expert(tmp_path)
    about = (tmp_path / ABOUT).read_text(encoding="utf-8")
    grammar = '\n[grammar]\nformat = "gbnf"\nfile = "a.gbnf"\n'
    (tmp_path / ABOUT).write_text(about + grammar, encoding="utf-8")
    (tmp_path / "a.gbnf").write_text('root ::= "a"\n', encoding="utf-8")
    assert read_source(tmp_path).grammar == tmp_path / "a.gbnf"


def test_the_adapters_entry_says_what_the_file_holds(done: Trained) -> None:
    """Rank, alpha and targets are read from the GGUF; an activated LoRA names its tokens."""
    entry = adapter_entry(done.recipe.adapter, done.base, done.report)
    assert (entry["rank"], entry["alpha"], entry["file"]) == (32, 32.0, ADAPTER)
    assert entry["targets"] == list(TARGETS) == adapted_layers(inspect_gguf(done.report.path))
    assert entry["activation"] == "prompt" and "invocation_tokens" not in entry
    late = adapter_entry(Adapter(activation="answer"), done.base, done.report)
    assert late["invocation_tokens"] == list(done.base.invocation)
    soft = adapter_entry(Adapter(), done.base, replace(done.report, form="soft-prompt"))
    assert soft == {"soft_prompt": "prompt.gguf"}


def test_the_trainings_entry_can_be_repeated_from(done: Trained) -> None:
    """Seed, rate, hash of the data and length, and no path of the machine."""
    entry = training_entry(done.record, "0" * 64)
    assert entry["method"] == "supervised fine-tuning, lora" and entry["seed"] == 1
    assert entry["settings"]["data_sha256"] == done.record["data"]["sha256"]
    assert entry["settings"]["rate"] == 2e-3 and entry["recipe"] == "0" * 64
    for text in (json.dumps(entry), json.dumps(done.record), json.dumps(done.content)):
        assert str(done.run) not in text and str(done.recipe_folder) not in text


def test_the_record_names_versions() -> None:
    """Of what is installed; what is not is left out."""
    found = versions()
    assert found["python"].startswith("3.") and found["torch"] and "unsloth" not in found


def test_a_folder_holds_the_package(done: Trained, tmp_path: Path) -> None:
    """Manifest, adapter and card, valid as a draft; written twice it is the same."""
    for _ in range(2):
        write_folder(tmp_path / "p", done.content, "# Card\n", done.source, done.report)
    found = {path.name for path in (tmp_path / "p").iterdir()}
    assert found == {"manifest.json", ADAPTER, CARD}
    assert decode_draft((tmp_path / "p" / "manifest.json").read_bytes()).name == "songs"


@pytest.mark.parametrize(
    ("key", "value"), [("name", "Not A Name"), ("version", "one"), ("license", None), ("odd", 1)]
)
def test_a_manifest_that_is_not_valid_is_refused(
    done: Trained, tmp_path: Path, key: str, value: Any
) -> None:
    """Before anything is written."""
    content = {**done.content, key: value}
    with pytest.raises(VerificationError):
        write_folder(tmp_path / "p", content, "# Card\n", done.source, done.report)
    assert not (tmp_path / "p").exists()


def test_people_and_run_make_the_manifest_together(done: Trained) -> None:
    """Words from the source, facts from the run; data sets stand with the training."""
    made = manifest(done.source, done.recipe.adapter, done.base, done.report, {"method": "none"})
    assert made["summary"] == "Requests for songs as JSON." and made["publisher"] == "acme"
    assert made["routing"]["keywords"] == ["song"] and len(made["routing"]["examples"]) == 50
    assert made["training"] == {"method": "none", "datasets": [{"name": "a few rows"}]}
    assert "datasets" not in made and made["documents"] == [CARD]
    assert made["bases"][0]["identity"]["norms"] == done.base.identity.norms


def test_a_package_with_figures_and_a_signature(done: Trained, tmp_path: Path) -> None:
    """It is sound, and the folder beside the recipe gets card, curve, record and figures."""
    into = tmp_path / "experts" / "songs"
    package = publish(done, SCORES, PrivateKey.generate(), into)
    assert package.parent == into
    validate(package)
    preview = inspect(package)
    (figure,) = preview.manifest.evaluation
    assert (figure.expert, figure.base, figure.samples) == (0.7, 0.2, 20)
    names = {path.name for path in into.iterdir()}
    assert names == {CARD, "curve.svg", "run.json", "figures.json", package.name}
    card = (into / CARD).read_text(encoding="utf-8")
    assert "beats the base" in card and "Words." in card and "Trained on" in card
    assert read_record(into) == json.loads((done.run / "run.json").read_text(encoding="utf-8"))


def test_a_package_that_was_not_measured(done: Trained) -> None:
    """Has no figures, and its card is as it was written."""
    package = publish(done, [], None, None)
    assert package.parent == done.run and inspect(package).manifest.evaluation == ()
    card = (done.run / "package" / CARD).read_text(encoding="utf-8")
    assert card == (done.recipe_folder / CARD).read_text(encoding="utf-8")


def test_an_expert_without_a_card_is_told(done: Trained, tmp_path: Path) -> None:
    """A package must say in words what it is."""
    shutil.copytree(done.recipe_folder, tmp_path / "songs")
    (tmp_path / "songs" / CARD).unlink()
    with pytest.raises(NotFoundError, match="no card"):
        read_card(replace(done, recipe_folder=tmp_path / "songs"))
    assert read_record(tmp_path) is None


def test_an_adapter_of_another_shape_is_not_converted(
    done: Trained, pocket: Path, tmp_path: Path
) -> None:
    """A typed error with the converter's own reason."""
    other: Base = open_base(pocket, tmp_path)
    with pytest.raises(VerificationError, match="cannot be converted"):
        convert(done.run / "adapter", done.recipe.adapter, other, tmp_path / ADAPTER)
    assert not (tmp_path / ADAPTER).exists()
