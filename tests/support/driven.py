"""Which options of which commands the tests give to the program, read from the tests themselves.

A command counts as given with an option where the option follows it among the words of one call,
list or tuple: `expert("log", "rm", "--forever")`. Names stand for what a module assigns to them,
calls of a module's own functions for what these return, and those of a function that hands its
arguments on, as `def log(*arguments): return expert("log", *arguments)`, for what it runs.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]
_PLAIN = ("str", "map", "list", "tuple")
"""What leaves words as they are."""
_DEEP = 6


def given(tests: Path = TESTS) -> list[tuple[str, ...]]:
    """Return the words, in order, of every call, list and tuple in the tests."""
    found = []
    for path in sorted(tests.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reader = _Reader(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found.append(tuple(reader.call(node)))
            elif isinstance(node, ast.List | ast.Tuple | ast.BinOp | ast.JoinedStr):
                found.append(tuple(reader.words(node)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines = node.value.replace("\\\n", "").splitlines()
                found += [tuple(line.split()) for line in lines if "expert " in line]
    return [words for words in found if words]


def options_given(command: Sequence[str], words: Sequence[str]) -> set[str]:
    """Return what follows *command* where *words* run it; empty where they do not."""
    width = len(command)
    for start in range(len(words) - width + 1):
        runs = start == 0 or words[start - 1] in ("expert", "$EXPERT")
        if runs and tuple(words[start : start + width]) == tuple(command):
            return {word.partition("=")[0] for word in words[start + width :]}
    return set()


@dataclass
class _Reader:
    """Reads words in one module."""

    tree: ast.AST
    names: dict[str, list[ast.expr]] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        self.names.setdefault(target.id, []).append(node.value)
            elif isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node

    def words(self, node: ast.AST, deep: int = 0) -> Iterator[str]:
        """Yield the words that an argument stands for."""
        if deep > _DEEP:
            return
        if isinstance(node, ast.Constant):
            yield from node.value.split() if isinstance(node.value, str) else ()
        elif isinstance(node, ast.Name):
            for value in self.names.get(node.id, ()):
                yield from self.words(value, deep + 1)
        elif isinstance(node, ast.Call):
            yield from self._returned(node, deep + 1)
        elif isinstance(node, ast.Attribute):
            yield from self.words(node.value, deep + 1)
        else:
            for below in ast.iter_child_nodes(node):
                yield from self.words(below, deep)

    def call(self, node: ast.Call, deep: int = 0) -> Iterator[str]:
        """Yield the words of a call's arguments, among those of what it runs with them."""
        own = [word for argument in node.args for word in self.words(argument, deep)]
        handed = self._handed_on(node, deep)
        if handed is None:
            yield from own
            return
        before, after = handed
        yield from (*before, *own, *after)

    def _handed_on(self, node: ast.Call, deep: int) -> tuple[list[str], list[str]] | None:
        """Return the words before and after those that a module's function hands on."""
        function = self.functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if function is None or function.args.vararg is None or deep > _DEEP:
            return None
        name = function.args.vararg.arg
        for inner in ast.walk(function):
            parts = inner.args if isinstance(inner, ast.Call) else getattr(inner, "elts", ())
            for place, part in enumerate(parts):
                if isinstance(part, ast.Starred) and name in _names(part):
                    before = [w for one in parts[:place] for w in self.words(one, deep + 1)]
                    after = [w for one in parts[place + 1 :] for w in self.words(one, deep + 1)]
                    further = self._handed_on(inner, deep + 1) if isinstance(inner, ast.Call) else None
                    first, last = further or ([], [])
                    return [*first, *before], [*after, *last]
        return None

    def _returned(self, node: ast.Call, deep: int) -> Iterator[str]:
        if isinstance(node.func, ast.Name) and node.func.id in self.functions:
            for inner in ast.walk(self.functions[node.func.id]):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from self.words(inner.value, deep)
        elif isinstance(node.func, ast.Name) and node.func.id in _PLAIN:
            for argument in node.args:
                yield from self.words(argument, deep)
        elif isinstance(node.func, ast.Attribute):  # as in "a b".split()
            yield from self.words(node.func.value, deep)
            for argument in node.args if node.func.attr in ("split", "join") else ():
                yield from self.words(argument, deep)


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
