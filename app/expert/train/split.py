"""The held-out cut of every task, decided before any training and shared by the base and the
experts.

A row belongs to a group: a database, a command page, a repository, an official validation file, or
itself. Whole groups are held out, so that nothing seen in training can answer a held-out row. The
groups are named in `experts/<task>/heldout.txt`; `chosen` is the rule those files were made with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from expert import resources
from expert.train.rows import Row, digest, read_rows

RECIPES = Path(str(resources.data("experts")))
TASKS = ("sql", "shell", "json", "regex", "cypher", "commit", "translate", "intent", "instruct")


@cache
def heldout(task: str, recipes: Path = RECIPES) -> frozenset[str]:
    """Return the held-out groups of a task."""
    return frozenset((recipes / task / "heldout.txt").read_text(encoding="utf-8").splitlines())


def is_heldout(task: str, group: str) -> bool:
    """Tell whether a group must never be trained on."""
    return task in TASKS and group in heldout(task)


def chosen(groups: Iterable[str], one_in: int) -> set[str]:
    """Choose about one group in `one_in`, by hash, so that adding groups moves no other."""
    return {g for g in groups if int(sha256(g.encode()).hexdigest()[:8], 16) % one_in == 0}


def page_group(page: str) -> str:
    """Return the group of a tldr page, the same for its commands and its translations."""
    return "tldr:" + page.removesuffix(".md").lower()


def dialogue_group(service: str, first_turn: str) -> str:
    """Return the group of an SGD row: rows of one dialogue are prefixes of each other."""
    return "sgd:" + digest(service + first_turn)


@cache
def texts_of(path: Path, field: str) -> frozenset[str]:
    """Return the texts of an official validation file; equal training rows belong to it."""
    return frozenset(row[field].strip() for row in read_rows(path))


def file_group(name: str, text: str, validation: Path, field: str) -> str:
    """Return `name:val` for a text the validation file holds, else `name:train`."""
    return f"{name}:{'val' if text.strip() in texts_of(validation, field) else 'train'}"


def _rows(data: Path, name: str) -> Iterator[Row]:
    return read_rows(data / "experts" / f"{name}.jsonl.zst")


def _sql(data: Path) -> set[str]:
    spider = {"spider:" + row["db"] for row in _rows(data, "sql/train_spider")}
    wiki = {"wikisql:" + r["db"] for r in _rows(data, "sql/train_wikisql_aux_partial_schema")}
    return chosen(spider, 10) | chosen(wiki, 50)


def _pages(data: Path) -> set[str]:
    return {page_group(row["page"]) for row in _rows(data, "shell/tldr_train")}


def _translated_pages(data: Path) -> set[str]:
    files = (data / "experts/translation").glob("tldr_en.*_train.jsonl.zst")
    return {page_group(row["page"]) for file in files for row in read_rows(file)}


def _json(data: Path) -> set[str]:
    rows = _rows(data, "json/sgd_calls_train")
    dialogues = {dialogue_group(r["service"], r["dialogue"][0]["content"]) for r in rows}
    return {"snips:val"} | chosen(dialogues, 20)


def _cypher(data: Path) -> set[str]:
    databases = {row["db"] for row in _rows(data, "cypher/train")}
    return set(sorted(databases, key=digest)[:2])


def _commit(data: Path) -> set[str]:
    repositories = {r["repo"] for r in _rows(data, "commit/permissive_train")}
    return set(sorted(repositories, key=digest)[:4])


def _intent(data: Path) -> set[str]:
    rows = _rows(data, "intent/banking77_train")
    return {"clinc:val"} | chosen({"banking:" + digest(r["text"]) for r in rows}, 10)


def _instruct(data: Path) -> set[str]:
    files = (data / "experts/instruct").glob("*.jsonl.zst")
    return chosen({digest(row["instruction"]) for f in files for row in read_rows(f)}, 20)


RULES: dict[str, Callable[[Path], set[str]]] = {
    "sql": _sql,
    "shell": lambda data: {"nl2bash:val"} | chosen(_pages(data), 20),
    "json": _json,
    "regex": lambda data: {"nlrx:val", "structured:val"},
    "cypher": _cypher,
    "commit": _commit,
    "translate": lambda data: chosen(_translated_pages(data), 20),
    "intent": _intent,
    "instruct": _instruct,
}


def write_heldout(data: Path, recipes: Path = RECIPES) -> None:
    """Write the held-out file of every task from the rows under `data`."""
    for task, rule in RULES.items():
        (recipes / task).mkdir(parents=True, exist_ok=True)
        listed = "".join(f"{group}\n" for group in sorted(rule(data)))
        (recipes / task / "heldout.txt").write_text(listed, encoding="utf-8")
