"""What a trained and measured expert leaves: its card, its figures, its curve and its package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from expert.errors import NotFoundError
from expert.package.container import Preview
from expert.package.keys import PrivateKey
from expert.train.adapter.package import CARD, write_folder, write_package
from expert.train.adapter.train import CURVE, PACKAGE, RECORD, Trained
from expert.train.evaluation.conditions import Score
from expert.train.evaluation.report import FIGURES, figures, fill_card, save_scores


def publish(
    trained: Trained, scores: list[Score], key: PrivateKey | None, into: Path | None
) -> Path:
    """Pack an expert with its figures, and put what belongs beside its recipe into a folder.

    Returns:
        The package in the run's folder, or in *into*.

    Raises:
        VerificationError: the manifest is not valid.
        ResourceError: the package cannot be written.
    """
    folder = trained.run / PACKAGE
    content = dict(trained.content)
    if scores:
        content["evaluation"] = figures(scores, trained.base.name)
        save_scores(trained.run, scores, facts(trained))
    card = fill_card(read_card(trained), scores, trained.record) if scores else read_card(trained)
    write_folder(folder, content, card, trained.source, trained.report)
    package = pack_into(folder, trained.run, key)
    if into is None:
        return package
    into.mkdir(parents=True, exist_ok=True)
    (into / CARD).write_text(card, encoding="utf-8")
    for name in (CURVE, RECORD, FIGURES):
        if (trained.run / name).exists():
            shutil.copyfile(trained.run / name, into / name)
    shutil.copyfile(package, into / package.name)
    return into / package.name


def facts(trained: Trained) -> dict[str, Any]:
    """Return what figures belong to."""
    return {"base": trained.base.name, "record": trained.record}


def pack_into(folder: Path, target: Path, key: PrivateKey | None) -> Path:
    """Write the package of a source folder and return its path."""
    found: Preview = write_package(folder, target, key)
    manifest = found.manifest
    return target / f"{manifest.publisher}-{manifest.name}-{manifest.version}.expert"


def read_card(trained: Trained) -> str:
    """Return the words of an expert's card, which stand beside its recipe.

    Raises:
        NotFoundError: there is none.
    """
    path = trained.recipe_folder / CARD
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(
            f"There is no card {path}.", f"{error.strerror}.", "Write it."
        ) from error


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of the run beside a recipe; None if there is none."""
    path = folder / RECORD
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record
