"""`expert model`: which base models there are, what is in them, and which one is used."""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from expert.cli import options
from expert.config import load_config, save_setting
from expert.models import BaseModel, find_model, local_models


def build_parser() -> argparse.ArgumentParser:
    """Return the verb's parser."""
    parser = options.parser("model", "List, show and choose base models.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list the models on this machine (the default)")
    options.add_json(listing)
    show = actions.add_parser("show", help="show what is in a model file")
    options.add_json(show)
    use = actions.add_parser("use", help="make a model the default")
    path = actions.add_parser("path", help="print where a model's file is")
    for action, default in ((show, "?"), (use, None), (path, "?")):
        action.add_argument("name", metavar="NAME", nargs=default, help="a name or a GGUF file")
    return parser


def run(arguments: list[str]) -> int:
    """Do one of the actions."""
    args = build_parser().parse_args(arguments)
    actions: dict[str | None, Callable[[argparse.Namespace], int]] = {
        None: _list,
        "list": _list,
        "show": _show,
        "use": _use,
        "path": _path,
    }
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
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
    if getattr(args, "json", False):
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max((len(str(row["name"])) for row in rows), default=4) + 2
    for row in rows:
        mark = "*" if row["current"] else " "
        place = "embedded" if row["embedded"] else row["path"]
        print(f"{mark} {row['name']:<{width}}{row['bytes'] / 1e6:8.1f} MB  {place}")
    return 0


def _chosen(args: argparse.Namespace) -> BaseModel:
    return find_model(args.name or load_config().model)


def _show(args: argparse.Namespace) -> int:
    record = describe(_chosen(args))
    if args.json:
        print(json.dumps(record, ensure_ascii=False))
        return 0
    for key, value in record.items():
        print(f"{key.replace('_', ' '):<15}{value}")
    return 0


def describe(model: BaseModel) -> dict[str, Any]:
    """Return what a model file's header says, for people and scripts."""
    from expert.engine.header import read_header
    from expert.engine.memory import estimate
    from expert.engine.options import ContextOptions
    from expert_converters.identity import base_identity

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
        "identity": base_identity(header).short,
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


def _use(args: argparse.Namespace) -> int:
    from expert.engine.header import read_header

    model = find_model(args.name)
    read_header(model.path)
    known = any(model == other for other in local_models())
    file = save_setting("model", model.name if known else str(model.path))
    print(f"{model.name} is now the default base model (saved in {file}).")
    return 0


def _path(args: argparse.Namespace) -> int:
    print(_chosen(args).path)
    return 0
