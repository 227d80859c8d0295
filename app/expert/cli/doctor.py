"""`expert doctor`: what is installed, what this machine offers, and whether an answer comes."""

import json
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from expert._version import __version__
from expert.cli import options
from expert.config import Config
from expert.errors import ExpertError, VerificationError
from expert.models import find_model
from expert.paths import user_paths


def run(arguments: list[str]) -> int:
    """Run every check, print what was found, and return 1 if one failed."""
    parser = options.parser("doctor", "Check this installation and what it can do.")
    parser.add_argument("--repair", action="store_true", help="mend what is damaged, then check")
    options.add_model(parser)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    config = options.config(args)
    if args.repair:
        _repair()
    checks: dict[str, Callable[[Config], Any]] = {
        "expert": lambda _: __version__,
        "python": lambda _: f"{platform.python_version()} on {platform.platform()}",
        "llama.cpp": _library,
        "build": _build,
        "devices": _devices,
        "offload": _offload,
        "threads": _threads,
        "memory": _memory,
        "home": _home,
        "experts": _experts,
        "model": _model,
        "answer": _answer,
    }
    report = dict(_results(checks, config))
    failed = [name for name, row in report.items() if not row["ok"]]
    if args.json:
        print(json.dumps({"ok": not failed, "checks": report}, ensure_ascii=False))
    else:
        for name, row in report.items():
            print(f"{'ok  ' if row['ok'] else 'FAIL'} {name:<11}{row['found']}")
    return 1 if failed else 0


def _results(
    checks: dict[str, Callable[[Config], Any]], config: Config
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, check in checks.items():
        try:
            yield name, {"ok": True, "found": check(config)}
        except ExpertError as error:
            yield name, {"ok": False, "found": str(error).replace("\n", " ")}


def _library(_: Config) -> str:
    from expert.engine import library

    library.load()
    try:
        return f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        return "bundled"


def _build(_: Config) -> str:
    from expert.engine.library import build_info

    return build_info().strip(" |")


def _devices(_: Config) -> str:
    from expert.engine.hardware import devices

    return "; ".join(
        f"{device.name} ({device.description}, {device.free / 1e9:.1f} of "
        f"{device.total / 1e9:.1f} GB free)"
        for device in devices()
    )


def _offload(_: Config) -> str:
    from expert.engine.hardware import gpus
    from expert.engine.library import load

    if not load().llama_supports_gpu_offload():
        return "this build is for the CPU alone; the README says how to build for a GPU"
    found = gpus()
    if not found:
        return "this build can use a GPU, but finds none"
    return "layers go to " + ", ".join(device.name for device in found)


def _threads(config: Config) -> str:
    from expert.engine.hardware import cores

    if config.threads:
        return f"{config.threads} (as set; physical cores this process may use: {cores()})"
    return f"{cores()} (physical cores this process may use), 1 with a small model"


def _memory(_: Config) -> str:
    from expert.engine.hardware import available_memory

    return f"{available_memory() / 1e9:.1f} GB free"


def _home(_: Config) -> str:
    from expert.paths import make_private

    return str(make_private(user_paths().data))


def _repair() -> None:
    """Fetch damaged files again, and put a destroyed database aside."""
    from expert.cli import marketplace
    from expert.market.market import user_market

    market = user_market()
    if market.store.root.exists():
        marketplace.warn(f"restored {label}" for label in marketplace.repair(market))


def _experts(_: Config) -> str:
    """Check what is installed.

    Raises:
        VerificationError: something is not what was signed.
    """
    from expert.market.health import verify
    from expert.market.market import user_market

    market = user_market()
    if not market.store.database.exists():  # looking must not create anything
        return "none installed"
    with market.reading() as catalogue:
        packages = catalogue.installed()
    problems = verify(market, packages, deep=False)
    if problems:
        raise VerificationError(
            f"{len(problems)} files of installed experts are not what was signed.",
            "; ".join(f"{one.package}: {one.file or 'manifest'}: {one.what}" for one in problems),
            "expert doctor --repair",
        )
    return f"{len(packages)} installed, all as they were signed" if packages else "none installed"


def _model(config: Config) -> str:
    from expert.cli.model import describe

    record = describe(find_model(config.model))
    return (
        f"{record['name']}: {record['architecture']}, {record['parameters'] / 1e6:.1f} M "
        f"parameters, {record['bytes'] / 1e6:.1f} MB, context {record['context']}"
    )


def _answer(config: Config) -> str:
    from expert.assistant import Assistant
    from expert.types import Done, Message, Request

    start = time.perf_counter()
    path: Path = find_model(config.model).path
    with Assistant(path, config) as assistant:
        request = Request(
            [Message("user", "Say hello.")], max_tokens=8, temperature=0, record=False
        )
        done = [event for event in assistant.ask(request) if isinstance(event, Done)][-1]
    seconds = time.perf_counter() - start
    speed = done.answer.timings.decode_tokens_per_s
    return f"{done.answer.text.strip()!r} in {seconds:.2f} s, {speed:.0f} tokens/s"
