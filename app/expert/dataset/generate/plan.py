"""What is to be made, by which model, at which price: one TOML file, read into frozen records."""

from __future__ import annotations

import ipaddress
import json
import tomllib
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from expert.dataset.reading import Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.tasks import TASKS
from expert.errors import NotFoundError, UsageError

Section = TypeVar("Section")
PROVIDERS = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "deepseek": ("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
}
"""The address of each, and the environment variable with its key."""


@dataclass(frozen=True)
class Endpoint:
    """A model at an address."""

    name: str
    """As the provider calls the model."""
    provider: str = "openai"
    """Whose protocol: openai (also of llama.cpp, vLLM, Ollama and others), anthropic, deepseek."""
    url: str = ""
    """Empty: the provider's own."""
    key: str = ""
    """The environment variable that holds the key; empty: the provider's own."""
    temperature: float = 1.0
    max_tokens: int = 4096
    """Of one reply."""
    seconds: float = 300.0
    """The longest that one reply may take."""

    @property
    def address(self) -> str:
        return (self.url or PROVIDERS[self.provider][0]).rstrip("/")

    @property
    def variable(self) -> str:
        return self.key or PROVIDERS[self.provider][1]

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.address).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


@dataclass(frozen=True)
class Price:
    """Money for a million tokens, in whatever currency the provider bills."""

    input: float
    output: float

    def of(self, sent: int, received: int) -> float:
        """Return what so many tokens cost."""
        return (sent * self.input + received * self.output) / 1e6


@dataclass(frozen=True)
class Wanted:
    """What rows are to be like."""

    instruction: str
    """What the model is told to write."""
    task: str = ""
    """What answers are checked as: sql, json, shell or regex; empty: any text."""
    schema: str = ""
    """A file, beside the plan: what answers of sql and json are checked against, and shown."""
    kind: str = "conversation"
    """Or preference: each row with a rejected answer too."""
    topics: tuple[str, ...] = ()
    """Each request is about one of them, so that rows differ."""
    seeds: str = ""
    """A file of rows, beside the plan, some of which each request shows."""
    shots: int = 3
    """How many."""
    rows_a_request: int = 10
    near: float = 0.8
    """Share of character groups from which two prompts are the same; 1: only equal ones."""
    longest: int = 8000
    """Characters of a row."""


@dataclass(frozen=True)
class Plan:
    """All of it."""

    wanted: Wanted
    endpoint: Endpoint
    price: Price
    seeds: tuple[Row, ...]
    schema: Path | None
    schema_text: str

    @property
    def identity(self) -> str:
        """A hash of everything that decides what is asked."""
        parts = [asdict(self.wanted), asdict(self.endpoint), self.schema_text]
        text = json.dumps([*parts, [row.fields() for row in self.seeds]], sort_keys=True)
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_plan(path: Path) -> Plan:
    """Read a plan and what it names.

    Raises:
        NotFoundError: it, its seeds or its schema are not there.
        UsageError: a setting is missing, unknown or impossible.
        VerificationError: a seed is no row.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"The plan {path} cannot be read.", f"{error.strerror}.", "Check the path."
        ) from error
    except ValueError as error:
        raise _refusal(path, str(error)) from error
    try:
        endpoint = _section(Endpoint, values.pop("model", None), "model")
        price = _price(values.pop("price", None), endpoint)
        wanted = _section(Wanted, values, "the plan")
        _check(wanted, endpoint, price)
    except ValueError as error:
        raise _refusal(path, str(error)) from error
    schema = path.parent / wanted.schema if wanted.schema else None
    seeds = tuple(read_rows(Source(path.parent / wanted.seeds))) if wanted.seeds else ()
    return Plan(wanted, endpoint, price, seeds, schema, _text(schema) if schema else "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"The schema {path} cannot be read.", f"{error}.", "") from error


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(f"The plan {path} cannot be used.", f"{why}.", "Correct it.")


def _section(kind: type[Section], values: Any, name: str) -> Section:
    """Return a table of TOML as its record, every value of the kind that its field has."""
    if not isinstance(values, dict):
        raise ValueError(f"it has no [{name}]")
    declared = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]  # sections are dataclasses
    for key, value in values.items():
        if key not in declared:
            raise ValueError(f"{name} has no setting {key!r}; it has {', '.join(declared)}")
        if not _fits(value, declared[key]):
            raise ValueError(f"{key} is {value!r}, expected {declared[key]}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as error:
        missing = str(error).partition("argument")[2].strip(" s:")
        raise ValueError(f"{name} lacks {missing or error}") from error


def _fits(value: object, declared: str) -> bool:
    if declared in ("int", "float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and value >= 0 and (declared == "float" or isinstance(value, int))  # type: ignore[operator]  # a number by now
    if declared.startswith("tuple"):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _price(values: Any, endpoint: Endpoint) -> Price:
    if values is None and endpoint.is_local:
        return Price(0.0, 0.0)
    if values is None:
        raise ValueError(
            "it has no [price]; give input and output, in money for a million tokens, as your "
            "provider lists them"
        )
    return _section(Price, values, "price")


def _check(wanted: Wanted, endpoint: Endpoint, price: Price) -> None:
    """Refuse what cannot be.

    Raises:
        ValueError: it says what.
    """
    if not wanted.instruction.strip():
        raise ValueError("the instruction is empty")
    if wanted.task not in ("", *TASKS):
        raise ValueError(f"task is {wanted.task!r}, none of {', '.join(TASKS)}")
    if wanted.kind not in ("conversation", "preference"):
        raise ValueError(f"kind is {wanted.kind!r}, neither conversation nor preference")
    if not 0 < wanted.near <= 1 or wanted.rows_a_request < 1 or endpoint.max_tokens < 1:
        raise ValueError("near is above 0 and at most 1, rows_a_request and max_tokens above 0")
    if endpoint.provider not in PROVIDERS:
        raise ValueError(f"provider is {endpoint.provider!r}, none of {', '.join(PROVIDERS)}")
    address = urlsplit(endpoint.address)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f"the url {endpoint.address!r} is none of http or https")
    if address.username or address.password or address.query:
        raise ValueError("the url holds a name, key or query; a key comes from the environment")
    if address.scheme == "http" and not endpoint.is_local:
        raise ValueError("the url is http to another machine: the key would travel in the open")
