"""`expert dataset generate`: synthetic rows from a language model, its cost shown first."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options

if TYPE_CHECKING:
    from expert.dataset.generate.plan import Plan
    from expert.dataset.generate.run import Estimate, Made, Order


def add_generate(actions: Any) -> None:
    """Add the action's parser."""
    parser = actions.add_parser(
        "generate",
        help="make rows with a model at an OpenAI-compatible endpoint, Anthropic or DeepSeek; "
        "uses the network",
    )
    parser.add_argument("plan", metavar="PLAN", type=Path, help="TOML: see docs/datasets.md")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help=".jsonl or .jsonl.zst"
    )
    parser.add_argument(
        "--count", type=options.positive, default=1000, metavar="N", help="rows (default: 1000)"
    )
    parser.add_argument("--budget", type=_money, metavar="MONEY", help="the most it may cost")
    parser.add_argument("--tokens", type=options.positive, metavar="N", help="the most it may use")
    parser.add_argument(
        "--parallel", type=options.positive, default=16, metavar="N", help="requests at once"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the cost, and do nothing")
    parser.add_argument(
        "--finish", action="store_true", help="write what an earlier run made; ask nobody"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before it begins")
    options.add_json(parser)


def generate(args: argparse.Namespace) -> int:
    """Show the cost, ask, and make the rows."""
    from expert.cli.dataset import record_of
    from expert.dataset.generate.budget import Limits
    from expert.dataset.generate.plan import read_plan
    from expert.dataset.generate.run import Order, estimate, finish, key_of, opened
    from expert.dataset.generate.run import generate as make
    from expert.dataset.writing import check_target

    plan = read_plan(args.plan)
    check_target(args.output, force=args.force)
    limits = Limits(args.budget, args.tokens)
    order = Order(args.output, args.count, limits, args.parallel)
    if args.dry_run:
        found = estimate(plan, order)
        marketplace.emit(args, record_of(found), _lines(plan, order, found))
        return 0
    if args.finish:
        with opened(plan, order) as journal:
            rows = finish(plan, order, journal)
        marketplace.emit(args, {"rows": rows}, [f"{args.output}: {rows:,} rows"])
        return 0
    _need_limit(plan, order)
    key = key_of(plan)
    with opened(plan, order) as journal:
        found = estimate(plan, order, journal.done.count)
        for line in _lines(plan, order, found):
            print(line, file=sys.stderr)
        if not args.yes and not options.confirmed("Begin?"):
            print("Nothing was asked.", file=sys.stderr)
            return 1
        made = make(plan, order, key, journal, _watch())
    marketplace.emit(args, record_of(made), _made(args.output, made))
    return 0


def _need_limit(plan: "Plan", order: "Order") -> None:
    from expert.errors import UsageError

    paid = plan.price.input or plan.price.output
    if paid and order.limits.money is None and order.limits.tokens is None:
        raise UsageError(
            "This costs money, and nothing says how much it may.",
            f"{plan.endpoint.name} has a price.",
            "Give a limit with --budget or --tokens; --dry-run shows what it will cost.",
        )


def _lines(plan: "Plan", order: "Order", found: "Estimate") -> Iterator[str]:
    endpoint = plan.endpoint
    if found.kept:
        yield f"{found.kept:,} of {order.count:,} rows are there from an earlier run"
    yield f"{endpoint.name} at {endpoint.address} ({endpoint.provider}), {order.parallel} at once"
    yield (
        f"about {found.requests:,} requests, {found.sent:,} tokens sent, {found.received:,} "
        "received"
    )
    yield f"about {found.cost:.4f} in the currency of the price, at most {found.most:.4f}"


def _made(target: Path, made: "Made") -> Iterator[str]:
    yield (
        f"{made.requests:,} requests, {made.retries:,} sent again, {made.cut:,} replies cut; "
        f"{made.used.total:,} tokens, {made.cost:.4f} in money"
    )
    for why, count in made.refused.most_common():
        yield f"{count:,} not kept: {why}"
    yield f"{target}: {made.rows:,} rows"


def _watch() -> Callable[[int, int, float], None]:
    """Return what draws the progress."""
    from expert.cli.training import Shown, bar

    shown = Shown(sys.stderr)

    def draw(kept: int, wanted: int, cost: float) -> None:
        share = kept / wanted
        text = f"making {bar(share)} {min(kept, wanted):,} of {wanted:,} rows, {cost:.4f} spent"
        shown.show(text, end=kept >= wanted)

    return draw


def _money(text: str) -> float:
    amount = float(text)
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError("must be an amount of money")
    return amount
