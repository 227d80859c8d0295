"""`expert train all`: every expert trained, measured, packed and signed anew, for a new base."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import options, training

if TYPE_CHECKING:
    from expert.train.adapter.series import Order, Outcome
    from expert.train.adapter.train import Listener, Trained
    from expert.train.evaluation.conditions import Score


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = options.parser(
        "train all",
        "Train, measure, pack and sign every expert anew, each in its own folder, as after a new "
        "base. An expert that fails does not stop the others. Its package replaces the one beside "
        "its recipe if it beats the base beyond the interval.",
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder of data")
    parser.add_argument("-k", "--key", metavar="KEY", type=Path, help="sign with this private key")
    parser.add_argument("--only", metavar="NAME", nargs="+", default=(), help="these experts alone")
    parser.add_argument(
        "--pocket", metavar="RUN", type=Path, help="first put this finished run's base in place"
    )
    parser.add_argument(
        "--experts", metavar="DIR", type=Path, help="their folders (default: those that ship)"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs"), help="for the runs (runs)"
    )
    parser.add_argument("--base", metavar="BASE", help="a model's name or a GGUF file")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", type=training.minutes, metavar="M", help="default: the recipes'"
    )
    length.add_argument("--tokens", type=options.positive, metavar="N", help="stop by tokens")
    parser.add_argument("--resume", action="store_true", help="go on where it was interrupted")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be done")
    parser.add_argument(
        "--keep-all", action="store_true", help="replace also what does not beat the base"
    )
    parser.add_argument(
        "--rows", type=training.count, metavar="N", help="held-out rows measured a task"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_json(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Make every expert anew, or list what that would be."""
    args = build_parser().parse_args(arguments)
    training.check_extra()
    from expert.train.adapter.series import make_all, plan

    order = ordered(args)
    if args.dry_run:
        return _list(args, dict(plan(order)))
    if args.pocket is not None:
        _replace_base(args.pocket, order.options.base)
    outcomes = []
    for outcome in make_all(order, _measuring(args), _listeners()):
        print("\n".join(lines(outcome)), file=sys.stderr if args.json else sys.stdout, flush=True)
        outcomes.append(outcome)
    if args.json:
        print(json.dumps([as_json(outcome) for outcome in outcomes]))
    return next((outcome.error.code for outcome in outcomes if outcome.error), 0)


def ordered(args: argparse.Namespace) -> "Order":
    """Return what a command line asks for.

    Raises:
        NotFoundError: there is no such base or key.
    """
    from expert import resources
    from expert.models import find_model
    from expert.train.adapter.series import Order
    from expert.train.adapter.train import Options

    experts = args.experts or Path(str(resources.data("experts")))
    own = experts / "pocket" / "pocket.gguf"
    if args.base is None and (own.exists() or args.pocket is not None):
        base = own
    else:
        base = find_model(args.base or options.config(args).model).path
    settings = Options(
        recipe=experts, data=args.data, out=args.out, base=base, minutes=args.minutes,
        tokens=args.tokens, resume=args.resume, device=args.device,
    )  # fmt: skip
    return Order(
        experts, args.out, settings, training.key(args.key), tuple(args.only), args.keep_all
    )


def _list(args: argparse.Namespace, planned: dict[str, tuple[str, ...]]) -> int:
    if args.json:
        print(json.dumps(planned))
        return 0
    if args.pocket is not None:
        print(f"pocket: put the base of {args.pocket} in place")
    for name, steps in planned.items():
        print(f"{name}: {', '.join(steps)}")
    return 0


def _replace_base(finished: Path, base: Path) -> None:
    """Put the base of a finished run of `expert.train.pretrain` in place.

    Raises:
        NotFoundError: the run is not finished.
        VerificationError: its checkpoint is broken.
    """
    from expert.errors import NotFoundError, VerificationError
    from expert.train.publish import publish
    from expert_converters.errors import ConversionError

    try:
        publish(finished, base.parent)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{finished} is no finished run of a base.",
            f"{error.filename} is not there.",
            "Give the folder of a run of expert.train.pretrain.",
        ) from error
    except ConversionError as error:
        raise VerificationError(
            f"The base of {finished} cannot be used: {error.what}", error.why, error.fix
        ) from error


def _measuring(
    args: argparse.Namespace,
) -> "Callable[[Trained, Path | None], list[Score]]":
    def measure(trained: "Trained", other: Path | None) -> "list[Score]":
        rows = trained.recipe.evaluation.rows if args.rows is None else args.rows
        print(f"{trained.recipe.name}: measuring", file=sys.stderr)
        return training.measured(trained, rows, other)

    return measure


def _listeners() -> "Callable[[str], Listener]":
    def start(name: str) -> "Listener":
        print(f"{name}: training", file=sys.stderr)
        return training.listener(sys.stderr)

    return start


def lines(outcome: "Outcome") -> list[str]:
    """Return what became of an expert, for people."""
    from expert.train.evaluation.report import table, verdict

    if outcome.error is not None:
        return [f"{outcome.name}: {outcome.error}", ""]
    said = [f"{outcome.name}: {outcome.package}"]
    if outcome.scores:
        said += [table(list(outcome.scores)), verdict(list(outcome.scores))]
    if not outcome.kept:
        why = "does not beat its base" if outcome.scores else "was not measured"
        said.append(f"It {why}, so its package stays in the run's folder (--keep-all takes it).")
    return [*said, ""]


def as_json(outcome: "Outcome") -> dict[str, Any]:
    """Return what became of an expert, for programs."""
    return {
        "name": outcome.name,
        "package": None if outcome.package is None else str(outcome.package),
        "kept": outcome.kept,
        "scores": [asdict(score) for score in outcome.scores],
        "error": None if outcome.error is None else outcome.error.as_dict(),
    }
