"""`expert train`: from a recipe and a folder of data to a trained, measured and packed expert."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import options

if TYPE_CHECKING:
    from expert.train.adapter.train import Trained
    from expert.train.evaluation.conditions import Score


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "train",
        "Train an expert from its recipe: data, adapter, conversion, evaluation, package. "
        "Needs the extra `train`.",
    )
    parser.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="such as experts/sql/train.toml"
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of data")
    parser.add_argument(
        "--out", metavar="RUN", type=Path, help="the run's folder (default: run-NAME)"
    )
    parser.add_argument(
        "--base", metavar="BASE", help="a model's name, a GGUF file or a checkpoint folder"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, metavar="M", help="default: the recipe's")
    length.add_argument(
        "--tokens", type=options.positive, metavar="N", help="stop by tokens instead"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--sweep", action="store_true", help="try the recipe's learning rates first"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="held-out rows measured a task; 0 measures nothing"
    )
    parser.add_argument(
        "--other", metavar="FILE", type=Path, help="another expert, to compare with"
    )
    parser.add_argument("--sign", metavar="KEY", type=Path, help="sign the package with this key")
    parser.add_argument(
        "--into", metavar="DIR", type=Path, help="put card, curve, figures and package there too"
    )
    options.add_json(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Train, measure and pack."""
    args = build_parser().parse_args(arguments)
    from expert.cli.training import check_extra, key, listener, packed

    check_extra()
    signing = key(args.sign)
    from expert.models import find_model
    from expert.train.adapter.train import Options, train_expert

    base = Path(args.base) if args.base and Path(args.base).exists() else None
    wanted = Options(
        recipe=args.recipe,
        data=args.data,
        out=args.out or Path(f"run-{args.recipe.resolve().parent.name}"),
        base=base or find_model(args.base or options.config(args).model).path,
        minutes=args.minutes,
        tokens=args.tokens,
        resume=args.resume,
        sweep=args.sweep,
        device=args.device,
    )
    trained = train_expert(wanted, listener(sys.stderr))
    scores = _measure(args, trained)
    package = packed(trained, scores, signing, args.into)
    report = {"package": str(package), "run": str(trained.run), "record": trained.record}
    if args.json:
        from dataclasses import asdict

        print(json.dumps({**report, "scores": [asdict(score) for score in scores]}))
    else:
        print("\n".join(lines(report, scores)))
    return 0


def _measure(args: argparse.Namespace, trained: "Trained") -> "list[Score]":
    from expert.cli.training import measure

    settings = trained.recipe.evaluation
    rows = settings.rows if args.rows is None else args.rows
    if not rows or trained.report.form != "lora":
        return []
    return measure(
        settings, trained.base.file, args.data, rows,
        expert=trained.report.path, other=args.other, grammar=trained.source.grammar,
    )  # fmt: skip


def lines(report: dict[str, Any], scores: "list[Score]") -> list[str]:
    """Return what was made, for people."""
    from expert.train.evaluation.report import table, verdict

    record = report["record"]
    said = [
        f"{record['steps']} steps, {record['tokens']} tokens, {record['minutes']:g} minutes, "
        f"validation loss {record['validation_loss']:g}",
    ]
    if scores:
        said += [table(scores), verdict(scores)]
    return [*said, f"{report['package']}: the expert's package"]
