"""What must hold in a manifest beyond the types of its fields."""

from collections.abc import Iterator
from typing import Any

import msgspec

from expert.errors import ExpertError, VerificationError
from expert.package.limits import LIMITS, Limits
from expert.package.manifest import Adapter, File, Manifest
from expert.package.names import collision, path_problem
from expert.package.ranges import Range
from expert.package.semver import MAX_NUMBER, Version
from expert.package.text import MULTILINE, inert, texts

WEIGHTS = {"gguf": (".gguf",), "peft": (".safetensors",), "packed": (".gguf",)}
GRAMMARS = {"gbnf": (".gbnf",), "json-schema": (".json",), "sql": (".gbnf",)}
UNRANKED = ("ia3", "control-vector")
DOCUMENTS = (".md", ".txt")
SOFT_PROMPTS = (".gguf", ".safetensors")


def check_manifest(manifest: Manifest, *, packed: bool, limits: Limits = LIMITS) -> None:
    """Check *manifest*; a *packed* one must list its files as well.

    Raises:
        VerificationError: it lists what is wrong, the first five of it.
    """
    problems = [*_identity(manifest), *_texts(manifest), *_bases(manifest), *_paths(manifest)]
    problems += _files(manifest, limits) if packed else []
    if not problems:
        return
    shown = "; ".join(problems[:5]) + ("; …" if len(problems) > 5 else "")
    raise VerificationError(
        "The manifest is not valid.", f"{shown}.", "Correct it, or ask its publisher to."
    )


def references(manifest: Manifest) -> list[str]:
    """Return the files that a manifest speaks of, sorted: exactly these are in its package."""
    found: set[str | None] = set(manifest.documents)
    for base in manifest.bases:
        found |= {base.adapter.file, base.adapter.config, base.adapter.soft_prompt}
    if manifest.grammar is not None:
        found.add(manifest.grammar.file)
    return sorted(path for path in found if path is not None)


def _identity(manifest: Manifest) -> Iterator[str]:
    try:
        Version.parse(manifest.version)
    except ExpertError as error:
        yield f"version: {error.what}"
    for field in ("requires", "conflicts"):
        for name, text in getattr(manifest, field).items():
            if name == manifest.qualified_name:
                yield f"{field}: the expert names itself"
            try:
                Range.parse(text)
            except ExpertError as error:
                yield f"{field}.{name}: {error.what}"
    for figure in manifest.evaluation:
        if figure.interval is not None and figure.interval[0] > figure.interval[1]:
            yield f"evaluation: the interval of {figure.metric!r} is upside down"


def _texts(manifest: Manifest) -> Iterator[str]:
    for field, text in texts(msgspec.to_builtins(manifest)):
        if not inert(text, multiline=field in MULTILINE):
            yield f"{field}: {text[:40]!a} holds characters that would act on a terminal"
    problem = _extra_problem(manifest.extra, LIMITS.depth)
    if problem:
        yield f"extra: {problem}"


def _extra_problem(value: Any, depth: int) -> str | None:
    if depth == 0:
        return f"it is nested deeper than {LIMITS.depth} levels"
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        return "a number is too large"
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (_extra_problem(item, depth - 1) for item in items)), None)


def _bases(manifest: Manifest) -> Iterator[str]:
    identities = [base.identity for base in manifest.bases]
    if len(set(identities)) < len(identities):
        yield "bases: two of them are the same model"
    for base in manifest.bases:
        for problem in _adapter(base.adapter):
            yield f"the adapter for {base.name}: {problem}"
    late = any(base.adapter.activation == "answer" for base in manifest.bases)
    if manifest.system_prompt is not None and late:
        yield "system_prompt: an expert that starts at the answer keeps the base's own prompt"


def _adapter(adapter: Adapter) -> Iterator[str]:
    if adapter.file is None and adapter.soft_prompt is None:
        yield "it has neither a file nor a soft prompt"
    if (adapter.format == "peft") != (adapter.config is not None):
        yield "a PEFT adapter has a config, another has none"
    ranked = adapter.file is not None and adapter.kind not in UNRANKED
    if ranked != (adapter.rank is not None) or ranked != (adapter.alpha is not None):
        yield "low-rank kinds have a rank and an alpha, others have none"
    if (adapter.activation == "answer") != bool(adapter.invocation_tokens):
        yield "one that starts at the answer has invocation tokens, another has none"
    if adapter.activation == "answer" and adapter.soft_prompt is not None:
        yield "a soft prompt stands before the prompt, so it cannot start at the answer"


def _paths(manifest: Manifest) -> Iterator[str]:
    for path, endings in _roles(manifest):
        if problem := path_problem(path):
            yield f"the file {path!a}: {problem}"
        elif not path.endswith(endings):
            yield f"the file {path}: this kind of file ends with {' or '.join(endings)}"
    if twin := collision(references(manifest)):
        yield f"the file {twin!a} has a twin on systems that ignore case, or is inside another"
    grammar = manifest.grammar
    if grammar is not None and grammar.file is None and grammar.format != "sql":
        yield f"grammar: the format {grammar.format} needs a file"
    if grammar is not None and grammar.verbatim and grammar.format != "sql":
        yield "grammar: `verbatim` is only for sql; a JSON Schema says it of each string"


def _roles(manifest: Manifest) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each file with the endings that its use allows."""
    for base in manifest.bases:
        adapter = base.adapter
        if adapter.file is not None:
            yield adapter.file, WEIGHTS[adapter.format]
        if adapter.config is not None:
            yield adapter.config, (".json",)
        if adapter.soft_prompt is not None:
            yield adapter.soft_prompt, SOFT_PROMPTS
    if manifest.grammar is not None and manifest.grammar.file is not None:
        yield manifest.grammar.file, GRAMMARS[manifest.grammar.format]
    for path in manifest.documents:
        yield path, DOCUMENTS


def _files(manifest: Manifest, limits: Limits) -> Iterator[str]:
    listed = [file.path for file in manifest.files]
    if listed != references(manifest):
        yield "files: they are not exactly the files it speaks of, sorted by path"
    if manifest.unpacked_size > limits.total:
        yield f"files: they are larger than {limits.total >> 30} GiB together"
    for file in manifest.files:
        if problem := _file_problem(file, limits):
            yield f"the file {file.path!a}: {problem}"


def _file_problem(file: File, limits: Limits) -> str | None:
    compressed = file.encoding == "zstd"
    if compressed != (file.stored_size is not None) or compressed != bool(file.stored_sha256):
        return "the stored size and hash are given when it is compressed, and only then"
    if compressed and not 0 < file.packed_size < file.size:
        return "compression makes a file smaller"
    if compressed and file.size > limits.ratio * file.packed_size:
        return f"it is packed more than {limits.ratio} to 1"
    return None
