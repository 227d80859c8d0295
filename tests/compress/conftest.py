"""Made-up adapters for the tiny model, made once a run."""

from pathlib import Path

import pytest

from support.low_rank_adapters import write_synthetic


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an adapter whose singular values fall as a trained one's do, in F32."""
    return write_synthetic(tmp_path_factory.mktemp("synthetic") / "songs.gguf")
