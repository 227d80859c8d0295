"""The form an answer must have: chosen by the user's grammar or schema, or by the expert's own.

A grammar is a name of one that ships, a file, or its text; a schema is a file, JSON text, or a
JSON value; an SQL schema is a database or the text that creates its tables.
"""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert import resources
from expert.engine.constrained import Contract, Reasoning
from expert.errors import ContractError, NotFoundError, UsageError
from expert.paths import expanded
from expert.tables import shown_tables, words_besides_tables
from expert.types import ExpertChoice, Request

if TYPE_CHECKING:
    from expert.grammar.constraint import CompiledGrammar, Constraint
    from expert.grammar.sql.schema import Schema
    from expert.grammar.tokens import TokenTable

_LARGEST = 16 << 20  # bytes of a grammar or schema file
_FORM = ".form"  # our own grammar language
_SUFFIXES = (".gbnf", _FORM)
_TOKEN = "<["  # how the mask engine's text refers to a token


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What every answer to a request must look like."""

    name: str
    grammar: "CompiledGrammar"
    tables: "Schema | None" = None
    """The tables it asks about, which the model must see too."""

    def contract(
        self, table: "Callable[[], TokenTable]", reasoning: Reasoning | None = None
    ) -> Contract:
        """Return it as the engine takes it; *table* is called when the answer begins."""

        def start(limit: int) -> "Constraint":
            return self.grammar.start(table(), limit)

        return Contract(start, reasoning)

    def check(self, text: str, table: "TokenTable", *, complete: bool = True) -> None:
        """Read a whole answer once more, from its text alone.

        *complete* is what the engine says of it. It alone counts for a grammar that asks for
        tokens by their name, which no text shows.

        Raises:
            ContractError: the answer does not have this form, or is not whole.
        """
        constraint = self.grammar.start(table)
        if _TOKEN in self.grammar.engine:
            if not complete:
                raise self._unfinished(text)
            return
        for token in table.encode(text):
            if not constraint.allows(token):
                raise ContractError(
                    f"The text does not match {self.name}.",
                    f"It stops fitting after {constraint.text()[-40:]!r}.",
                    "Ask again, or change the grammar.",
                )
            constraint.accept(token)
        if not constraint.can_end():
            raise self._unfinished(text)
        constraint.check(text)

    def _unfinished(self, text: str) -> ContractError:
        return ContractError(
            f"The text stops in the middle of {self.name}.",
            f"It ends with {text[-40:]!r}, where more must follow.",
            "Raise the limit of tokens (--max-tokens), or ask for less.",
        )


def choose_form(request: Request, experts: tuple[ExpertChoice, ...] = ()) -> AnswerForm | None:
    """Return the form that a request asks for, else the one its experts answer in, if any.

    Raises:
        UsageError: the grammar or schema is wrong, or more than one is asked for.
        NotFoundError: there is no such file or grammar.
    """
    asked: dict[str, tuple[Any, Callable[[Any], AnswerForm]]] = {
        "grammar": (request.grammar, read_grammar),
        "schema": (request.schema, partial(read_schema, question=request.question)),
        "SQL schema": (
            request.sql_schema,
            partial(read_sql_schema, words=_copied(request, experts)),
        ),
    }
    wanted = [(name, value, read) for name, (value, read) in asked.items() if value is not None]
    if len(wanted) > 1:
        raise UsageError(
            f"An answer cannot have a {wanted[0][0]} and a {wanted[1][0]} at once.",
            "Each of them says what the whole answer looks like.",
            "Give one of them.",
        )
    if wanted:
        _, value, read = wanted[0]
        return read(value)
    for choice in experts:
        profile = choice.profile
        if profile is not None and profile.grammar is not None:
            if profile.grammar_format == "json-schema":
                return read_schema(profile.grammar, request.question)
            return read_grammar(profile.grammar)
        if profile is not None and profile.grammar_format == "sql":
            return _form_of_tables(shown_tables(request), _copied(request, experts))
    return None


def _copied(request: Request, experts: tuple[ExpertChoice, ...]) -> str | None:
    """Return the words that texts of a query must be; None: they may be any."""
    profiles = (choice.profile for choice in experts if choice.profile is not None)
    asked = next((one.verbatim for one in profiles if one.grammar_format == "sql"), False)
    return words_besides_tables(request) if asked or request.verbatim else None


def _form_of_tables(tables: "Schema | None", words: str | None) -> AnswerForm | None:
    from expert.grammar.sql.engine import compile_sql

    if tables is None:
        return None
    return AnswerForm("SQL over the tables shown", compile_sql(tables, question=words))


def shipped_grammars() -> dict[str, Path]:
    """Return the grammars that come with Expert, by name."""
    folder = Path(str(resources.data("grammars")))
    return {
        path.stem: path for path in sorted(folder.glob("*.*")) if path.suffix in (".gbnf", _FORM)
    }


def read_grammar(asked: str | Path) -> AnswerForm:
    """Return the form that a grammar describes: a name, a file or its text.

    Raises:
        UsageError: it is no grammar; the message names line, column and rule.
        NotFoundError: there is neither a grammar of this name nor such a file.
    """
    from expert.grammar.compile import compile_gbnf
    from expert.grammar.language.compiler import compile_form

    if isinstance(asked, str) and "::=" in asked:
        return AnswerForm("the grammar", compile_gbnf(asked))
    path = _find(asked)
    if path.suffix == ".json":
        return read_schema(path)
    text = _read(path, "grammar")
    if path.suffix == _FORM:
        return AnswerForm(path.name, compile_form(text, path.name, path.parent))
    return AnswerForm(path.name, compile_gbnf(text, path.name))


def gbnf_of(asked: str | Path) -> str:
    """Return any grammar as GBNF; of a JSON Schema the nearest, with what it leaves out.

    Raises:
        UsageError: it is no grammar, or has no GBNF.
        NotFoundError: there is neither a grammar of this name nor such a file.
    """
    from expert.grammar.gbnf import parse_gbnf
    from expert.grammar.language.compiler import read_form
    from expert.grammar.language.gbnf_writer import to_gbnf

    path = _find(asked)
    text = _read(path, "grammar")
    if path.suffix == ".json":
        return gbnf_of_schema(text)
    if path.suffix == _FORM:
        return to_gbnf(read_form(text, path.name, path.parent))
    parse_gbnf(text, path.name)
    return text


def gbnf_of_schema(asked: str) -> str:
    """Return the nearest GBNF of a JSON Schema, a file or JSON text, with what it leaves out.

    Raises:
        UsageError: it is no schema.
        NotFoundError: there is no such file.
    """
    from expert.grammar.from_schema import grammar_of_schema
    from expert.grammar.language.gbnf_writer import to_gbnf

    text = asked if _is_json(asked) else _read(expanded(asked), "schema")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("The schema is not JSON.", str(error), "Correct it.") from error
    grammar, left_out = grammar_of_schema(schema)
    notes = (
        [f"# Not in this grammar, but in the schema: {', '.join(left_out)}."] if left_out else []
    )
    return "\n".join([*notes, to_gbnf(grammar)])


def _find(asked: str | Path) -> Path:
    path = shipped_grammars().get(str(asked)) or expanded(asked)
    if not path.exists():
        raise _unknown(str(asked))
    return path


def _unknown(name: str) -> NotFoundError:
    known = shipped_grammars()
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return NotFoundError(
        f"There is no grammar {name!r}.",
        f"It is neither a file nor one of: {', '.join(known)}.",
        f"{hint}See `expert grammar list`.",
    )


def read_schema(asked: Any, question: str | None = None) -> AnswerForm:
    """Return the form that a JSON Schema describes: a file, JSON text, or a JSON value.

    Where it asks for words of the *question*, by the format `verbatim`, they are those.

    Raises:
        UsageError: it is no schema, or cannot be guaranteed; *why* names the keyword.
        NotFoundError: there is no such file.
    """
    from expert.grammar.schema.contract import compile_schema

    if isinstance(asked, str) and not _is_json(asked):
        asked = Path(asked)
    if isinstance(asked, Path):
        path = expanded(asked)
        return AnswerForm(path.name, compile_schema(_read(path, "schema"), question=question))
    return AnswerForm("the schema", compile_schema(asked, question=question))


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{") or text.strip() in ("true", "false")


def read_sql_schema(asked: str | Path, words: str | None = None) -> AnswerForm:
    """Return the form of SQL that a database can answer: its file, or what describes its tables.

    A string that is no name of a file is the description itself. With *words*, texts are some of
    them.

    Raises:
        UsageError: it is no schema.
        NotFoundError: there is no such file.
    """
    from expert.grammar.sql.engine import compile_sql
    from expert.grammar.sql.read import read_schema as read_tables

    text = isinstance(asked, str) and any(mark in asked for mark in "(\n;")
    tables = read_tables(asked if text else expanded(asked))
    return AnswerForm("SQL over these tables", compile_sql(tables, question=words), tables)


def describe(path: Path) -> str:
    """Return what a grammar file says of itself: its first line, if that is a comment."""
    first, _, _ = _read(path, "grammar").partition("\n")
    return first.lstrip("# ") if first.startswith("#") else ""


def byte_table() -> "TokenTable":
    """Return a vocabulary of the 256 bytes and an end, to try texts without a model."""
    from expert.grammar.tokens import TokenTable

    pieces = [bytes([byte]) for byte in range(256)] + [b"<|end|>"]
    return TokenTable(
        pieces, control=[256], ends=[256], encode=lambda text: list(text.encode("utf-8", "replace"))
    )


def _read(path: Path, kind: str) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(
                f"{path} is too large for a {kind}.",
                f"At most {_LARGEST >> 20} MB are read.",
                "Choose another file.",
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(
            f"The {kind} {path} cannot be read.", error.strerror or str(error), "Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The {kind} {path} is not UTF-8 text.",
            f"Byte {error.start} of it is no part of a character.",
            "Save it as UTF-8.",
        ) from error
