"""Rows of any file or folder, one after the other: a million need no more memory than one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from expert.dataset import files, formats, tables
from expert.dataset.files import Found, opened, plain_suffix
from expert.dataset.rows import Row
from expert.errors import NotFoundError, UsageError, VerificationError

LISTED = 10
"""Bad rows that are named one by one."""


@dataclass(frozen=True)
class Source:
    """A file or folder, and how to read it."""

    path: Path
    form: str = "auto"
    """A name of `formats.FORMATS`, or auto: what the first row shows."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our field by the file's own name for it."""
    split: str = ""
    """Of a folder; empty: train, or the only one."""
    encoding: str = "utf-8"
    delimiter: str = ""
    """Of CSV; empty: a comma, in .tsv a tab."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row where it was found, or the reason why there is none."""

    number: int
    """The line, or the row where a file has no lines."""
    row: Row | None
    problem: str = ""


@dataclass
class Skipped:
    """Bad rows that were left out."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    """The first of them, each with its line."""

    def add(self, place: Place) -> None:
        """Count a bad row."""
        self.count += 1
        if len(self.first) < LISTED:
            self.first.append(f"line {place.number}: {place.problem}")


def places(source: Source) -> Iterator[Place]:
    """Yield every row of a source, bad ones with their problem.

    Raises:
        NotFoundError: there is nothing to read, or it has no rows.
        UsageError: no form fits its fields, or a package is missing.
        VerificationError: the file is damaged as a whole.
    """
    form = source.form
    empty = True
    for found in _found(source):
        empty = False
        if found.problem:
            yield Place(found.number, None, found.problem)
            continue
        fields = _renamed(found.fields, source.columns)
        if form == "auto":
            form = _recognised(source, fields)
        try:
            yield Place(found.number, formats.to_row(form, fields))
        except ValueError as error:
            yield Place(found.number, None, str(error))
    if empty:
        raise NotFoundError(f"{source.path} has no rows.", "It is empty.", "Give other data.")


def read_rows(source: Source, skipped: Skipped | None = None) -> Iterator[Row]:
    """Yield the rows of a source; bad ones go into *skipped*, or end the reading.

    Raises:
        VerificationError: a row is bad, and there is no *skipped*.
        ExpertError: as `places` does.
    """
    for place in places(source):
        if place.row is not None:
            yield place.row
        elif skipped is not None:
            skipped.add(place)
        else:
            raise VerificationError(
                f"Line {place.number} of {source.path} is no row that can be used.",
                f"{place.problem[:1].upper()}{place.problem[1:]}.",
                "Correct it, or leave bad rows out with --skip-bad.",
            )


def _found(source: Source) -> Iterator[Found]:
    path = source.path
    if path.is_dir():
        parts = tables.folder_parts(path, source.split)
        count = 0
        for part in parts:
            for found in _found_in(part, source):
                count += 1
                yield Found(count, found.fields, found.problem) if len(parts) > 1 else found
    else:
        yield from _found_in(path, source)


def _found_in(path: Path, source: Source) -> Iterator[Found]:
    """Yield what one file holds, by what its name ends in."""
    suffix = plain_suffix(path)
    if suffix in (".parquet", ".arrow"):
        if not path.is_file():
            raise NotFoundError(f"{path} does not exist.", "", "Check the path.")
        yield from (tables.parquet_rows if suffix == ".parquet" else tables.arrow_rows)(path)
        return
    with opened(path, source.encoding) as stream:
        if suffix in (".csv", ".tsv"):
            delimiter = source.delimiter or ("\t" if suffix == ".tsv" else ",")
            yield from tables.csv_rows(path, stream, delimiter)
        elif suffix in (".txt", ".md"):
            yield from files.paragraphs(stream)
        elif suffix == ".json" and _is_array(path, source.encoding):
            yield from files.json_array(path, stream)
        elif suffix in (".json", ".jsonl", ".ndjson"):
            yield from files.json_lines(stream)
        else:
            raise UsageError(
                f"{path} is of no known kind.",
                f"Its name ends in {suffix or 'nothing'!r}.",
                "Give .jsonl, .json, .csv, .tsv, .txt or .parquet, packed as .zst or .gz or not, "
                "or a data set's folder.",
            )


def _is_array(path: Path, encoding: str) -> bool:
    with opened(path, encoding) as stream:
        return stream.read(1024).lstrip().startswith("[")


def _renamed(fields: formats.Fields, columns: Mapping[str, str]) -> formats.Fields:
    return {columns.get(name, name): value for name, value in fields.items()} if columns else fields


def _recognised(source: Source, fields: formats.Fields) -> str:
    form = formats.recognise(fields)
    if form is None:
        raise UsageError(
            f"The rows of {source.path} have no form that is known.",
            f"Their fields are {', '.join(map(str, fields)) or 'none'}.",
            "Say which field is which, such as --map question=prompt --map sql=answer.",
        )
    return form
