"""What the routing verbs share: which experts and which embeddings the router works with."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expert.router.dense import Embedder
    from expert.router.router import Router
    from expert.router.types import Candidate


def add_source(target: argparse.ArgumentParser) -> None:
    """Add where experts and embeddings come from."""
    target.add_argument(
        "--experts",
        metavar="FOLDER",
        type=Path,
        action="append",
        help="manifests or recipes of experts, instead of those installed; repeatable",
    )
    target.add_argument(
        "--embedding",
        metavar="MODEL",
        type=Path,
        help="add dense embeddings: a GGUF file, or a folder for sentence-transformers",
    )


def candidates(args: argparse.Namespace) -> "list[Candidate]":
    """Return the experts to choose from.

    Raises:
        NotFoundError: the folder holds none.
        VerificationError: a manifest in it is not valid.
    """
    from expert.router.candidates import in_folder, installed

    if args.experts is not None:
        return [each for folder in args.experts for each in in_folder(folder)]
    from expert.market.market import user_market

    return installed(user_market())


@contextmanager
def opened(args: argparse.Namespace) -> "Iterator[Router]":
    """Open the router for these options; what it prepares stays in the cache."""
    from expert.paths import user_paths
    from expert.router.router import Router

    with embedder(args.embedding) as dense:
        yield Router(candidates(args), dense, user_paths().cache / "router")


@contextmanager
def embedder(path: Path | None) -> "Iterator[Embedder | None]":
    """Open an embedding model: a folder is one of sentence-transformers.

    Raises:
        NotFoundError: there is no such model, or sentence-transformers is not installed.
        VerificationError: the file is damaged.
    """
    if path is None:
        yield None
        return
    with ExitStack() as stack:
        if path.is_dir():
            from expert.router.sentence import SentenceEmbedder

            yield SentenceEmbedder(path)
        else:
            from expert.config import load_config
            from expert.engine.embedding import Embedding

            yield stack.enter_context(Embedding(path, threads=load_config().threads))
