"""Publishing: putting a signed package where others find it, and starting a new expert."""

import os
import shutil
from pathlib import Path

import msgspec

from expert.errors import ResourceError, UsageError, VerificationError
from expert.market.market import Market
from expert.market.sources.git import GitSource
from expert.market.sources.registry import list_sources
from expert.package.codec import decode_draft
from expert.package.container import Preview, inspect
from expert.package.manifest import SCHEMA, BaseIdentity
from expert.package.output import new_file, new_folder
from expert.package.validate import validate
from expert.paths import expanded

PLACEHOLDER = BaseIdentity(
    architecture="qwen3", shapes="0" * 64, tokenizer="0" * 64, norms="0" * 64
)


def publish(market: Market, package: Path, target: str) -> Path:
    """Copy a signed package into a folder, or into a source of the user's by its name.

    For a git source it is committed and pushed.

    Returns:
        Where it is now.

    Raises:
        UsageError: it is not signed, or *target* is neither.
        VerificationError: it is damaged, or the version exists there with other content.
        NetworkNeededError: git could not push.
        ResourceError: the folder cannot be written.
    """
    found = validate(package)
    if found.signer is None:
        raise UsageError(
            f"{package} is not signed.",
            "Nobody can install an unsigned package from a source.",
            "Sign it: expert sign PACKAGE -k KEY",
        )
    entries = {entry.name: entry for entry in list_sources(market)}
    if target in entries and entries[target].kind == "git":
        source = GitSource(entries[target].location, market.cache)
        source.update()
        place = _place(found, source.clone, package)
        source.push(f"Publish {found.manifest.label}")
        return place
    folder = expanded(entries[target].location if target in entries else target)
    if not folder.is_dir():
        raise UsageError(
            f"{target!a} is neither a folder nor one of your sources.",
            "",
            "Create the folder, or see `expert source list`.",
        )
    return _place(found, folder, package)


def _place(found: Preview, root: Path, package: Path) -> Path:
    manifest = found.manifest
    folder = root / manifest.publisher / manifest.name
    target = folder / f"{manifest.publisher}-{manifest.name}-{manifest.version}.expert"
    if target.exists():
        if inspect(target).id == found.id:
            return target
        raise VerificationError(
            f"{manifest.label} is published already, with other content.",
            "A version is never given to other content again.",
            "Raise the version number.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"Cannot write {folder}.", f"{error.strerror}.", "Choose another place."
        ) from error
    with package.open("rb") as source, new_file(target) as out:
        shutil.copyfileobj(source, out)
    os.chmod(target, 0o644)
    return target


def new_expert(folder: Path, publisher: str, identity: BaseIdentity | None = None) -> Path:
    """Write the source folder of a new expert, to be filled in; it is named like the folder.

    Returns:
        The manifest.

    Raises:
        UsageError: the folder exists.
        VerificationError: its name, or the publisher's, cannot be an expert's.
    """
    manifest = {
        "schema": SCHEMA,
        "publisher": publisher,
        "name": folder.name,
        "version": "0.1.0",
        "summary": "What this expert does, in one line.",
        "license": "Apache-2.0",
        "bases": [
            {
                "name": "Qwen3-0.6B",
                "identity": msgspec.to_builtins(identity or PLACEHOLDER),
                "adapter": {"file": "adapter.gguf", "rank": 32, "alpha": 32.0},
                "quantisations": ["Q8_0"],
            }
        ],
        "capabilities": ["task:example"],
        "routing": {"keywords": [folder.name], "examples": ["A prompt for this expert."]},
        "limitations": [{"description": "What it does badly."}],
        "documents": ["README.md"],
    }
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    decode_draft(data)
    with new_folder(folder) as draft:
        (draft / "manifest.json").write_bytes(data)
        (draft / "README.md").write_text(_README.format(name=folder.name))
    return folder / "manifest.json"


_README = """# {name}

What the expert does, how it was trained, and what it does badly.

1. Put the adapter beside this file as `adapter.gguf`.
2. Fill in `manifest.json`: the summary, the base model's identity (`expert model show --json`),
   examples, figures and limitations.
3. `expert pack . -o {name}.expert -k KEY`, then `expert validate {name}.expert`.
"""
