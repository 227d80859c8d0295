"""`expert eval`: an expert beside its base, on data that neither was trained on."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import options, training
from expert.cli.adapters import taken_out

if TYPE_CHECKING:
    from expert.train.adapter.recipe import Evaluation
    from expert.train.evaluation.conditions import Score


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "eval",
        "Measure an expert on held-out data, beside its base alone, the base with examples, and "
        "the base with another expert. A recipe without an expert measures the base.",
    )
    parser.add_argument("target", metavar="EXPERT|RECIPE", type=Path, help="a package, or a recipe")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder of data (default: the recipe's own)"
    )
    parser.add_argument("--recipe", metavar="TOML", type=Path, help="default: by the expert's name")
    parser.add_argument("--rows", type=options.positive, metavar="N", help="held-out rows a task")
    parser.add_argument("--other", metavar="EXPERT", type=Path, help="another expert's package")
    parser.add_argument(
        "--shots", type=training.count, metavar="N", help="examples for the few-shot base"
    )
    parser.add_argument(
        "--into", metavar="DIR", type=Path, help="write the card and the figures there"
    )
    options.add_model(parser)
    options.add_json(parser)
    return parser


@dataclass(frozen=True)
class Target:
    """What is measured: the adapter, if there is one, and the recipe that says on what."""

    adapter: Path | None
    recipe: Path


def run(arguments: list[str]) -> int:
    """Measure and print."""
    args = build_parser().parse_args(arguments)
    from dataclasses import replace

    from expert.models import find_model
    from expert.train.adapter.package import read_source
    from expert.train.adapter.recipe import read_recipe
    from expert.train.adapter.task_data import TaskData
    from expert.train.evaluation.report import details, published, table, verdict

    training.check_extra()
    base = find_model(options.config(args).model)
    with opened(args.target, args.recipe) as target, opened(args.other, target.recipe) as other:
        recipe, folder = read_recipe(target.recipe), target.recipe.parent
        settings, data = recipe.evaluation, TaskData(args.data or folder, recipe, folder)
        if args.shots is not None:
            settings = replace(settings, shots=args.shots)
        scores = training.measure(
            settings, base.path, data, rows(args, settings), expert=target.adapter,
            other=other.adapter, source=read_source(folder),
        )  # fmt: skip
    if args.into is not None:
        write(args.into, scores, base.name)
    if args.json:
        print(json.dumps([asdict(score) for score in scores]))
    else:
        parts = [table(scores), verdict(scores), details(scores), published(scores)]
        print("\n\n".join(part for part in parts if part))
    return 0


def rows(args: argparse.Namespace, settings: "Evaluation") -> int:
    """Return how many held-out rows of a task are measured.

    Raises:
        UsageError: nothing would be measured.
    """
    from expert.errors import UsageError

    found = args.rows or settings.rows
    if not found or not settings.tasks:
        raise UsageError(
            "Nothing would be measured.",
            f"The recipe's [evaluation] has no {'rows' if settings.tasks else 'tasks'}.",
            "Give --rows." if settings.tasks else "Name some there.",
        )
    return int(found)


@contextmanager
def opened(path: Path | None, recipe: Path | None) -> Iterator[Target]:
    """Yield the adapter of a package, a bare adapter or a recipe alone, for as long as it is used.

    Raises:
        NotFoundError: it, or its recipe, is not there.
        VerificationError: the package is not sound.
    """
    if path is None or path.suffix == ".toml":
        yield Target(None, path or _named(recipe, ""))
    else:
        with taken_out(path) as given:
            yield Target(given.adapter, _named(recipe, given.name))


def _named(recipe: Path | None, name: str) -> Path:
    """Return the recipe given, else the one that ships under an expert's name."""
    from expert import resources
    from expert.errors import NotFoundError

    found = recipe or Path(str(resources.data("experts"))) / name / "train.toml"
    if not found.is_file():
        raise NotFoundError(
            f"There is no recipe for {name or 'it'}.",
            f"{found} does not exist.",
            "Name one with --recipe; it says what is measured.",
        )
    return found


def write(folder: Path, scores: "list[Score]", base: str) -> None:
    """Write the figures, and fill in the card if the folder has one."""
    from expert.train.adapter.publish import read_record
    from expert.train.evaluation.report import fill_card, save_scores

    record = read_record(folder)
    save_scores(folder, scores, {"base": base, "record": record})
    card = folder / "README.md"
    if card.exists():
        card.write_text(fill_card(card.read_text(encoding="utf-8"), scores, record), "utf-8")
    print(f"{folder}: figures and card written", file=sys.stderr)
