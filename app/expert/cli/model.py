"""`expert model`: which base models there are, what is in them, and which one is used."""

import argparse
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from expert.cli import marketplace, options
from expert.config import load_config, save_setting
from expert.models import BaseModel, find_model, local_models

if TYPE_CHECKING:
    from expert.models.pull import Record


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("model", "Fetch, list, show and choose base models.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list the models on this machine (the default)")
    listing.add_argument("--available", action="store_true", help="list those that can be fetched")
    pull = actions.add_parser("pull", help="fetch a model; goes on where it was interrupted")
    pull.add_argument("name", metavar="NAME[:QUANTISATION]", help="or ORG/REPO:FILE.gguf")
    pull.add_argument("--newest", action="store_true", help="not what was pulled here before")
    show = actions.add_parser("show", help="show what is in a model file")
    remove = actions.add_parser("rm", help="remove a fetched model")
    remove.add_argument("-y", "--yes", action="store_true", help="also a file you put there")
    use = actions.add_parser("use", help="make a model the default")
    path = actions.add_parser("path", help="print where a model's file is")
    for action, default in ((show, "?"), (remove, None), (use, None), (path, "?")):
        action.add_argument("name", metavar="NAME", nargs=default, help="a name or a GGUF file")
    for action in (listing, pull, show, remove, use, path):
        options.add_json(action)
    return parser


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    args = build_parser().parse_args(arguments)
    actions: dict[str | None, Callable[[argparse.Namespace], int]] = {
        None: _list,
        "list": _list,
        "pull": _pull,
        "show": _show,
        "rm": _remove,
        "use": _use,
        "path": _path,
    }
    args.json = getattr(args, "json", False)
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    if getattr(args, "available", False):
        return _available(args)
    current = load_config().model
    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "bytes": model.size,
            "path": str(model.path),
            "embedded": model.embedded,
            "current": model.name == current,
        }
        for model in local_models()
    ]
    width = max((len(str(row["name"])) for row in rows), default=4) + 2
    lines = []
    for row in rows:
        mark = "*" if row["current"] else " "
        place = "embedded" if row["embedded"] else row["path"]
        lines.append(f"{mark} {row['name']:<{width}}{row['bytes'] / 1e6:8.1f} MB  {place}")
    marketplace.emit(args, rows, lines)
    return 0


def _available(args: argparse.Namespace) -> int:
    from expert.models.catalogue import CATALOGUE

    here = {model.name for model in local_models()}
    rows = [
        {
            "name": listed.name,
            "repository": listed.repository,
            "quantisations": list(listed.quantisations),
            "license": listed.license,
            "here": listed.name in here,
        }
        for listed in CATALOGUE
    ]
    lines = [
        f"{'*' if listed.name in here else ' '} {listed.name:<12}{listed.repository:<24}"
        f"{listed.license:<12}{', '.join(listed.quantisations)}"
        for listed in CATALOGUE
    ]
    marketplace.emit(args, rows, lines)
    return 0


def _pull(args: argparse.Namespace) -> int:
    from expert.models.pull import pull

    record = pull(args.name, newest=args.newest, progress=marketplace.progress("fetching"))
    path = find_model(record.name).path
    lines = [f"{record.name}: {path}", *_origin_lines(record)]
    marketplace.emit(args, {**_origin(record), "path": str(path)}, lines)
    return 0


def _origin(record: "Record") -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def _origin_lines(record: "Record") -> list[str]:
    return [
        f"{'from':<15}{record.repository}, {record.file}",
        f"{'commit':<15}{record.commit}",
        f"{'sha256':<15}{record.sha256}",
        f"{'licence':<15}{record.license or 'not stated'}",
    ]


def _chosen(args: argparse.Namespace) -> BaseModel:
    return find_model(args.name or load_config().model)


def _show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from expert.models.identity import identify
    from expert.models.pull import read_record

    model = _chosen(args)
    facts = describe(model)
    record = read_record(model.name)
    lines = [f"{key.replace('_', ' '):<15}{value}" for key, value in facts.items()]
    facts["base"] = asdict(identify(model.path))
    if record is not None:
        facts["pulled"] = _origin(record)
        lines += _origin_lines(record)
    marketplace.emit(args, facts, lines)
    return 0


def describe(model: BaseModel) -> dict[str, Any]:
    """Return what a model file's header says, for people and scripts."""
    from expert.engine.header import read_header
    from expert.engine.memory import estimate
    from expert.engine.options import ContextOptions
    from expert.models.identity import identify

    header = read_header(model.path)
    meta = header.metadata
    architecture = meta["general.architecture"]
    context = meta.get(f"{architecture}.context_length", 0)
    assert isinstance(context, int)
    types = Counter(tensor.type.name for tensor in header.tensors.values())
    weights = (_product(tensor.shape) for tensor in header.tensors.values())
    memory = estimate(header, ContextOptions(size=min(context, 4096)))
    return {
        "name": model.name,
        "title": meta.get("general.name", ""),
        "path": str(model.path),
        "bytes": model.size,
        "identity": identify(model.path).short,
        "architecture": architecture,
        "parameters": sum(weights),
        "context": context,
        "layers": meta.get(f"{architecture}.block_count"),
        "embedding": meta.get(f"{architecture}.embedding_length"),
        "vocabulary": header.tensors["token_embd.weight"].shape[1],
        "types": ", ".join(f"{name} {count}" for name, count in types.most_common()),
        "chat_template": "tokenizer.chat_template" in meta,
        "licence": meta.get("general.license", "not stated"),
        "memory": f"{memory.total / 1e6:.0f} MB with {min(context, 4096)} tokens of context",
    }


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _remove(args: argparse.Namespace) -> int:
    from expert.models.pull import remove

    freed = remove(args.name, own=args.yes)
    lines = [f"removed {args.name}: {marketplace.megabytes(freed)} are free"]
    if args.name == load_config().model:
        lines.append("it was the default model; choose another with `expert model use`")
    marketplace.emit(args, {"removed": args.name, "bytes": freed}, lines)
    return 0


def _use(args: argparse.Namespace) -> int:
    from expert.engine.header import read_header

    model = find_model(args.name)
    read_header(model.path)
    known = any(model == other for other in local_models())
    file = save_setting("model", model.name if known else str(model.path))
    line = f"{model.name} is now the default base model (saved in {file})."
    marketplace.emit(args, {"model": model.name, "saved": str(file)}, [line])
    return 0


def _path(args: argparse.Namespace) -> int:
    path = _chosen(args).path
    marketplace.emit(args, {"path": str(path)}, [str(path)])
    return 0
