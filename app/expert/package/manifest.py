"""The manifest: everything a package says about its expert, as strict types.

These types are the one source for code, JSON Schema and documentation. There is no field for code,
templates or pickles. Absent fields stay absent when a manifest is written, so that a field added
later changes no older manifest, nor its hash.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, structs

from expert.types import Parameters

SCHEMA = 1
"""The version of this format; a reader refuses a higher one."""

_SLUG = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
Slug: TypeAlias = Annotated[str, Meta(pattern=f"^{_SLUG}$")]
QualifiedName: TypeAlias = Annotated[str, Meta(pattern=f"^{_SLUG}/{_SLUG}$")]
Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FilePath: TypeAlias = Annotated[str, Meta(min_length=1, max_length=80)]
Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Paragraph: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2000)]
Example: TypeAlias = Annotated[str, Meta(min_length=1, max_length=400)]
Tag: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9]+(?:[:.+_-][a-z0-9]+)*$", max_length=64)]
Range: TypeAlias = Annotated[str, Meta(max_length=256)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Ratio: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of a manifest: immutable, and nothing in it that is not declared."""


class BaseIdentity(Part, frozen=True, kw_only=True):
    """Which weights an adapter fits; every quantisation of the same weights shares it."""

    architecture: Slug
    shapes: Sha256
    """Hash of the tensor names and shapes."""
    tokenizer: Sha256
    """Hash of the vocabulary."""
    norms: Sha256
    """Hash of the norm tensors, which stay F32 in every quantisation."""


class Adapter(Part, frozen=True, kw_only=True):
    """How an expert changes its base model."""

    file: FilePath | None = None
    """The weights; absent when the expert is only a soft prompt."""
    kind: Literal["lora", "dora", "adalora", "loha", "lokr", "vera", "ia3", "control-vector"] = (
        "lora"
    )
    """What the weights are; in GGUF every exact low-rank kind is a plain `lora`."""
    format: Literal["gguf", "peft", "packed"] = "gguf"
    """`packed`: a few bits a value, expanded to GGUF when the expert is first used."""
    config: FilePath | None = None
    """PEFT's `adapter_config.json`; only with the format `peft`."""
    rank: Annotated[int, Meta(ge=1, le=8192)] | None = None
    alpha: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    targets: Annotated[tuple[Tag, ...], Meta(max_length=64)] = ()
    """Adapted modules, such as `q_proj`."""
    activation: Literal["prompt", "answer"] = "prompt"
    """`prompt`: from the first token; `answer`: from the invocation tokens on."""
    invocation_tokens: Annotated[tuple[Count, ...], Meta(max_length=64)] = ()
    soft_prompt: FilePath | None = None
    """Input embeddings put before the prompt."""


class Base(Part, frozen=True, kw_only=True):
    """A base model that the expert was made for, with the adapter for it."""

    name: Line
    identity: BaseIdentity
    adapter: Adapter
    quantisations: Annotated[tuple[Line, ...], Meta(max_length=32)] = ()
    """Quantisations it was tested with, such as Q8_0."""


class Grammar(Part, frozen=True, kw_only=True):
    """The form that every answer has."""

    format: Literal["gbnf", "json-schema", "sql"]
    file: FilePath | None = None
    """Absent for `sql`, whose grammar is made from the schema in the prompt."""
    verbatim: bool = False
    """Texts of a query are words of the question, codes of up to three capitals, Yes or No."""


class Sampling(Part, frozen=True, kw_only=True):
    """How to choose tokens where the user does not say."""

    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    min_p: Ratio | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    stop: Annotated[tuple[Line, ...], Meta(max_length=16)] = ()


class Routing(Part, frozen=True, kw_only=True):
    """When a prompt is for this expert."""

    keywords: Annotated[tuple[Line, ...], Meta(max_length=200)] = ()
    excludes: Annotated[tuple[Line, ...], Meta(max_length=200)] = ()
    examples: Annotated[tuple[Example, ...], Meta(max_length=200)] = ()
    """Prompts that belong to it."""
    priority: Ratio | None = None


class Dataset(Part, frozen=True, kw_only=True):
    """Data that an expert learned from."""

    name: Line
    license: Line | None = None
    url: Line | None = None
    rows: Count | None = None


class Training(Part, frozen=True, kw_only=True):
    """How the adapter was made."""

    method: Line
    datasets: Annotated[tuple[Dataset, ...], Meta(max_length=32)] = ()
    steps: Count | None = None
    tokens: Count | None = None
    seed: Count | None = None
    minutes: Annotated[float, Meta(ge=0)] | None = None
    hardware: Line | None = None
    recipe: Sha256 | None = None
    """Hash of the recipe that repeats it."""
    settings: dict[Tag, str | int | float | bool] = {}


class Figure(Part, frozen=True, kw_only=True):
    """One measured result beside the base model's; the expert may be the worse one."""

    metric: Line
    dataset: Line
    samples: Count
    expert: float
    base: float | None = None
    """The base model alone, under the same conditions."""
    few_shot: float | None = None
    """The base model with examples in its prompt."""
    grammar: float | None = None
    """The expert under its grammar."""
    interval: tuple[float, float] | None = None
    """95 % confidence interval of `expert`."""
    model: Line | None = None
    """The base's name, where there are several."""
    lower_is_better: bool = False


class Limitation(Part, frozen=True, kw_only=True):
    """Something the expert is known to do badly."""

    description: Paragraph
    example: Paragraph | None = None
    workaround: Paragraph | None = None


class File(Part, frozen=True, kw_only=True):
    """A file of the package, raw and as stored."""

    path: FilePath
    size: Count
    sha256: Sha256
    encoding: Literal["raw", "zstd"] = "raw"
    stored_size: Count | None = None
    """Only when compressed."""
    stored_sha256: Sha256 | None = None
    """Only when compressed."""

    @property
    def packed_size(self) -> int:
        """Bytes that the file takes in the package."""
        return self.size if self.stored_size is None else self.stored_size

    @property
    def packed_sha256(self) -> str:
        """Hash of the bytes in the package."""
        return self.stored_sha256 or self.sha256


class Manifest(Part, frozen=True, kw_only=True):
    """An expert: who made it, for which base models, and everything in its package."""

    schema: Annotated[int, Meta(ge=1)]
    publisher: Slug
    name: Slug
    version: Annotated[str, Meta(max_length=64)]
    """A semantic version; never given to other content again."""
    summary: Line
    license: Line
    """An SPDX expression."""
    bases: Annotated[tuple[Base, ...], Meta(min_length=1, max_length=16)]
    description: Paragraph | None = None
    homepage: Line | None = None
    tags: Annotated[tuple[Tag, ...], Meta(max_length=32)] = ()
    capabilities: Annotated[tuple[Tag, ...], Meta(max_length=64)] = ()
    """What it can do, such as `language:sql` or `task:extract`."""
    grammar: Grammar | None = None
    system_prompt: Annotated[str, Meta(min_length=1, max_length=8000)] | None = None
    """Only for experts that are active from the first token."""
    sampling: Sampling | None = None
    routing: Routing | None = None
    requires: dict[QualifiedName, Range] = {}
    """Experts it needs, with the versions that will do."""
    conflicts: dict[QualifiedName, Range] = {}
    """Experts it must not be installed beside."""
    training: Training | None = None
    evaluation: Annotated[tuple[Figure, ...], Meta(max_length=64)] = ()
    limitations: Annotated[tuple[Limitation, ...], Meta(max_length=64)] = ()
    documents: Annotated[tuple[FilePath, ...], Meta(max_length=8)] = ()
    """Texts for people, such as README.md or LICENSE.txt."""
    files: Annotated[tuple[File, ...], Meta(max_length=32)] = ()
    """Every file of the package, in order; written when it is packed."""
    extra: dict[Line, Any] = {}
    """Anything else; nothing in Expert depends on it."""

    @property
    def parameters(self) -> Parameters:
        """How to generate where the user does not say."""
        return Parameters(**structs.asdict(self.sampling)) if self.sampling else Parameters()

    @property
    def qualified_name(self) -> str:
        """Publisher and name."""
        return f"{self.publisher}/{self.name}"

    @property
    def label(self) -> str:
        """Publisher, name and version, as people type them."""
        return f"{self.publisher}/{self.name}@{self.version}"

    @property
    def unpacked_size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
