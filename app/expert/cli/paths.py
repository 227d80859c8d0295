"""`expert paths`: where files are kept."""

import json

from expert import resources
from expert.cli import options
from expert.paths import user_paths


def run(arguments: list[str]) -> int:
    """Print the folders, one a line, or as JSON."""
    parser = options.parser("paths", "Show where files are kept; EXPERT_HOME moves all of them.")
    options.add_json(parser)
    args = parser.parse_args(arguments)
    paths = user_paths()
    rows = {
        "config": paths.config_file,
        "data": paths.data,
        "models": paths.models,
        "cache": paths.cache,
        "runtime": paths.runtime,
        "embedded": resources.pocket(),
    }
    if args.json:
        print(json.dumps({name: str(path) for name, path in rows.items()}, ensure_ascii=False))
    else:
        for name, path in rows.items():
            print(f"{name:<9}{path}")
    return 0
