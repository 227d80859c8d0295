"""What the marketplace's verbs share: showing a plan, asking, progress, and printing records."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.cli import options
from expert.errors import NotFoundError, VerificationError

if TYPE_CHECKING:
    from expert.market.install import Confirm, Done
    from expert.market.market import Market
    from expert.market.plan import Options, Plan
    from expert.market.universe import Available
    from expert.package.manifest import BaseIdentity, Manifest

_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def emit(args: argparse.Namespace, record: Any, lines: Iterable[str]) -> None:
    """Print *record* as JSON if that was asked for, else the *lines*."""
    if args.json:
        print(json.dumps(record, ensure_ascii=False))
        return
    for line in lines:
        # File names come from anywhere, and may hold what a terminal would obey.
        print(_UNSAFE.sub("\ufffd", line))


def warn(texts: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for text in texts:
        print(f"expert: {_UNSAFE.sub(chr(0xFFFD), text)}", file=sys.stderr)


def read_file(path: Path) -> bytes:
    """Return a small file's contents.

    Raises:
        NotFoundError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"Cannot read {path}.", f"{why}.", "Check the path.") from error


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def progress(verb: str) -> Callable[[int, int], None] | None:
    """Return what draws a bar of bytes on stderr, for people only."""
    if not sys.stderr.isatty():
        return None

    def draw(done: int, total: int) -> None:
        filled = 30 * done // max(total, 1)
        bar = "█" * filled + "·" * (30 - filled)
        end = "\r\x1b[K" if done >= total else ""
        print(f"\r{verb} {bar} {megabytes(total)}{end}", end="", file=sys.stderr, flush=True)

    return draw


def repair(market: "Market") -> list[str]:
    """Repair the store, tell what could not be, and return the experts that were restored."""
    from expert.market.repair import repair as mend

    done = mend(market)
    if done.put_aside is not None:
        warn([f"the database was destroyed; it is now {done.put_aside}"])
        warn(f"{label} is in no source any more" for label in done.recovered.missing)
    return [*done.restored, *done.recovered.experts]


# Installing -----------------------------------------------------------------------------------


def add_consent(parser: argparse.ArgumentParser) -> None:
    """Add what stands for the answers to questions before anything is installed."""
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="SHA256:…",
        help="accept this new publisher's key without asking; repeatable",
    )


def add_install_options(parser: argparse.ArgumentParser) -> None:
    """Add what `install` and `update` share."""
    add_consent(parser)
    parser.add_argument(
        "--any-base", action="store_true", help="do not compare with the present base model"
    )
    options.add_model(parser)
    options.add_json(parser)


def install_options(args: argparse.Namespace) -> "Options":
    """Return what the command line says about installing."""
    from expert.market.plan import Options

    base = None if args.any_base else present_base(args)
    return Options(base=base, allow_unsigned=getattr(args, "allow_unsigned", False))


def present_base(args: argparse.Namespace) -> "BaseIdentity | None":
    """Return the base model in use; None if there is none yet and none was named."""
    from expert.market.bases import identify
    from expert.models import find_model

    try:
        return identify(find_model(options.config(args).model).path)
    except NotFoundError:
        if args.model:
            raise
        return None


def confirmation(args: argparse.Namespace) -> "Confirm":
    """Return what shows a plan and asks the user, on the terminal, never on a pipe."""

    def confirm(plan: "Plan") -> bool:
        warn(plan.warnings)
        unknown = {
            publisher: key.fingerprint
            for publisher, key in plan.new_publishers.items()
            if key.fingerprint not in args.trust
        }
        if args.yes and unknown:
            publisher, fingerprint = next(iter(unknown.items()))
            raise VerificationError(
                f"The publisher {publisher} is new here.",
                f"Their key is {fingerprint}, and nobody has confirmed it.",
                f"Compare it with what the publisher states, then add: --trust {fingerprint}",
            )
        if args.yes:
            return True
        screen = sys.stderr if args.json else sys.stdout
        for line in plan_lines(plan):
            print(_UNSAFE.sub("\ufffd", line), file=screen)
        return options.confirmed("Trust these keys and go on?" if unknown else "Go on?")

    return confirm


def plan_lines(plan: "Plan") -> list[str]:
    """Return what a plan would do, for people."""
    lines = []
    for one in plan.additions:
        lines += available_lines(one)
    lines += [f"remove  {package.label}" for package in plan.removals]
    lines += [
        f"key     {publisher}: {key.fingerprint} (first seen; compare it with what they state)"
        for publisher, key in plan.new_publishers.items()
    ]
    return lines


def available_lines(one: "Available") -> list[str]:
    """Return what should be known before an expert is installed."""
    manifest = one.manifest
    signer = "nobody" if one.signer is None else one.signer.fingerprint
    size = f"{megabytes(one.size)} to fetch" if one.size else "already stored"
    return [
        f"install {manifest.label}: {manifest.summary}",
        f"        signed by {signer} ({one.verdict.standing.value}), from {one.source}",
        f"        {size}, {megabytes(manifest.unpacked_size)} on disk, licence {manifest.license}",
        f"        for {', '.join(base.name for base in manifest.bases)}",
        *(f"        {text}" for text in figure_lines(manifest)),
    ]


def figure_lines(manifest: "Manifest") -> list[str]:
    """Return what was measured, beside the base model."""
    lines = []
    for figure in manifest.evaluation:
        beside = "" if figure.base is None else f", base alone {figure.base:g}"
        worse = figure.base is not None and (figure.expert < figure.base) != figure.lower_is_better
        mark = " (worse)" if worse and figure.expert != figure.base else ""
        lines.append(
            f"{figure.metric} {figure.expert:g}{beside}{mark} "
            f"({figure.dataset}, {figure.samples} samples)"
        )
    return lines


def report(args: argparse.Namespace, done: "Done") -> int:
    """Print what an install or update did."""
    plan = done.plan
    changed = done.generation is not None
    installed = [one.manifest.label for one in plan.additions] if changed else []
    removed = [package.label for package in plan.removals] if changed else []
    record = {
        "generation": done.generation,
        "installed": installed,
        "removed": removed,
        "up_to_date": plan.is_empty,
        "warnings": list(plan.warnings),
    }
    if plan.is_empty:
        lines = ["Everything is as asked for already."]
        warn(plan.warnings)
    elif not changed:
        lines = ["Nothing was changed."]
    else:
        lines = [f"installed {label}" for label in installed]
        lines += [f"removed {label}" for label in removed]
    emit(args, record, lines or ["Done."])
    return 0 if changed or plan.is_empty else 1
