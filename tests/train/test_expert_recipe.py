"""Recipes of experts: every mistake is named before anything is trained."""

from pathlib import Path

import pytest

from expert.errors import NotFoundError, UsageError
from expert.train.adapter.package import read_source
from expert.train.adapter.recipe import read_recipe
from support.experts import write_expert

EXPERTS = Path(__file__).parents[2] / "experts"
SHIPPED = sorted(path.parent.name for path in EXPERTS.glob("*/manifest.toml"))


def test_a_recipe_is_read(tmp_path: Path) -> None:
    """Sections become dataclasses, with defaults for what is left out."""
    recipe = read_recipe(write_expert(tmp_path))
    assert recipe.adapter.rank == 32 and recipe.adapter.activation == "prompt"
    assert recipe.training.sweep == (0.01, 1.0) and recipe.evaluation.tasks == ("snips",)


def test_a_larger_base_has_its_own_settings(tmp_path: Path) -> None:
    """The base's width chooses them; another base keeps the recipe's own."""
    recipe = read_recipe(write_expert(tmp_path))
    assert recipe.for_base(1024).training.rate == 2e-4
    assert recipe.for_base(256) == recipe


MISTAKES = [
    ("seed = 1", "sead = 1", "sead"),
    ("seed = 1", "", "seed"),
    ("minutes = 1", 'minutes = "1"', "minutes"),
    ("rate = 2e-3", "rate = -1.0", "rate"),
    ("rank = 32", "rank = 0", "above zero"),
    ("rank = 32", 'rank = 32\nactivation = "late"', "activation"),
    ('kind = "lora"', 'kind = "magic"', "magic|kind"),
    ('kind = "lora"', 'kind = "ia3"\nactivation = "answer"', "ia3"),
    ("[tasks.snips]", "[tasks.unheard]", "unheard"),
    ('tasks = ["snips"]', 'tasks = ["unheard"]', "unheard"),
    ("tasks = [", "tasks = [1, ", "tasks"),
    ("width = 1024", "", "width"),
    ("width = 1024\ntraining = { rate", "width = 1024\ntraining = { ratio", "ratio"),
    ("[tasks.snips]\nshare = 1.0", "[tasks]", "none"),
    ('name = "songs"', 'name = "songs"\nextra = 1', "extra"),
    ("[data]", "[data", "TOML|expected|Expected"),
]


@pytest.mark.parametrize(("old", "new", "named"), MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    """Unknown, missing and wrong settings are refused, and the message names them."""
    path = write_expert(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        raise_with_why(path)


def raise_with_why(path: Path) -> None:
    """Read a recipe; the whole text of the error is its message here."""
    try:
        read_recipe(path)
    except UsageError as error:
        raise UsageError(str(error)) from error


def test_a_missing_recipe_is_not_found(tmp_path: Path) -> None:
    """A wrong path is told as such."""
    with pytest.raises(NotFoundError, match="recipe"):
        read_recipe(tmp_path / "train.toml")


def test_an_expert_must_be_described(tmp_path: Path) -> None:
    """Neither the manifest's texts nor enough prompts for a router may be missing."""
    write_expert(tmp_path)
    (tmp_path / "routing.txt").write_text("one\n", encoding="utf-8")
    with pytest.raises(UsageError, match="1 prompts"):
        read_source(tmp_path)
    (tmp_path / "routing.txt").unlink()
    with pytest.raises(UsageError, match="not described"):
        read_source(tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_whole(name: str) -> None:
    """Every expert has a recipe, a card with room for figures, 50 prompts or more, and a cut."""
    folder = EXPERTS / name
    recipe, source = read_recipe(folder / "train.toml"), read_source(folder)
    assert recipe.name == name == source.about["name"]
    assert set(recipe.evaluation.tasks) <= set(recipe.tasks)
    assert source.about["limitations"] and source.about["datasets"]
    assert len(set(source.routing)) == len(source.routing) >= 50
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "<!-- figures -->" in card and "<!-- end of figures -->" in card
    assert (folder / "heldout.txt").read_text(encoding="utf-8").strip()
    for width in (1024, 2048, 2560):
        assert recipe.for_base(width).training.rate < recipe.training.rate


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_manifests_say_everything(name: str) -> None:
    """Sampling, capabilities, keywords and a grammar; limitations with an example and a way out,
    all of which the card tells as well.
    """
    about = read_source(EXPERTS / name).about
    card = (EXPERTS / name / "README.md").read_text(encoding="utf-8")
    assert about["publisher"] == "expert" and about["sampling"]["temperature"] == 0
    assert about["grammar"]["format"] in ("gbnf", "json-schema", "sql")
    assert len(about["capabilities"]) >= 2 and len(about["routing"]["keywords"]) >= 5
    assert about["summary"] in card and about["description"].strip() in card
    for limitation in about["limitations"]:
        for part in ("description", "example", "workaround"):
            assert limitation[part] in card
    for dataset in about["datasets"]:
        assert f"| {dataset['name']} | {dataset['license']} |" in card
