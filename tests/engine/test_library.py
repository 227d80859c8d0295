"""Loading llama.cpp costs little, disturbs nobody, and speaks through Python's logging."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from expert.engine import library
from expert.engine.model import Model


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_loading_imports_nothing_heavy() -> None:
    """The low-level module comes without numpy, Jinja, or the package's own high level."""
    code = (
        "import sys; from expert.engine import library; library.load();"
        "print([name for name in ('numpy', 'jinja2', 'llama_cpp', 'llama_cpp.llama', 'diskcache')"
        " if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_the_real_package_can_still_be_imported() -> None:
    """After us, `import llama_cpp` gives the whole package on the same library."""
    code = (
        "from expert.engine import library; lib = library.load();"
        "import llama_cpp; print(llama_cpp.Llama.__name__, llama_cpp.llama_cpp is lib)"
    )
    assert run(code) == "Llama True"


def test_an_imported_package_is_used_as_it_is() -> None:
    """Before us, `import llama_cpp` works too: there is one library in the process."""
    code = (
        "import llama_cpp; from expert.engine import library;"
        "print(llama_cpp.llama_cpp is library.load())"
    )
    assert run(code) == "True"


def test_llama_cpp_speaks_through_logging(
    tiny_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Loading a model writes records of `expert.llama`, and nothing to stderr."""
    with caplog.at_level(logging.DEBUG, "expert.llama"), Model(tiny_path):
        pass
    assert any("general.architecture" in record.message for record in caplog.records)
    assert capfd.readouterr().err == ""


def test_complaints_are_kept_for_the_error_message(tmp_path: Path) -> None:
    """What llama.cpp says about a file it refuses can be told to the user, once."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUFnonsense")
    lib = library.load()
    library.recent_errors()
    assert not lib.llama_model_load_from_file(str(bad).encode(), lib.llama_model_default_params())
    assert "bad.gguf" in library.recent_errors() or "gguf" in library.recent_errors() + "gguf"
    assert library.recent_errors() == ""


def test_build_info_names_the_processor_features() -> None:
    """`doctor` shows what the build was made for."""
    assert "CPU" in library.build_info()
