"""What a journey starts from: a home, the shipped experts, and a shelf where newer ones appear.

A newer version is made of what people wrote about an expert (`experts/NAME/manifest.toml` and its
routing examples) and a random adapter for pocket, without its grammar: nobody taught that adapter
to end within it. It is signed with a key made for the test, which the home is told to trust.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from expert import resources
from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.engine.header import read_header
from expert.market.bases import identify
from expert.package.keys import PrivateKey, write_key_pair
from expert.package.pack import pack
from support.packages import write_source
from support.program import expert

NAMES = ("commit", "json", "regex", "shell", "sql")
"""The experts that ship."""
RANK = 32
KEY = PrivateKey(b"journeys" * 4)
QUESTIONS = {
    "sql": "Schema: singer(id number pk, name, age number). "
    "Question: How many singers are there? SQL:",
    "shell": "Write a shell command to do this: list files changed in the last two days",
    "json": "Intent and slots as JSON: play some jazz by Miles Davis",
    "regex": "Regex: lines that contain a number",
    "commit": "Write a conventional commit message for this diff: +print('hello')",
    "": "Who are you?",
}
"""A question for each expert, and one for none of them."""


@dataclass(frozen=True)
class Market:
    """Where this home gets its experts."""

    folder: Path

    @property
    def shelf(self) -> Path:
        """A folder source of the test's own."""
        return self.folder / "shelf"

    def open(self) -> None:
        """Offer to the present home what the program does not offer itself."""
        self.shelf.mkdir(parents=True)
        write_key_pair(KEY, self.folder / "key")
        self._run("source", "add", "shelf", self.shelf)

    def newer(self, name: str, version: str) -> None:
        """Offer a newer version of an installed expert; its publisher's key is another one now."""
        own = Path(str(resources.data("experts"))) / name
        about = tomllib.loads((own / "manifest.toml").read_text(encoding="utf-8"))
        manifest = _manifest(about, (own / "routing.txt").read_text(encoding="utf-8").splitlines())
        manifest["version"] = version
        label = f"{manifest['publisher']}-{name}-{version}"
        source = write_source(
            self.folder / "sources" / label, manifest, adapter=_adapter(self.folder)
        )
        pack(source, self.shelf / f"{label}.expert", KEY)
        self._run("trust", "pin", manifest["publisher"], self.folder / "key.pub")

    def _run(self, *arguments: str | Path) -> None:
        done = expert(*arguments)
        assert done.code == 0, done.message


def _manifest(about: dict[str, Any], examples: list[str]) -> dict[str, Any]:
    """Return a manifest of what people wrote about an expert, for pocket."""
    kept = {k: v for k, v in about.items() if k not in ("datasets", "routing", "grammar")}
    identity = msgspec.to_builtins(identify(resources.pocket()))
    weights = {"file": "adapter.gguf", "rank": RANK, "alpha": float(RANK)}
    return {
        "schema": 1,
        **kept,
        "bases": [{"name": "pocket", "identity": identity, "adapter": weights}],
        "routing": {**about["routing"], "examples": [line for line in examples if line]},
        "training": {"method": "none", "datasets": about["datasets"]},
    }


def _adapter(folder: Path) -> bytes:
    path = folder / "adapter.gguf"
    if not path.exists():
        write_random_adapter(read_header(resources.pocket()), RandomAdapter(RANK, 5), path)
    return path.read_bytes()


def names_of(answer: bytes) -> list[str]:
    """Return who gave a JSON answer."""
    return [use["name"] for use in json.loads(answer)["experts"]]
