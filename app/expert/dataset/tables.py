"""Tables as rows: CSV, Parquet and the folders of Hugging Face data sets."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from expert.dataset.files import LONGEST, Found
from expert.errors import NotFoundError, UsageError, VerificationError

BATCH = 1000
"""Rows of a Parquet file in memory at once."""
PARTS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".jsonl.zst", ".jsonl.gz")


def csv_rows(path: Path, stream: TextIO, delimiter: str) -> Iterator[Found]:
    """Yield the rows of a CSV file with a header (RFC 4180).

    Raises:
        VerificationError: there is no header, or a column is named twice.
    """
    csv.field_size_limit(LONGEST)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    header = _header(path, reader)
    start = reader.line_num + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Found(start, {}, f"{error}")
        else:
            if len(cells) == len(header):
                yield Found(start, dict(zip(header, cells, strict=True)))
            elif cells:
                yield Found(start, {}, f"it has {len(cells)} cells, the header {len(header)}")
        start = reader.line_num + 1


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise VerificationError(f"{path} has no header.", f"{error}.", "Correct it.") from error
    twice = [repr(name) for name, count in Counter(header).items() if count > 1]
    if twice or not all(header):
        why = f"{', '.join(twice)} is there more than once" if twice else "a column has no name"
        raise VerificationError(
            f"The header of {path} cannot be used.", f"{why}.", "Give each column its own name."
        )
    return header


def parquet_rows(path: Path) -> Iterator[Found]:
    """Yield the rows of a Parquet file.

    Raises:
        UsageError: pyarrow is not installed.
        VerificationError: the file is damaged.
    """
    need_arrow(path)
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    yield Found(number, fields)
    except pyarrow.ArrowException as error:
        raise _damaged(path, number, str(error)) from error


def arrow_rows(path: Path, number: int = 0) -> Iterator[Found]:
    """Yield the rows of an Arrow file as `datasets` saves them, counted on from *number*.

    Raises:
        UsageError: pyarrow is not installed.
        VerificationError: the file is damaged.
    """
    need_arrow(path)
    import pyarrow
    import pyarrow.ipc

    try:
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as reader:
            for batch in reader:
                for fields in batch.to_pylist():
                    number += 1
                    yield Found(number, fields)
    except pyarrow.ArrowException as error:
        raise _damaged(path, number, str(error)) from error


def _check_columns(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise VerificationError(
            f"{path} cannot be used.", "It names a column twice.", "Give each its own name."
        )


def need_arrow(path: Path) -> None:
    """Refuse where the packages for such a file are not installed.

    Raises:
        UsageError: it says how to install them.
    """
    if find_spec("pyarrow") is None:
        raise UsageError(
            f"{path} needs a package that is not installed.",
            "There is no pyarrow, which reads Parquet and Arrow files.",
            "Install it: pip install 'expert[dataset]'",
        )


def _damaged(path: Path, number: int, why: str) -> VerificationError:
    return VerificationError(
        f"{path} is damaged.", f"After row {number}: {why}.", "Fetch it again."
    )


def folder_parts(folder: Path, split: str) -> list[Path]:
    """Return the files of one split of a Hugging Face data set, in order.

    It is either what `save_to_disk` writes, or a repository with files of a split named after it.

    Raises:
        NotFoundError: the folder holds no such split.
        VerificationError: what describes the folder is damaged.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = _read_json(folder / "dataset_dict.json").get("splits", [])
        return folder_parts(folder / _chosen(folder, [str(name) for name in splits], split), "")
    if (folder / "state.json").is_file():
        listed = _read_json(folder / "state.json").get("_data_files", [])
        with suppress(TypeError, KeyError):
            # Names only: a path from a file must not lead out of the folder.
            return [folder / Path(str(part["filename"])).name for part in listed]
        raise VerificationError(f"{folder / 'state.json'} is damaged.", "", "Fetch it again.")
    files = sorted(path for path in folder.rglob("*") if _is_part(path))
    names = dict.fromkeys(_split_of(folder, path) for path in files)
    wanted = _chosen(folder, list(names), split)
    return [path for path in files if _split_of(folder, path) == wanted]


def _is_part(path: Path) -> bool:
    described = path.name in ("dataset_infos.json", "dataset_info.json", "state.json")
    return path.is_file() and path.name.endswith(PARTS) and not described


def _split_of(folder: Path, path: Path) -> str:
    """Return the split a file belongs to: `train` of train-00000-of-00002.parquet."""
    name = path.name.partition(".")[0].partition("-")[0]
    return path.parent.name if name.isdigit() and path.parent != folder else name


def _chosen(folder: Path, splits: list[str], wanted: str) -> str:
    if wanted in splits:
        return wanted
    if not wanted and "train" in splits:
        return "train"
    if not wanted and len(splits) == 1:
        return splits[0]
    raise NotFoundError(
        f"{folder} has no split {wanted or 'train'!r}.",
        f"It has {', '.join(splits)}." if splits else "It holds no files of rows.",
        "Name one with --split." if splits else "Give a folder with Parquet, JSON or CSV files.",
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise VerificationError(f"{path} is damaged.", f"{error}.", "Fetch it again.") from error
    return value if isinstance(value, dict) else {}
