"""The splitter of fences agrees with a Markdown parser, however the text is cut."""

from random import Random

import pytest
from markdown_it import MarkdownIt

from expert.tui.fences import Code, FenceClosed, FenceOpened, FenceSplitter, Piece, Prose

DOCUMENTS = [
    "Hello\n",
    "```python\nprint(1)\n```\nafter\n",
    "text\n\n~~~\na\n```\nb\n~~~\n",
    "````md\n```\ninner\n```\n````\nend",
    "   ```sql\nSELECT 1\n   ```\n",
    "```\nopen at the end\nno close",
    "``` not `a` fence\ntext\n",
    "`` ` ``\n",
    "~~~ info ~ with tildes\nx\n~~~~\ny\n",
    "```\r\nwindows\r\n```\r\nafter\r\n",
    "```\n```\n```\n```\n",
    "a ``` b\n```\ncode ``` x\n``` y\n```\n",
    "",
]


def pieces(parts: list[str]) -> list[Piece]:
    """Return what the splitter makes of text in parts, neighbours of a kind joined."""
    splitter = FenceSplitter()
    found = [piece for part in parts for piece in splitter.push(part)]
    found += splitter.finish()
    joined: list[Piece] = []
    for piece in found:
        match joined[-1:], piece:
            case [Prose(before)], Prose(text):
                joined[-1] = Prose(before + text)
            case [Code(before)], Code(text):
                joined[-1] = Code(before + text)
            case _:
                joined.append(piece)
    return joined


def unindented(code: str) -> list[str]:
    """Return the lines of code without indentation, which a parser takes from indented fences."""
    return [line.strip() for line in code.rstrip().split("\n")]


def fences(text: str) -> list[tuple[str, list[str]]]:
    """Return the (info, lines) of every fence as a Markdown parser sees them."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [(t.info.strip(), unindented(t.content)) for t in tokens if t.type == "fence"]


def split_fences(found: list[Piece]) -> list[tuple[str, list[str]]]:
    """Return the same of what the splitter found."""
    result: list[tuple[str, str]] = []
    for piece in found:
        if isinstance(piece, FenceOpened):
            result.append((piece.info, ""))
        elif isinstance(piece, Code):
            result[-1] = (result[-1][0], result[-1][1] + piece.text)
    return [(info, unindented(code)) for info, code in result]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_fences_are_those_of_a_markdown_parser(text: str) -> None:
    """Whole documents split where the parser sees fences."""
    assert split_fences(pieces([text])) == fences(text)


@pytest.mark.parametrize("text", DOCUMENTS)
def test_cuts_change_nothing(text: str) -> None:
    """One character at a time, and in random parts, the pieces are the same."""
    whole = pieces([text])
    assert pieces(list(text)) == whole
    for seed in range(20):
        chance, rest, parts = Random(seed), text, []
        while rest:
            size = chance.randint(1, 7)
            parts.append(rest[:size])
            rest = rest[size:]
        assert pieces(parts) == whole


def test_nothing_is_lost() -> None:
    """Prose and code together are the text without its fence lines."""
    found = pieces(["one\n```py\n", "two\n", "```\nthree"])
    assert found == [
        Prose("one\n"), FenceOpened("py"), Code("two\n"), FenceClosed(), Prose("three"),
    ]  # fmt: skip


def test_prose_is_not_held_back() -> None:
    """Only the beginning of a line that may become a fence waits for more."""
    splitter = FenceSplitter()
    assert list(splitter.push("The answer is")) == [Prose("The answer is")]
    assert list(splitter.push(" 4\n``")) == [Prose(" 4\n")]
    assert list(splitter.push("x``")) == [Prose("``x``")]


@pytest.mark.parametrize("seed", range(30))
def test_random_markdown(seed: int) -> None:
    """Random lines of fences, half fences and text never disagree with the parser."""
    chance = Random(seed)
    lines = ["```", "~~~", "````", "``", "text", "``` py", "~~~ a`b", "    ", "", " ```", "x ```"]
    text = "".join(chance.choice(lines) + "\n" for _ in range(30))
    assert split_fences(pieces(list(text))) == fences(text)
