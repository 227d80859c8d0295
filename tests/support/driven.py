"""Which options of which commands the tests give to the program, read from the tests themselves.

A command counts as given with an option where the option follows it among the words of one call,
list or tuple: `expert("log", "rm", "--forever")`. Names stand for what their function, or else
their module, assigns to them; calls of a module's own functions for what these return, and those of
a function that hands its arguments on, as `def log(*arguments): return expert("log", *arguments)`,
for what it runs.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
_RUNS = ("support.program", "support.terminal", "expert.cli import main")
"""What a module imports to run the program."""
Names = dict[str, list[ast.expr]]
_PLAIN = ("str", "map", "list", "tuple")
"""Calls that leave words as they are."""
_DEEP = 6
"""Names and calls that are followed, one within the other."""


def given(tests: Path = TESTS) -> list[tuple[str, ...]]:
    """Return the words, in order, of what may run a command in the tests that run the program."""
    found: set[tuple[str, ...]] = set()
    for path in sorted(tests.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if any(name in text for name in _RUNS):
            found.update(_Module(ast.parse(text)).given())
    return sorted(words for words in found if words)


def options_given(command: Sequence[str], words: Sequence[str]) -> set[str]:
    """Return what follows *command* where *words* run it; empty where they do not."""
    width = len(command)
    for start in range(len(words) - width + 1):
        runs = start == 0 or words[start - 1] in ("expert", "$EXPERT")
        if runs and tuple(words[start : start + width]) == tuple(command):
            return {word.partition("=")[0] for word in words[start + width :]}
    return set()


class _Module:
    """A module of tests, with what its names stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names = _assigned(tree.body)
        defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        self._functions = {node.name: node for node in defined}
        self._local = {node: self._names | _assigned(node.body) for node in defined}

    def given(self) -> Iterator[tuple[str, ...]]:
        """Yield the words of everything that may run a command."""
        for statement in self._tree.body:
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                yield from self._below(statement, self._names)
        for function, names in self._local.items():
            yield from self._below(function, names)

    def _below(self, top: ast.AST, names: Names) -> Iterator[tuple[str, ...]]:
        for node in ast.walk(top):
            if isinstance(node, ast.Call):
                yield tuple(self._run(node, names, 0))
            elif isinstance(node, ast.List | ast.Tuple | ast.BinOp | ast.JoinedStr):
                yield tuple(self._words(node, names, 0))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines = node.value.replace("\\\n", "").splitlines()
                yield from (tuple(line.split()) for line in lines if "expert " in line)

    def _words(self, node: ast.AST, names: Names, deep: int) -> Iterator[str]:
        """Yield the words that an argument stands for."""
        if deep > _DEEP:
            return
        if isinstance(node, ast.Constant):
            yield from node.value.split() if isinstance(node.value, str) else ()
        elif isinstance(node, ast.Name):
            yield from ("expert",) if node.id == "PROGRAM" else ()
            for value in names.get(node.id, ()):
                yield from self._words(value, names, deep + 1)
        elif isinstance(node, ast.Call):
            yield from self._returned(node, names, deep + 1)
        else:
            for below in ast.iter_child_nodes(node):
                yield from self._words(below, names, deep)

    def _returned(self, node: ast.Call, names: Names, deep: int) -> Iterator[str]:
        """Yield the words of what a call returns, as far as that can be read."""
        called = node.func
        if isinstance(called, ast.Attribute):  # as in "a b".split()
            yield from self._words(called.value, names, deep)
        elif isinstance(called, ast.Name) and called.id in self._functions:
            function = self._functions[called.id]
            for inner in ast.walk(function):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from self._words(inner.value, self._local[function], deep)
        if isinstance(called, ast.Attribute) or getattr(called, "id", "") in _PLAIN:
            for argument in node.args:
                yield from self._words(argument, names, deep)

    def _run(self, node: ast.Call, names: Names, deep: int) -> Iterator[str]:
        """Yield the words of a call's arguments, among those of what it runs with them."""
        before, after = self._handed_on(node, deep)
        yield from before
        for argument in node.args:
            yield from self._words(argument, names, deep)
        yield from after

    def _handed_on(self, node: ast.Call, deep: int) -> tuple[list[str], list[str]]:
        """Return the words before and after those that a module's function hands on."""
        function = self._functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if function is None or function.args.vararg is None or deep > _DEEP:
            return [], []
        names, handed = self._local[function], function.args.vararg.arg
        for inner in ast.walk(function):
            parts = inner.args if isinstance(inner, ast.Call) else getattr(inner, "elts", ())
            for place, part in enumerate(parts):
                if isinstance(part, ast.Starred) and handed in _mentioned(part):
                    before = [w for one in parts[:place] for w in self._words(one, names, deep)]
                    after = [w for one in parts[place + 1 :] for w in self._words(one, names, deep)]
                    if isinstance(inner, ast.Call):
                        first, last = self._handed_on(inner, deep + 1)
                        return [*first, *before], [*after, *last]
                    return before, after
        return [], []


def _assigned(statements: list[ast.stmt]) -> Names:
    """Return what names are assigned to in a body, but not in functions defined there."""
    found: Names = {}
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
        waiting += ast.iter_child_nodes(node)
    return found


def _mentioned(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
