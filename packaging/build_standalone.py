"""Builds a folder with the whole program, which runs on machines without Python.

    python packaging/build_standalone.py -o DIST

It needs PyInstaller beside Expert in the environment, and takes the libraries of that environment:
what llama.cpp was built for is what the folder runs on.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = {
    "llama_cpp": "its shared libraries are found beside its modules",
    "textual": "its widgets are imported by name",
}
"""Packages to be taken whole, and why."""
BY_NAME = ("expert", "expert_converters", "huggingface_hub")
"""Packages whose modules are imported by name."""
LEFT_OUT = (
    "torch", "transformers", "tokenizers", "peft", "sentence_transformers",  # training
    "datasets", "pyarrow", "pandas", "scipy", "sklearn", "sentencepiece", "dill",
    "matplotlib", "PIL", "pydantic", "hf_xet",  # what others would use if it were there
    "pytest", "_pytest", "mypy", "ruff", "hatchling", "importlinter",  # tests
    "setuptools", "pip", "tkinter", "IPython",
)  # fmt: skip
"""What the chat and the market never need; training is for machines with Python."""


def main() -> int:
    """Build, and say where the program is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to build in")
    parser.add_argument("--print", action="store_true", help="show what PyInstaller is told")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        told = list(options(args.output, Path(work)))
        if args.print:
            print("\n".join(told))
            return 0
        if importlib.util.find_spec("PyInstaller") is None:
            print("PyInstaller is missing. Fix: pip install pyinstaller", file=sys.stderr)
            return 1
        code = subprocess.run([sys.executable, "-m", "PyInstaller", *told]).returncode
    if code == 0:
        print(f"built {args.output / 'expert' / 'expert'}")
    return code


def options(output: Path, work: Path) -> Iterator[str]:
    """Yield what PyInstaller is told: one folder, every verb, the models and grammars."""
    yield from ("--name", "expert", "--onedir", "--noconfirm", "--log-level", "WARN")
    yield from ("--distpath", str(output), "--workpath", str(work), "--specpath", str(work))
    yield from ("--paths", str(ROOT / "app"), "--paths", str(ROOT / "converters"))
    for package in BY_NAME:
        yield from ("--collect-submodules", package, "--collect-data", package)
    for package in LIBRARIES:
        yield from ("--collect-all", package)
    yield from ("--hidden-import", "_cffi_backend")  # PyNaCl's compiled part imports it
    for folder in ("experts", "grammars"):
        yield from ("--add-data", f"{ROOT / folder}:expert/data/{folder}")
    for distribution in ("expert", *dependencies()):  # some libraries ask for their own version
        yield from ("--copy-metadata", distribution)
    for module in LEFT_OUT:
        yield from ("--exclude-module", module)
    yield str(ROOT / "app" / "expert" / "__main__.py")


def dependencies() -> list[str]:
    """Return the names of the distributions that the program needs."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        requirements = tomllib.load(file)["project"]["dependencies"]
    return [re.split(r"[\s\[<>=~!;]", requirement)[0] for requirement in requirements]


if __name__ == "__main__":
    sys.exit(main())
