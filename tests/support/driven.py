"""Which options of which commands the tests give to the program, read from the tests themselves.

A command counts as given with an option where both stand among the words of one call, list or
tuple: `expert("log", "rm", "--forever")`. Names stand for what a module assigns to them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def given(tests: Path = TESTS) -> list[frozenset[str]]:
    """Return the words of every call, list and tuple in the tests that run the program."""
    found = []
    for path in sorted(tests.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = dict(_assigned(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call | ast.List | ast.Tuple | ast.BinOp | ast.JoinedStr):
                found.append(frozenset(_words(node, names)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [frozenset(line.split()) for line in node.value.splitlines()]
    return found


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value


def _words(node: ast.AST, names: dict[str, ast.expr], deep: int = 0) -> Iterator[str]:
    """Yield the texts below a node, each word of them on its own."""
    for below in ast.walk(node):
        if isinstance(below, ast.Constant) and isinstance(below.value, str):
            yield below.value
            yield from below.value.split()
        elif isinstance(below, ast.Name) and below.id in names and deep < 3:
            yield from _words(names[below.id], names, deep + 1)
