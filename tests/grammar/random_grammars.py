"""Random GBNF grammars of every feature."""

import random

LETTERS = 'abcxyz01 \n"\\-]é日🙂'
_SETS = ["[a-c]", "[^a-c]", "[a-z]", "[0-9]", "[abx]", "[^\\n]", "[\\x61-\\x7a]", "[a-]", "[\\]é]"]
_SETS += ["[\\u00e0-\\u00ff]", "[^\\x61-\\x7a0]", "[ \\t]", "[x-z0]", "."]
_QUOTED = {"\n": "\\n", '"': '\\"', "\\": "\\\\"}


class GrammarWriter:
    """Writes one random grammar; rules refer to later rules, and to any after a character."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = self._random.randint(1, 5)

    def text(self) -> str:
        """Return the grammar."""
        lines = []
        for index in range(self._count):
            name = "root" if index == 0 else f"r-{index}"
            space = self._random.choice([" ", "  ", "\t", "\n  "])
            comment = self._random.choice(["", "", ' # note | ( "'])
            lines.append(
                f"{name} ::={space}{self._options(index, self._random.randint(0, 2))}{comment}"
            )
        return self._random.choice(["\n", "\n\n# between\n", "\r\n"]).join(lines) + "\n"

    def _options(self, rule: int, depth: int) -> str:
        options = [self._sequence(rule, depth) for _ in range(self._random.randint(1, 3))]
        if self._random.random() < 0.08:
            options.insert(0, "")
        return self._random.choice([" | ", "|", " |\n\t"]).join(options)

    def _sequence(self, rule: int, depth: int) -> str:
        items = [self._item(rule, depth, False)]
        started = items[0][0] in '"[.' and items[0][-1] in '"].'
        for _ in range(self._random.randint(0, 2)):
            items.append(self._item(rule, depth, started))
        return " ".join(items)

    def _item(self, rule: int, depth: int, recursive: bool) -> str:
        chance = self._random.random()
        if depth and chance < 0.2:
            item = f"({self._options(rule, depth - 1)})"
        elif chance < 0.4 and (recursive or rule + 1 < self._count):
            target = self._random.randrange(0 if recursive else rule + 1, self._count)
            item = "root" if target == 0 else f"r-{target}"
            if recursive and target <= rule:
                return f"({item})?"
        elif chance < 0.7:
            item = self._random.choice(_SETS)
        else:
            item = f'"{self._literal()}"'
        repeat = ["", "", "", "", "?", "{2}", "{0,2}"]
        if item[0] in '"[.' or chance < 0.02:  # llama.cpp's stacks explode on loops in loops
            repeat += ["*", "+", "{1,}", "{1,3}"]
        return item + self._random.choice(repeat)

    def _literal(self) -> str:
        chars = self._random.choices(LETTERS, k=self._random.randint(1, 3))
        return "".join(_QUOTED.get(char, char) for char in chars)
