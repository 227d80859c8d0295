"""Manifests 1.0 and 2.0 of the first `.expert` format, read into the present one.

That format had one adapter a package, weights in PEFT's form, and fields whose meaning was never
settled; what has no counterpart is dropped and named, so that nothing vanishes silently.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from expert.errors import ExpertError, VerificationError
from expert.package.manifest import (
    SCHEMA,
    Adapter,
    Base,
    BaseIdentity,
    Dataset,
    Figure,
    Grammar,
    Limitation,
    Manifest,
    Routing,
    Sampling,
    Training,
)
from expert.package.ranges import Range
from expert.package.rules import check_manifest

WEIGHTS, CONFIG, GRAMMAR = "adapter_model.safetensors", "adapter_config.json", "grammar.gbnf"
_KEPT = frozenset(
    (
        *("name", "version", "schema_version", "description", "license", "author", "homepage"),
        *("tags", "base_model", "base_models", "adapters", "capabilities", "routing"),
        *("constraints", "training", "evaluation", "limitations", "quality_metrics"),
    )
)


@dataclass(frozen=True, slots=True)
class Migrated:
    """A manifest in the present form, and what could not be taken over."""

    manifest: Manifest
    notes: list[str] = field(default_factory=list)


def migrate_manifest(
    data: bytes, publisher: str, identity: BaseIdentity, files: frozenset[str]
) -> Migrated:
    """Return the manifest that *data*, one of schema 1.0 or 2.0, becomes.

    Args:
        data: the JSON of the old manifest.
        publisher: who will publish the new package; the old one had no such field.
        identity: the base model it was made for, which the old one knew only by a path.
        files: the files that stand beside it.

    Raises:
        VerificationError: it is not such a manifest.
    """
    old = _decode(data)
    notes = [f"dropped: {key}" for key in sorted(old) if key not in _KEPT and key[:1] != "_"]
    reader = _Reader(old, publisher, notes)
    try:
        made = msgspec.to_builtins(reader.manifest(identity, files))
        manifest = msgspec.convert(made, Manifest)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _refusal(f"A field is missing or of the wrong kind: {error!a}") from None
    check_manifest(manifest, packed=False)
    return Migrated(manifest, notes)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        old = msgspec.json.decode(data, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise _refusal(f"{error!a}") from None
    if old.get("schema_version", "1.0") not in ("1.0", "2.0"):
        raise _refusal(f"Its schema_version is {old['schema_version']!a}, not 1.0 or 2.0.")
    if ("base_model" in old) == ("base_models" in old):
        raise _refusal("It has neither or both of base_model and base_models.")
    return old


def _refusal(why: str) -> VerificationError:
    return VerificationError(
        "This is not a manifest of the first .expert format.",
        why[:300],
        "Give a manifest.json of schema 1.0 or 2.0, or a .expert package with one.",
    )


@dataclass(slots=True)
class _Reader:
    """Takes an old manifest apart, piece by piece, and notes what is lost."""

    old: dict[str, Any]
    publisher: str
    notes: list[str]

    def manifest(self, identity: BaseIdentity, files: frozenset[str]) -> Manifest:
        text = _line(self.old["description"], 2000)
        constraints = self.old.get("constraints") or {}
        adapter = self._adapter()
        return Manifest(
            schema=SCHEMA,
            publisher=self.publisher,
            name=_slug(self.old["name"]),
            version=self.old["version"],
            summary=_line(text, 200),
            description=text if len(text) > 200 else None,
            license=self.old.get("license") or "NOASSERTION",
            homepage=self.old.get("homepage"),
            bases=(Base(name=self._base_name(), identity=identity, adapter=adapter),),
            tags=self._tags("tags"),
            capabilities=self._tags("capabilities"),
            grammar=self._grammar(files),
            sampling=self._sampling(),
            routing=self._routing(),
            requires=self._relations(constraints.get("requires"), "requires"),
            conflicts=self._relations(constraints.get("incompatible_with"), "incompatible_with"),
            training=self._training(),
            evaluation=self._evaluation(),
            limitations=tuple(map(_limitation, self.old.get("limitations") or ())),
            documents=tuple(sorted(files & {"README.md", "LICENSE.txt"})),
        )

    @property
    def _base(self) -> dict[str, Any]:
        models = self.old.get("base_models") or [self.old["base_model"]]
        if len(models) > 1:
            self.notes.append(f"only the first of {len(models)} base models")
        base: dict[str, Any] = models[0]
        return base

    def _base_name(self) -> str:
        # Published manifests name the author's own folder, with either kind of slash.
        return re.split(r"[\\/]", str(self._base["name"]).rstrip("\\/"))[-1]

    def _adapter(self) -> Adapter:
        listed = self.old.get("adapters") or self._base.get("adapters") or []
        if len(listed) != 1:
            self.notes.append(f"the first of {len(listed)} adapters")
        old = listed[0]
        kind: Any = "dora" if old.get("use_dora") else old["type"]
        targets = (*old["target_modules"], *(old.get("feedforward_modules") or ()))
        if self.old.get("soft_prompts"):
            self.notes.append("dropped: soft prompts, which are Python pickles")
        return Adapter(
            file=WEIGHTS,
            kind=kind,
            format="peft",
            config=CONFIG,
            rank=old.get("r"),
            alpha=None if old.get("alpha") is None else float(old["alpha"]),
            targets=tuple(dict.fromkeys(targets)),
        )

    def _tags(self, key: str) -> tuple[str, ...]:
        clean = (re.sub(r"[^a-z0-9:.+_-]+", "-", tag.lower()) for tag in self.old.get(key) or ())
        return tuple(dict.fromkeys(re.sub(r"[:.+_-]+$|^[:.+_-]+", "", tag) for tag in clean))

    def _decoding(self) -> dict[str, Any]:
        training = self.old.get("training") or {}
        return training.get("decoding") or {}

    def _grammar(self, files: frozenset[str]) -> Grammar | None:
        if GRAMMAR not in files:
            return None
        self.notes.append("the grammar was never enforced by the first program; test it")
        return Grammar(format="gbnf", file=GRAMMAR)

    def _sampling(self) -> Sampling | None:
        old = self._decoding()
        numbers = {key: old[key] for key in ("temperature", "top_p", "top_k") if key in old}
        stop = tuple(old.get("stop_sequences") or ())
        return Sampling(**numbers, stop=stop) if numbers or stop else None

    def _routing(self) -> Routing | None:
        old = self.old.get("routing")
        if not old:
            return None
        if "router_hint" in old:
            self.notes.append("dropped: routing.router_hint")
        return Routing(
            keywords=tuple(old.get("keywords") or ()),
            excludes=tuple(old.get("exclude_keywords") or ()),
            priority=old.get("priority"),
        )

    def _relations(self, old: list[str] | None, field: str) -> dict[str, str]:
        """Read `name@range`, in which the range may be missing or `*`."""
        found: dict[str, str] = {}
        for relation in old or ():
            name, _, text = relation.partition("@")
            try:
                found[f"{self.publisher}/{_slug(name)}"] = Range.parse(text.strip() or "*").text
            except ExpertError:
                self.notes.append(f"dropped: {field} {relation!a}")
        return found

    def _training(self) -> Training:
        old = self.old.get("training") or {}
        config, dataset = old.get("config") or {}, old.get("dataset") or {}
        sources = dataset.get("sources") or ([dataset] if dataset.get("path") else [])
        simple = (str, int, float, bool)
        return Training(
            method=str(config.get("method") or "sft"),
            datasets=tuple(map(_dataset, sources)),
            settings={
                key: value
                for key, value in config.items()
                if isinstance(value, simple) and re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)*", key)
            },
        )

    def _evaluation(self) -> tuple[Figure, ...]:
        old = self.old.get("quality_metrics") or {}
        if "benchmark_score" not in old:
            return ()
        return (
            Figure(
                metric="score of 10, by the publisher's own rule",
                dataset="the publisher's own queries",
                samples=int(old.get("test_queries") or 0),
                expert=float(old["benchmark_score"]),
                base=old.get("base_model_score"),
            ),
        )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removeprefix("expert-")


def _line(text: str, length: int) -> str:
    """Return *text* on one line of at most *length* characters."""
    words = " ".join(text.split())
    return words if len(words) <= length else words[: length - 1] + "…"


def _dataset(old: dict[str, Any]) -> Dataset:
    name = re.split(r"[\\/]", str(old.get("name") or old.get("path")))[-1]
    return Dataset(name=name, rows=old.get("processed_examples"))


def _limitation(old: str | dict[str, Any]) -> Limitation:
    if isinstance(old, str):
        return Limitation(description=old)
    return Limitation(
        description=f"{old['pattern']}: {old['description']}",
        example=old.get("example"),
        workaround=old.get("workaround"),
    )
