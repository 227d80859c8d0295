"""`expert router`: measure the router on labelled prompts, and fit its parameters."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import marketplace, options, routing

if TYPE_CHECKING:
    from expert.router.evaluate import Report
    from expert.router.labelled import Half

HALVES = ("development", "heldout", "all")


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("router", "Measure the router, and fit its parameters.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    measure = actions.add_parser("eval", help="measure decisions on labelled prompts")
    measure.add_argument(
        "--half", choices=HALVES, default="heldout", help="which prompts (default: heldout)"
    )
    measure.add_argument(
        "--ablation", action="store_true", help="what each stage adds, one row a stage"
    )
    fit = actions.add_parser("fit", help="fit the parameters on the development half")
    fit.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    for action in (measure, fit):
        action.add_argument(
            "labelled", metavar="FILE", type=Path, help="JSON Lines: prompt, group, experts"
        )
        routing.add_source(action)
        options.add_json(action)
    return parser


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    args = build_parser().parse_args(arguments)
    actions = {"eval": _eval, "fit": _fit}
    return actions[args.action](args)


def _eval(args: argparse.Namespace) -> int:
    from expert.router.evaluate import decide, report
    from expert.router.labelled import load_labelled

    half: Half = args.half
    requests = load_labelled(args.labelled, half)
    if args.ablation:
        return _ablation(args)
    with routing.opened(args) as router:
        found = report(decide(router, requests, _progress("routing")))
    marketplace.emit(args, asdict(found), _lines(found))
    return 0


def _ablation(args: argparse.Namespace) -> int:
    from expert.router.dense import Remembered
    from expert.router.evaluate import decide, report
    from expert.router.labelled import load_labelled
    from expert.router.router import Router
    from expert.router.weights import STAGES, fitted

    requests = load_labelled(args.labelled, args.half)
    rows = {}
    with routing.embedder(args.embedding) as dense:
        once = Remembered(dense) if dense is not None else None
        for stage in STAGES:
            needs = stage in ("dense", "all")
            if needs and once is None:
                continue
            router = Router(
                routing.candidates(args), once if needs else None, weights=fitted()[stage]
            )
            rows[stage] = report(decide(router, requests, _progress(stage)))
    head = f"{'stage':<12}correct  95 % interval  off-topic  missed  wrong    ECE  median ms"
    lines = [head, *(_row(stage, found) for stage, found in rows.items())]
    marketplace.emit(args, {stage: asdict(found) for stage, found in rows.items()}, lines)
    return 0


def _row(stage: str, found: "Report") -> str:
    low, high = found.interval
    return (
        f"{stage:<12}{found.correct:7.1%}  {low:5.1%} to {high:5.1%}  {found.off_topic:9.1%}"
        f"  {found.missed:6.1%}  {found.wrong:5.1%}  {found.calibration:5.3f}"
        f"  {found.median_ms:9.2f}"
    )


def _fit(args: argparse.Namespace) -> int:
    import msgspec

    from expert.router.fit import fit
    from expert.router.labelled import load_labelled
    from expert_converters.files import replacing

    requests = load_labelled(args.labelled, "development")
    with routing.embedder(args.embedding) as dense:
        weights = fit(requests, routing.candidates(args), dense, _progress("fitting"))
    text = msgspec.json.format(msgspec.json.encode(weights), indent=1) + b"\n"
    with replacing(args.output) as draft:
        draft.write_bytes(text)
    record = {"prompts": len(requests), "stages": list(weights), "file": str(args.output)}
    marketplace.emit(args, record, [f"{args.output}: {', '.join(weights)}"])
    return 0


def _lines(found: "Report") -> Iterator[str]:
    low, high = found.interval
    yield f"prompts      {found.prompts}"
    yield f"correct      {found.correct:.1%} ({low:.1%} to {high:.1%})"
    yield f"off-topic    {found.off_topic:.1%} of the prompts for no expert got one"
    yield f"missed       {found.missed:.1%} of the prompts for an expert got none"
    yield f"wrong        {found.wrong:.1%} of the prompts for an expert got another"
    yield f"calibration  {found.calibration:.3f} expected error"
    yield f"time         median {found.median_ms:.2f} ms, p99 {found.p99_ms:.2f} ms"
    yield from ("", "probability  right  pairs")
    yield from (f"{mean:11.2f}  {share:5.2f}  {count:5}" for mean, share, count in found.bins)
    yield from ("", "kind          prompts  correct")
    for kind, (count, share) in found.by_kind.items():
        yield f"{kind:<14}{count:7}  {share:7.1%}"
    yield from ("", "wanted: chosen")
    for wanted, row in found.confusion.items():
        yield f"{wanted}: " + ", ".join(f"{chosen} {count}" for chosen, count in row.items())


def _progress(what: str) -> Callable[[int, int], None] | None:
    """Return what counts on stderr, for people only."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)

    return show
