"""`expert bench compress`: smaller forms of an adapter, compared."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import options
from expert.cli.compress import size

if TYPE_CHECKING:
    import argparse

    from expert.bench.compress import Form, Scores
    from expert.train.evaluation.conditions import Score


def build_parser() -> "argparse.ArgumentParser":
    """Return the parser."""
    parser = options.parser(
        "bench compress",
        "Compare smaller forms of an adapter: size, load time, loss, the divergence of its "
        "predictions on calibration rows, and task scores where data is given.",
    )
    parser.add_argument(
        "expert", metavar="ADAPTER|EXPERT", help="an adapter, a package, or an installed expert"
    )
    parser.add_argument(
        "--budget", type=size, action="append", default=[], metavar="BYTES",
        help="compare at this size; repeatable (default: the sizes of q4_0, q3 and q2)",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", metavar="JSONL", type=Path, help='rows of {"prompt": …, "answer": …}'
    )
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of data: score the tasks")
    parser.add_argument("--recipe", metavar="TOML", type=Path, help="the recipe with the tasks")
    parser.add_argument("--rows", type=options.positive, default=32, metavar="N")
    parser.add_argument("--repeat", type=options.positive, default=5, metavar="N")
    options.add_model(parser)
    options.add_json(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Compare and print."""
    args = build_parser().parse_args(arguments)
    from expert.bench.compress import Comparison, bench_compress
    from expert.bench.divergence import read_passages
    from expert.cli.training import progress
    from expert.errors import UsageError
    from expert.models import find_model

    if (args.data is None) != (args.recipe is None):
        raise UsageError(
            "Task scores need data and a recipe.",
            "The recipe says which tasks are measured, and how.",
            "Give both --data and --recipe, or neither.",
        )
    base = find_model(options.config(args).model).path
    passages = read_passages(args.calibration, args.rows) if args.calibration else []
    score = None if args.data is None else _scoring(args.recipe, args.data, base, args.rows)
    with _adapter(args.expert, base) as adapter:
        wanted = Comparison(
            adapter, base, tuple(args.budget), tuple(passages), score, repeat=args.repeat
        )
        forms = bench_compress(wanted, progress("comparing") if sys.stderr.isatty() else None)
    rows = [{k: v for k, v in asdict(form).items() if k != "path"} for form in forms]
    print(json.dumps(rows) if args.json else table(forms))
    return 0


def table(forms: "Sequence[Form]") -> str:
    """Return the forms as a Markdown table, those of one size together."""
    tasks = list(forms[0].scores or ())
    measured = forms[0].divergence is not None
    head = ["form", "size", "ready first", "ready later", "weight lost"]
    head += [*(["KL a token"] if measured else []), *tasks]
    rows = [head, ["---"] * len(head)]
    for form in forms:
        rows.append(_cells(form) + ([f"{form.divergence:.2g}"] if measured else []))
        for task in tasks:
            share, (low, high) = (form.scores or {})[task]
            rows[-1].append(f"{share:.1%} ({low:.1%} to {high:.1%})")
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(form: "Form") -> list[str]:
    if form.path is None:
        return [form.name, "", "", "", ""]
    times = (f"{seconds * 1000:.1f} ms" for seconds in (form.first_s, form.load_s))
    return [form.name, f"{form.bytes / 1000:,.0f} kB", *times, f"{form.loss:.2%}"]


@contextmanager
def _adapter(expert: str, base: Path) -> Iterator[Path]:
    """Yield the adapter of an installed expert, a file or a package."""
    from expert.choosing import choose_experts
    from expert.cli.adapters import compared

    if expert.endswith(".expert"):
        with compared(Path(expert), base) as adapter:
            assert adapter is not None
            yield adapter
    else:
        (choice,) = choose_experts([expert], base)
        yield choice.adapter


def _scoring(
    recipe: Path, data: Path, base: Path, rows: int
) -> "Callable[[Sequence[tuple[str, Path | None]]], dict[str, Scores]]":
    """Return what scores adapters in the tasks of a recipe."""
    from expert.cli.training import answering, check_extra, progress
    from expert.train.adapter.recipe import read_recipe
    from expert.train.adapter.task_data import TaskData
    from expert.train.evaluation.conditions import BASE, Condition, Settings, evaluate

    check_extra()
    whole = read_recipe(recipe)
    wanted, found_in = whole.evaluation, TaskData(data, whole, recipe.parent)

    def score(named: Sequence[tuple[str, Path | None]]) -> "dict[str, Scores]":
        names = {name: BASE if path is None else name for name, path in named}
        # The base is asked first: the others are compared with it.
        ordered = sorted(named, key=lambda one: one[1] is not None)
        who = [Condition(names[name], (path,) if path else ()) for name, path in ordered]
        settings = Settings(found_in, rows, 0, wanted.max_tokens)
        with answering(base) as answer:
            found = evaluate(wanted.tasks, who, settings, answer, progress("measuring"))
        return {name: _scores(found, names[name]) for name, _ in named}

    return score


def _scores(found: "Sequence[Score]", name: str) -> "Scores":
    return {
        one.task: (one.values[one.main], one.intervals[one.main])
        for one in found
        if one.condition == name
    }
