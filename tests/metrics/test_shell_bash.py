"""Commands as bash itself splits them, and what may change without another structure."""

import itertools
import random
import shlex
import shutil
import subprocess

import pytest

from expert.metrics.shell import read_command, same_command, same_structure

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
PLAIN = "abcXYZ012_.,/+%@:"
SPACED = PLAIN + " \t#!?[]~*"


def quoted_word(draw: random.Random) -> str:
    """Return one word of bash, its parts quoted in different ways."""
    parts = []
    for _ in range(draw.randint(1, 3)):
        plain = "".join(draw.choices(PLAIN, k=draw.randint(1, 4)))
        spaced = "".join(draw.choices(SPACED, k=draw.randint(0, 5)))
        style = draw.choice(("bare", "single", "double", "escape"))
        parts.append(
            {
                "bare": plain,
                "single": f"'{spaced}\"'",
                "double": '"' + spaced.replace("!", "") + "'\\\"" + '"',
                "escape": "\\ " + plain,
            }[style]
        )
    return "".join(parts)


@needs_bash
@pytest.mark.parametrize("seed", range(3))
def test_words_are_those_of_bash(seed: int) -> None:
    """Quotes and backslashes come off as bash takes them off; it prints the words one by one."""
    draw = random.Random(seed)
    commands = [[quoted_word(draw) for _ in range(draw.randint(1, 5))] for _ in range(25)]
    script = "\n".join(f"printf '%s\\0' {' '.join(words)}; printf '\\1'" for words in commands)
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, check=True)
    printed = done.stdout.decode().split("\x01")[:-1]
    for words, out in zip(commands, printed, strict=True):
        found = read_command(f"printf {' '.join(words)}")
        assert found is not None
        assert found.parts[0].arguments == out.split("\0")[:-1], words


@needs_bash
def test_unclosed_quotes_are_refused_as_bash_does() -> None:
    """Every way to cut random commands short: bash -n and we agree which still close."""
    draw = random.Random(5)
    texts = [f"echo {quoted_word(draw)} {quoted_word(draw)}" for _ in range(4)]
    cuts = [text[:end] for text in texts for end in range(5, len(text))]
    for text in [cut for cut in cuts if not cut.rstrip().endswith("\\")][::3]:
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)
        assert (read_command(text) is None) == (done.returncode != 0), text


FLAGS = ("-a", "-b", "-c", "--long", "--key=v", "-9")


def test_flags_may_stand_in_any_order() -> None:
    """Every order of the same flags is the same command; one of them missing is another."""
    orders = list(itertools.permutations(FLAGS[:4]))
    for order in orders:
        assert same_command(f"ls {' '.join(order)} x", f"ls {' '.join(orders[0])} x")
        assert not same_structure(f"ls {' '.join(order[1:])} x", f"ls {' '.join(orders[0])} x")
    assert same_command("ls -abc", "ls -c -b -a") and same_command("ls -cab", "ls -a -bc")
    assert not same_structure("ls -aa", "ls -a"), "a flag given twice counts twice"


@pytest.mark.parametrize(
    ("text", "program", "flags", "arguments"),
    [
        ("ls", "ls", {}, []),
        ("ls -la x", "ls", {"-l": 1, "-a": 1}, ["x"]),
        ("find . -name x", "find", {"-name": 1}, [".", "x"]),
        ("grep -name x", "grep", {"-n": 1, "-a": 1, "-m": 1, "-e": 1}, ["x"]),
        ("head -3 f", "head", {"-NUMBER": 1}, ["3", "f"]),
        ("tail -n3 f", "tail", {"-n3": 1}, ["f"]),
        ("sort --key=2,3 f", "sort", {"--key": 1}, ["2,3", "f"]),
        ("sort --key= f", "sort", {"--key": 1}, ["", "f"]),
        ("cat - x", "cat", {}, ["-", "x"]),
        ("rm -- -x", "rm", {"-x": 1}, ["--"]),
        ("A=1 B=2 env x", "env", {}, ["A=1", "B=2", "x"]),
        ("'l's ''", "ls", {}, [""]),
        ("gcc -Wall -o x", "gcc", {"-Wall": 1, "-o": 1}, ["x"]),
    ],
)
def test_the_parts_of_one_command(
    text: str, program: str, flags: dict[str, int], arguments: list[str]
) -> None:
    """Program, flags with their number, and arguments in order."""
    found = read_command(text)
    assert found is not None and len(found.parts) == 1 and not found.operators
    (part,) = found.parts
    assert (part.program, dict(part.flags), part.arguments) == (program, flags, arguments)


@pytest.mark.parametrize(
    ("text", "operators", "programs", "redirections"),
    [
        ("a | b | c", ["|", "|"], ["a", "b", "c"], [[], [], []]),
        ("a|b&&c||d;e", ["|", "&&", "||", ";"], ["a", "b", "c", "d", "e"], [[]] * 5),
        ("a > x 2>&1", [], ["a"], [[(">", "x"), (">&", "1")]]),
        ("a >> x < y", [], ["a"], [[(">>", "x"), ("<", "y")]]),
        ("a < y | b > z", ["|"], ["a", "b"], [[("<", "y")], [(">", "z")]]),
        ("a &", ["&"], ["a", ""], [[], []]),
        ("a;", [";"], ["a", ""], [[], []]),
    ],
)
def test_operators_and_redirections(
    text: str,
    operators: list[str],
    programs: list[str],
    redirections: list[list[tuple[str, str]]],
) -> None:
    """What joins commands, and where each reads and writes."""
    found = read_command(text)
    assert found is not None and found.operators == operators
    assert [part.program for part in found.parts] == programs
    assert [part.redirections for part in found.parts] == redirections


ALPHABET = [
    "ls",
    "cat",
    "-l",
    "-a",
    "x",
    "'y z'",
    "|",
    "&&",
    ">",
    "<",
    ";",
    "'",
    '"',
    "\\",
    "=",
    "#",
]


@pytest.mark.parametrize("seed", range(3))
def test_comparisons_hold_together(seed: int) -> None:
    """Whatever words stand together: a command is itself, order of asking means nothing, and the
    same command has the same structure.
    """
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(ALPHABET, k=draw.randint(0, 6))) for _ in range(60)]
    for text in texts:
        assert same_command(text, text) and same_structure(text, f"  {text}\n")
    for one, two in itertools.pairwise(texts):
        assert same_command(one, two) == same_command(two, one)
        assert same_structure(one, two) == same_structure(two, one)
        assert not same_command(one, two) or same_structure(one, two)


@pytest.mark.parametrize("seed", range(2))
def test_requoting_changes_nothing(seed: int) -> None:
    """A word means the same however it is quoted; another word does not."""
    draw = random.Random(seed)
    for _ in range(40):
        words = ["".join(draw.choices(SPACED, k=draw.randint(1, 6))) + "x" for _ in "abc"]
        text = "grep " + " ".join(map(shlex.quote, words))
        other = "grep " + " ".join("".join(f"\\{c}" for c in word) for word in words)
        assert same_command(text, other), (text, other)
        assert not same_command(text, "grep " + " ".join(map(shlex.quote, [*words[:2], "other"])))
