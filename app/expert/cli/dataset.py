"""`expert dataset`: prepare, check, measure and make data for training."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options, routing

if TYPE_CHECKING:
    from expert.dataset.checking import Checked
    from expert.dataset.dedupe import Sameness
    from expert.dataset.reading import Skipped, Source

FORMS = ("auto", "rows", "alpaca", "sharegpt", "preference", "text")
WARNINGS = 5
"""Of `validate` that are shown to people."""
FAILED = 5
"""The exit code of `validate` where a row cannot be used: as for a damaged file."""


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser(
        "dataset",
        "Prepare, check, measure and make data for training. Reads .jsonl, .json, .csv, .tsv, "
        ".txt (each also as .zst or .gz), .parquet and folders of Hugging Face data sets.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    stats = actions.add_parser("stats", help="count rows, turns, duplicates and lengths")
    stats.add_argument("--tokens", action="store_true", help="count tokens of the base too")
    options.add_model(stats)
    validate = actions.add_parser("validate", help="list what is wrong, each with its line")
    _add_task(validate)
    dedupe = actions.add_parser("dedupe", help="drop rows that say the same as an earlier one")
    dedupe.add_argument("--exact", action="store_true", help="only equal ones, but for case")
    _add_near(dedupe, 0.8, "share of character groups from which two are the same")
    split = actions.add_parser("split", help="cut into parts, whole groups in one part")
    split.add_argument(
        "--part", action="append", type=_part, metavar="NAME=SHARE", default=[], dest="parts",
        help="repeatable (default: train=0.9, validation=0.05, test=0.05)",
    )  # fmt: skip
    split.add_argument("--by", metavar="FIELD", default="", help="what names a row's group")
    split.add_argument("--seed", default="", metavar="TEXT", help="another seed, another cut")
    convert = actions.add_parser("convert", help="bring any form into the one that training reads")
    difficulty = actions.add_parser("difficulty", help="perplexity of answers under the base")
    difficulty.add_argument(
        "--cuts", metavar="A,B", type=_pair,
        help="perplexities where medium and hard begin (default: after 30 %% and 80 %%)",
    )  # fmt: skip
    options.add_model(difficulty)
    diversity = actions.add_parser("diversity", help="how much rows differ; thin out with -o")
    diversity.add_argument(
        "--embedding", metavar="MODEL", type=Path,
        help="a GGUF file, or a folder for sentence-transformers (default: n-grams)",
    )  # fmt: skip
    diversity.add_argument("--sample", type=options.positive, default=5000, metavar="N")
    _add_near(diversity, 0.85, "cosine from which two rows are alike")
    readers = (stats, validate, dedupe, split, convert, difficulty, diversity)
    for action in readers:
        _add_source(action, may_skip=action is not validate)  # which says what is bad anyway
    for action in (dedupe, convert, split):
        _add_output(action, required=True)
    for action in (validate, difficulty, diversity):
        _add_output(action, required=False)
    from expert.cli.dataset_generate import add_generate

    add_generate(actions)
    return parser


def _add_source(target: argparse.ArgumentParser, *, may_skip: bool) -> None:
    """Add what is read, and how."""
    target.add_argument("source", metavar="DATA", type=Path, help="a file, or a data set's folder")
    target.add_argument("--form", choices=FORMS, default="auto", help="default: by the first row")
    target.add_argument(
        "--map", action="append", type=_mapping, metavar="THEIRS=OURS", default=[], dest="columns",
        help="read a field as prompt, answer, system, group, chosen, …; repeatable",
    )  # fmt: skip
    target.add_argument("--split", metavar="NAME", default="", dest="part_of", help="of a folder")
    target.add_argument("--encoding", metavar="NAME", default="utf-8", help="default: utf-8")
    target.add_argument("--delimiter", metavar="C", default="", help="of CSV (default: a comma)")
    if may_skip:
        target.add_argument(
            "--skip-bad", action="store_true", help="leave bad rows out, and say which"
        )
    options.add_json(target)


def _add_output(target: argparse.ArgumentParser, *, required: bool) -> None:
    where = "a folder" if target.prog.endswith("split") else ".jsonl or .jsonl.zst"
    target.add_argument("-o", "--output", metavar="OUT", type=Path, required=required, help=where)
    if not target.prog.endswith("split"):
        target.add_argument("--force", action="store_true", help="overwrite the output")


def _add_near(target: argparse.ArgumentParser, default: float, text: str) -> None:
    target.add_argument(
        "--near", type=_share, default=default, metavar="X", help=f"{text} (default: {default})"
    )
    target.add_argument(
        "--by", choices=("all", "prompt", "answer"), default="all", help="what is compared"
    )


def _add_task(target: argparse.ArgumentParser) -> None:
    target.add_argument(
        "--task", choices=("sql", "json", "shell", "regex"), help="check answers as these"
    )
    target.add_argument(
        "--schema", metavar="FILE", type=Path, help="JSON Schema or tables, where no row has any"
    )
    target.add_argument(
        "--databases", metavar="DIR", type=Path, help="NAME.sqlite for each db that rows name"
    )
    target.add_argument("--longest", type=options.positive, default=0, metavar="CHARACTERS")


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    from expert.cli.dataset_generate import generate

    args = build_parser().parse_args(arguments)
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "stats": _stats,
        "validate": _validate,
        "dedupe": _dedupe,
        "split": _split,
        "convert": _convert,
        "difficulty": _difficulty,
        "diversity": _diversity,
        "generate": generate,
    }
    if args.action in ("validate", "dedupe", "convert", "difficulty", "diversity") and args.output:
        from expert.dataset.writing import check_target

        check_target(args.output, force=args.force)
    return actions[args.action](args)


def _source(args: argparse.Namespace) -> "Source":
    from expert.dataset.reading import Source

    columns = dict(args.columns)
    return Source(args.source, args.form, columns, args.part_of, args.encoding, args.delimiter)


def _skipped(args: argparse.Namespace) -> "Skipped | None":
    from expert.dataset.reading import Skipped

    return Skipped() if args.skip_bad else None


def record_of(found: object) -> dict[str, Any]:
    """Return what `--json` prints of a record."""
    import msgspec

    made: dict[str, Any] = msgspec.to_builtins(found, str_keys=True)
    return made


def _emit(
    args: argparse.Namespace, record: Any, lines: Iterable[str], skipped: "Skipped | None" = None
) -> int:
    if skipped is not None and skipped.count:
        told = [*skipped.first, *(["…"] if skipped.count > len(skipped.first) else [])]
        marketplace.warn([f"{skipped.count} bad rows were left out:", *told])
    marketplace.emit(args, record, lines)
    return 0


def _stats(args: argparse.Namespace) -> int:
    from expert.dataset.reading import read_rows
    from expert.dataset.stats import stats

    skipped = _skipped(args)
    with _token_counter(args) as count_tokens:
        found = stats(read_rows(_source(args), skipped), count_tokens, counting("reading"))
    found.skipped = skipped.count if skipped else 0
    lines = [
        f"rows        {found.rows:,} ({_listed(found.kinds)})",
        f"turns       {_listed(found.turns)}",
        f"fields      {_listed(found.fields)}",
        f"prompts     {found.prompts:,} different",
        f"answers     {found.answers:,} different",
        f"duplicates  {found.duplicates:,} rows say the same as another",
        f"groups      {found.groups:,}",
    ]
    for name, lengths in found.lengths.items():
        unit = "tokens a row" if name == "tokens" else f"characters of {name}"
        told = ", ".join(f"{key} {value:,g}" for key, value in lengths.items())
        lines.append(f"{unit}: {told}")
    return _emit(args, record_of(found), lines, skipped)


@contextmanager
def _token_counter(args: argparse.Namespace) -> "Iterator[Callable[[str], int] | None]":
    if not args.tokens:
        yield None
        return
    from expert.engine.model import Model
    from expert.engine.options import LoadOptions
    from expert.models import find_model

    path = find_model(options.config(args).model).path
    with Model(path, LoadOptions(gpu_layers=0)) as model:
        yield lambda text: len(model.vocabulary.encode(text))


def _listed(counts: "dict[Any, int]") -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=_most))


def _most(item: tuple[Any, int]) -> tuple[int, str]:
    return -item[1], str(item[0])


def _validate(args: argparse.Namespace) -> int:
    from contextlib import ExitStack

    from expert.dataset.checking import Rules, check
    from expert.dataset.tasks import Needs, checker

    with ExitStack() as stack:
        needs = Needs(args.schema, args.databases)
        task = stack.enter_context(checker(args.task, needs)) if args.task else None
        rules = Rules(task, args.longest)
        found = check(_source(args), rules, args.output, counting("checking"))
    record = {**record_of(found), "valid": found.good == found.rows}
    marketplace.emit(args, record, _problems(found))
    return 0 if found.good == found.rows else FAILED


def _problems(found: "Checked") -> Iterator[str]:
    for problem in found.errors:
        yield f"line {problem.line}: {problem.text}"
    for problem in found.warnings[:WARNINGS]:
        yield f"warning, line {problem.line}: {problem.text}"
    if found.kinds:
        yield f"in all: {_listed(found.kinds)}"
    yield f"{found.good:,} of {found.rows:,} rows can be used"


def _dedupe(args: argparse.Namespace) -> int:
    from expert.dataset.dedupe import dedupe

    skipped = _skipped(args)
    same = _same(args, None if args.exact else args.near)
    done = dedupe(_source(args), args.output, same, skipped, counting("reading"))
    lines = [
        f"near: {_shown(one)!r} was dropped after {_shown(kept)!r}" for kept, one in done.examples
    ]
    lines.append(
        f"{done.kept:,} of {done.rows:,} rows kept; {done.exact:,} equal and {done.near:,} nearly "
        f"equal to an earlier one: {args.output}"
    )
    return _emit(args, record_of(done), lines, skipped)


def _shown(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 60 else f"{plain[:59]}…"


def _same(args: argparse.Namespace, threshold: float | None) -> "Sameness":
    from expert.dataset.dedupe import Sameness

    return Sameness(args.by, threshold)


def _split(args: argparse.Namespace) -> int:
    from expert.dataset.splitting import Parts, split

    skipped = _skipped(args)
    parts = dict(args.parts) or {"train": 0.9, "validation": 0.05, "test": 0.05}
    wanted = Parts(parts, args.by, args.seed)
    done = split(_source(args), args.output, wanted, skipped, counting("splitting"))
    lines = [
        f"{args.output / name}.jsonl.zst: {count:,} rows of {done.groups[name]:,} groups"
        for name, count in done.rows.items()
    ]
    return _emit(args, record_of(done), lines, skipped)


def _convert(args: argparse.Namespace) -> int:
    from expert.dataset.reading import read_rows
    from expert.dataset.writing import row_file

    skipped, count, show = _skipped(args), 0, counting("converting")
    with row_file(args.output) as write:
        for row in read_rows(_source(args), skipped):
            write(row)
            count += 1
            show(count, 0)
    record = {"rows": count, "skipped": skipped.count if skipped else 0, "file": str(args.output)}
    return _emit(args, record, [f"{args.output}: {count:,} rows"], skipped)


def _difficulty(args: argparse.Namespace) -> int:
    from expert.dataset.difficulty import Perplexity, difficulty
    from expert.engine.options import LoadOptions
    from expert.models import find_model

    config = options.config(args)
    skipped = _skipped(args)
    path = find_model(config.model).path
    with Perplexity(path, LoadOptions(gpu_layers=config.gpu_layers), config.threads) as scores:
        show = counting("measuring")
        found = difficulty(_source(args), args.output, scores, args.cuts, skipped, show)
    easy, hard = found.cuts
    lines = [
        f"rows        {found.rows:,} ({_listed(found.levels)})",
        f"perplexity  median {found.median:.3g}; medium above {easy:.3g}, hard above {hard:.3g}",
    ]
    if args.output:
        lines.append(f"{args.output}: with perplexity and difficulty")
    return _emit(args, {**record_of(found), "model": str(path)}, lines, skipped)


def _diversity(args: argparse.Namespace) -> int:
    from expert.dataset.diversity import Grams, Measure, diversity, thin

    skipped = _skipped(args)
    with routing.embedder(args.embedding) as dense:
        name = "n-grams of words" if dense is None else str(args.embedding)
        measure = Measure(dense or Grams(), name, _same(args, None), args.near, args.sample)
        found = diversity(_source(args), measure, skipped, counting("embedding"))
        record = record_of(found)
        lines = [
            f"rows        {found.rows:,}, of which {found.sampled:,} measured by {name}",
            "distinct    " + ", ".join(f"{n}-grams {x:.3f}" for n, x in found.distinct.items()),
            f"similarity  mean {found.similarity:.3f}, to the nearest row {found.nearest:.3f}",
            f"alike       {found.alike:.1%} have another at {args.near:g} or above",
            f"vendi       {found.vendi:.1f} entirely different rows would be as varied",
        ]
        if args.output:
            again = None if skipped is None else type(skipped)()
            rows, kept = thin(_source(args), args.output, measure, again, counting("thinning"))
            record["kept"] = kept
            lines.append(f"{args.output}: {kept:,} of {rows:,} rows, none as alike as that")
    return _emit(args, record, lines, skipped)


def counting(verb: str) -> Callable[[int, int], None]:
    """Return what counts on stderr, for people only."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.2:
            last = now
            of = f" of {total:,}" if total else ""
            print(f"\r{verb} {done:,}{of}\x1b[K\r", end="", file=sys.stderr, flush=True)

    return show


def _mapping(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.partition("=")
    if not (theirs and equals and ours):
        raise argparse.ArgumentTypeError("write THEIRS=OURS, such as question=prompt")
    return theirs, ours


def _part(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        number = float(share)
    except ValueError:
        number = 0.0
    if not name.replace("-", "").replace("_", "").isalnum() or not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("write NAME=SHARE, such as train=0.9")
    return name, number


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return number


def _pair(text: str) -> tuple[float, float]:
    first, _, second = text.partition(",")
    numbers = float(first), float(second)
    if not 1 <= numbers[0] <= numbers[1] < float("inf"):
        raise argparse.ArgumentTypeError("write two perplexities, such as 5,15")
    return numbers
