"""From a form to a grammar: `read_form` gives the rules, `compile_form` what can be started."""

import json
import re
from dataclasses import replace
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.grammar.compile import compile_grammar
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.form import (
    Choice,
    Grammar,
    Node,
    Reference,
    Repeat,
    Schema,
    Sequence,
    choice,
    sequence,
)
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.language.kinds import RESERVED, Kinds
from expert.grammar.language.reader import Definition, read
from expert.grammar.language.source import Place
from expert.grammar.language.templates import block, template
from expert.grammar.schema.contract import compile_schema
from expert.grammar.schema.probe import engine_error
from expert.resources import data

_DEEPEST = 8  # forms that lead to forms
_LARGEST = 1_000_000  # bytes of a file that a form names
_SUFFIX = ".form"


def read_form(text: str, source: str = "form", folder: Path | None = None) -> Grammar:
    """Return the grammar of a form; files it names are looked for in *folder*.

    Raises:
        UsageError: it is no form; *what* starts with *source*, line and column.
        NotFoundError: a file that it names does not exist.
    """
    return _Compiler(folder).grammar(text, source)


def compile_form(text: str, source: str = "form", folder: Path | None = None) -> CompiledGrammar:
    """Read a form and make it ready to start; one that is only a schema keeps all of its checks.

    Raises:
        UsageError: it is no form, or nothing matches it.
        NotFoundError: a file that it names does not exist.
    """
    grammar = read_form(text, source, folder)
    root = grammar.rules[grammar.root]
    return compile_schema(root.text) if isinstance(root, Schema) else compile_grammar(grammar)


class _Compiler:
    def __init__(self, folder: Path | None, depth: int = 0) -> None:
        self._folder = folder
        self._depth = depth
        self._rules: dict[str, Node] = {}
        self._alone = False
        """Whether the form is a schema and nothing else."""
        self._loaded: dict[tuple[str, str], Node] = {}

    def grammar(self, text: str, source: str) -> Grammar:
        definitions = read(text, source)
        for name, definition in definitions.items():
            if name in RESERVED:
                raise definition.place.error(
                    f"`{name}` is the name of a kind", "Give the definition another name."
                )
        first = next(iter(definitions.values()))
        self._alone = len(definitions) == 1 and [one.text for one in first.kind[:1]] == ["schema"]
        kinds = Kinds(frozenset(definitions), self._template, self._load)
        self._kinds = kinds
        for name, definition in definitions.items():
            self._rules[name] = self._definition(definition)
        return Grammar(self._rules, next(iter(definitions)))

    def _definition(self, definition: Definition) -> Node:
        if definition.lines:
            return block(definition.lines, self._kinds.parse)
        return self._kinds.parse(definition.kind, definition.place)

    def _template(self, text: str, place: Place) -> Node:
        return template(text, place, self._kinds.parse)

    def _load(self, kind: str, name: str, place: Place) -> Node:
        if (kind, name) not in self._loaded:
            load = self._schema if kind == "schema" else self._other
            try:
                self._loaded[kind, name] = load(name, place)
            except ExpertError as error:
                if error.what.startswith(f"{place.source}:{place.line}:"):
                    raise
                raise place.error(
                    f"{name} cannot be used here", error.fix, f"{error.what} {error.why}".strip()
                ) from error
        return self._loaded[kind, name]

    def _schema(self, name: str, place: Place) -> Node:
        try:
            text = json.dumps(json.loads(self._file(name)), ensure_ascii=True)
        except (ValueError, RecursionError) as error:
            raise place.error(
                f"{name} is no JSON", "Name a JSON Schema file.", str(error)
            ) from error
        if not self._alone and (reason := _refusal(text)):
            raise place.error(
                f"the schema {name} cannot be a part of a form",
                "Use it alone with --schema, which also checks what the mask engine cannot.",
                reason,
            )
        return Schema(text)

    def _other(self, name: str, place: Place) -> Node:
        """Return another grammar's root, with its rules beside the form's own."""
        shipped = data("grammars").joinpath(f"{name}.gbnf")
        if re.fullmatch(r"[a-z][a-z0-9-]*", name) and shipped.is_file():
            grammar = parse_gbnf(shipped.read_text("utf-8"), name)
        elif name.endswith(_SUFFIX):
            if self._depth >= _DEEPEST:
                raise place.error("forms lead to forms without an end", "Let one name no other.")
            path = (self._folder or Path()) / name
            grammar = _Compiler(path.parent, self._depth + 1).grammar(self._file(name), name)
        else:
            grammar = parse_gbnf(self._file(name), name)
        stem = re.sub(r"\W+", "-", Path(name).stem)
        known = {rule: f"{stem}:{len(self._loaded)}:{rule}" for rule in grammar.rules}
        self._rules.update(
            (known[rule], _renamed(node, known)) for rule, node in grammar.rules.items()
        )
        return Reference(known[grammar.root])

    def _file(self, name: str) -> str:
        path = (self._folder or Path()) / name
        try:
            with path.open("rb") as file:
                raw = file.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            raise NotFoundError(
                f"There is no file {name}.", str(error), "Name it as seen from the form's folder."
            ) from error
        if len(raw) > _LARGEST:
            raise UsageError(f"{name} is too large.", f"{_LARGEST:,} bytes are read at most.")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{name} is no text.", str(error), "Save it as UTF-8.") from error


def _refusal(schema: str) -> str:
    """Return why the engine alone cannot hold an answer to *schema*, or nothing."""
    return engine_error(f"start: value\nvalue: %json {schema}")


def _renamed(node: Node, names: dict[str, str]) -> Node:
    match node:
        case Reference(name):
            return Reference(names[name])
        case Sequence(parts):
            return sequence(*(_renamed(part, names) for part in parts))
        case Choice(options):
            return choice(*(_renamed(option, names) for option in options))
        case Repeat(item):
            return replace(node, item=_renamed(item, names))
        case _:
            return node
