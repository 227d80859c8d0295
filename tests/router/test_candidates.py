"""What becomes a candidate: manifests and recipes, and the parameters they state."""

from pathlib import Path

import pytest

from expert.errors import NotFoundError, VerificationError
from expert.router.candidates import DEFAULT_PRIORITY, candidate, in_folder
from expert.router.tasks import BY_TASK, EXACT, parameters
from expert.router.types import Candidate
from expert.types import Parameters
from support.packages import draft


def test_what_an_expert_states_counts_most() -> None:
    """What it leaves open is exact; without an expert the task decides."""
    assert parameters("creative", None) == BY_TASK["creative"]
    assert parameters("question", None) == Parameters()
    assert parameters("creative", Parameters()) == EXACT
    stated = Parameters(temperature=0.3, stop=(";",), max_tokens=9)
    assert parameters("creative", stated) == stated
    assert parameters("fix", Parameters(top_k=0)) == Parameters(temperature=0.0, top_k=0)


def recipe(folder: Path, about: str, prompts: str = "one\n\ntwo\\nlines\n") -> Path:
    """Write a recipe of an expert, and return the folder of recipes."""
    (folder / "x").mkdir(parents=True)
    (folder / "x" / "manifest.toml").write_text(about)
    (folder / "x" / "routing.txt").write_text(prompts)
    return folder


ABOUT = 'publisher = "acme"\nname = "x"\nsummary = "S."\ndescription = "D."\n'


def test_a_recipe_is_a_candidate(tmp_path: Path) -> None:
    """Its examples are lines, in which a line break is written; its sampling is its parameters."""
    about = f'{ABOUT}[routing]\nkeywords = ["k"]\nexcludes = ["e"]\n[sampling]\ntemperature = 0.5\n'
    (found,) = in_folder(recipe(tmp_path / "r", about))
    assert (found.id, found.name, found.short_name) == ("acme/x", "acme/x", "x")
    assert (found.about, found.keywords, found.excludes) == ("S. D.", ("k",), ("e",))
    assert found.examples == ("one", "two\nlines")
    assert found.parameters == Parameters(temperature=0.5)


@pytest.mark.parametrize(
    "about",
    ["", "publisher = 3\n", f"{ABOUT}[routing]\nkeywords = 3\n", "a = [", f"{ABOUT}sampling = 1\n",
     ABOUT.replace('name = "x"', ""), f'{ABOUT}[sampling]\ntemperature = "warm"\n'],
)  # fmt: skip
def test_recipes_that_describe_nothing(tmp_path: Path, about: str) -> None:
    """The error names the file."""
    with pytest.raises(VerificationError, match=r"manifest\.toml does not describe an expert"):
        in_folder(recipe(tmp_path / "r", about))


def test_a_recipe_without_prompts_or_text(tmp_path: Path) -> None:
    """Missing prompts and stray bytes are told as well."""
    folder = recipe(tmp_path / "r", ABOUT)
    (folder / "x" / "routing.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(VerificationError):
        in_folder(folder)
    (folder / "x" / "routing.txt").unlink()
    with pytest.raises(VerificationError):
        in_folder(folder)
    with pytest.raises(NotFoundError, match="no experts"):
        in_folder(tmp_path / "nowhere")


def test_a_manifest_is_a_candidate() -> None:
    """With its priority, or the usual one; its id is what was given, else its label."""
    import msgspec

    from expert.package.manifest import Manifest

    def made(**changes: object) -> Candidate:
        return candidate(msgspec.convert(draft(**changes), Manifest))

    plain = made()
    assert (plain.id, plain.priority, plain.keywords) == ("acme/sql@1.0.0", DEFAULT_PRIORITY, ())
    full = made(routing={"keywords": ["k"], "priority": 0.0}, conflicts={"a/b": "*"},
                capabilities=["input:diff"], sampling={"temperature": 0.2})  # fmt: skip
    assert (full.priority, full.conflicts, full.capabilities) == (0.0, ("a/b",), ("input:diff",))
    assert full.parameters.temperature == 0.2
