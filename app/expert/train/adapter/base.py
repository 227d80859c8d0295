"""The base an expert is trained for: its GGUF, its identity, its tokenizer and its weights.

A base is a GGUF file, or a Hugging Face checkpoint folder, which is converted once, because the
expert's identity and its evaluation are those of the file that people run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from expert.errors import NotFoundError, VerificationError, WrongBaseError
from expert.train.qwen3 import Shape
from expert.train.rows import digest
from expert.train.start import read_tokenizer
from expert.train.tokenizer import STOP, turn_prompt
from expert_converters.check import check_model
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.identity import BaseIdentity, base_identity
from expert_converters.model import ModelJob, convert_model

LEAN_PARAMETERS = 100_000_000
"""Bases above this size are trained through transformers and PEFT."""


@dataclass(frozen=True)
class Base:
    """A base model that an expert is trained for."""

    file: Path
    """The GGUF that the expert will act on."""
    folder: Path | None
    """The checkpoint it was converted from, which transformers reads."""
    name: str
    identity: BaseIdentity
    shape: Shape
    tied: bool
    parameters: int

    @property
    def lean(self) -> bool:
        """Whether the repository's own Qwen3 trains it, without transformers."""
        return self.folder is None and self.tied and self.parameters <= LEAN_PARAMETERS

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, special tokens included."""
        if self.folder is not None:
            return Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return read_tokenizer(self.file)

    @cached_property
    def invocation(self) -> tuple[int, ...]:
        """The tokens that open an answer, from which an activated LoRA acts.

        The special token before the role opens any turn, so it stays the base's: every switch has
        one token less to compute.
        """
        opened = turn_prompt("")
        return tuple(self.tokenizer.encode(opened[opened.rindex("<|im_start|>") :]).ids[1:])


def open_base(path: Path, run: Path) -> Base:
    """Read the base at *path*; a checkpoint folder is converted into the run first.

    Raises:
        NotFoundError: there is nothing there.
        VerificationError: it is damaged.
        WrongBaseError: experts cannot be trained for it.
    """
    if not path.exists():
        raise NotFoundError(f"There is no base {path}.", "", "Give a GGUF file or a checkpoint.")
    try:
        folder = path if path.is_dir() else None
        file = convert_once(folder, run) if folder else path
        header = inspect(file)
        check_model(header)
        base = described(file, folder, header)
    except ConversionError as error:
        raise VerificationError(
            f"The base {path} cannot be used: {error.what}", error.why, error.fix
        ) from error
    if base.tokenizer.token_to_id(STOP) is None:
        raise WrongBaseError(
            f"Experts cannot be trained for {path}.",
            f"Its vocabulary has no {STOP}, which ends an answer.",
            "Use a Qwen3 chat model.",
        )
    return base


def convert_once(folder: Path, run: Path) -> Path:
    """Return the GGUF (Q8_0) of a checkpoint, which a run makes once for the files it has now."""
    target = run / f"base-{stamp(folder)}.gguf"
    if not target.exists():
        convert_model(ModelJob(folder, target, "q8_0", name=folder.name))
    return target


def stamp(folder: Path) -> str:
    """Return what tells a checkpoint from another one, and from itself with changed files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return digest(repr((folder.name, facts)))


def described(file: Path, folder: Path | None, header: GGUFFile) -> Base:
    """Return what a GGUF's header says of a base.

    Raises:
        WrongBaseError: it is not a Qwen3.
    """
    facts = header.metadata
    if facts.get("general.architecture") != "qwen3":
        raise WrongBaseError(
            f"Experts cannot be trained for {file}.",
            f"It is a {facts.get('general.architecture')}, and only Qwen3 is supported.",
            "Use a Qwen3 model.",
        )

    def number(key: str) -> float:
        return float(str(facts[f"qwen3.{key}"]))

    shapes = header.tensors
    shape = Shape(
        vocab_size=shapes["token_embd.weight"].shape[1],
        hidden_size=int(number("embedding_length")),
        intermediate_size=int(number("feed_forward_length")),
        num_hidden_layers=int(number("block_count")),
        num_attention_heads=int(number("attention.head_count")),
        num_key_value_heads=int(number("attention.head_count_kv")),
        head_dim=int(number("attention.key_length")),
        max_position_embeddings=int(number("context_length")),
        rope_theta=number("rope.freq_base"),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
    )
    count = 0
    for tensor in shapes.values():
        size = 1
        for length in tensor.shape:
            size *= length
        count += size
    name = str(facts.get("general.name") or file.stem)
    tied = "output.weight" not in shapes
    return Base(file, folder, name, base_identity(header), shape, tied, count)
