"""The shell expert's grammar: bash reads all that it accepts; it accepts what people write."""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from expert.forms import byte_table
from expert.grammar import form
from expert.grammar.compile import compile_grammar
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.tokens import TokenTable
from expert.train.examples import Source
from expert.train.tasks import BUILDERS
from grammar.sentences import Sentences
from grammar.vocabularies import accepts

FILE = Path(__file__).resolve().parents[2] / "experts" / "shell" / "shell.gbnf"
PLAIN = "abcxyz01 _-\"'\\/.é日()$`<>#!{}[]~*?"
"""The characters that mean something to a shell are the likeliest."""
WRITES_OR_SUBSTITUTES = re.compile(r"-fprint|-fls|[$`]|\0")


@pytest.fixture(scope="module", name="grammar")
def read() -> form.Grammar:
    return parse_gbnf(FILE.read_text("utf-8"), "shell")


@pytest.fixture(scope="module", name="compiled")
def compiled_once(grammar: form.Grammar) -> CompiledGrammar:
    return compile_grammar(grammar)


@pytest.fixture(scope="module", name="octets")
def table_of_bytes() -> TokenTable:
    return byte_table()


def bash_reads(text: str) -> bool:
    """Tell whether bash parses a command, which it does not run."""
    return subprocess.run(["bash", "-n", "-c", "--", text], capture_output=True).returncode == 0


@pytest.mark.slow
def test_bash_reads_all_of_it(grammar: form.Grammar) -> None:
    """Texts drawn at random, full of quotes, substitutions and operators."""
    drawn = [Sentences(grammar, seed, plain=PLAIN).draw() for seed in range(1500)]
    texts = [text for text in drawn if text is not None]
    assert len(texts) > 1000
    assert [text for text in texts if not bash_reads(text)] == []


GOOD = (
    "ls",
    "find . -name '*.txt' -exec rm {} \\;",
    "tar czf - dir | ssh host 'cat > dir.tgz' && echo done",
    'echo "today is $(date +%F)" >> "$HOME/log" 2>&1',
    'cd "$(dirname "$(which ls)")"',
    "diff <(sort a) <(sort b)",
    "[ -f x ] || touch x",
    "(cd /tmp; ls) > out.txt",
    "printf $'a\\tb\\n' | awk '{print $2}'",
    "sleep 10 &",
    "find",
    "findmnt -l | fgrep -w x; f; fin -nam; finds -nam",
    "find / \\( -perm -4000 -o -perm u=s,g+w \\) ! -user root 2>/dev/null | xargs ls -l",
    "find -L a 'b c' -maxdepth 2 -type f,l -mtime +7 -size -10k -exec grep -n '; +' {} +",
    "find . -name a -prune -o -newermt '1 day ago' -exec sh -c 'x; y' \\; -print0",
    "echo $(find . -userjoe)",
)
BAD = (
    "",
    "ls |",
    "echo 'a",
    'echo "a',
    "echo $(ls",
    "echo `ls",
    "cat >",
    "cat >>",
    "(ls",
    "ls)",
    "ls # (",
    "a && && b",
    "ls\nrm -r /",
    "chown $(find . -type f -exec chown a {} \\;",
    "find . -userjoe",
    "find . -iname iname x",
    "find . -name",
    "find . -type",
    "find . -type x",
    "find . -size +k",
    "find . -perm +4000",
    "find . -daystart",
    "find . -exec rm {}",
    "find . -ok rm {} +",
    "find . -exec rm \\; x",
    "find . \\( -name a",
    "find . -name a | find -empt",
    "(find . -name -o -empty)",
)


@pytest.mark.parametrize("text", GOOD)
def test_what_is_accepted(compiled: CompiledGrammar, octets: TokenTable, text: str) -> None:
    """It is, and bash agrees."""
    assert bash_reads(text)
    assert accepts(compiled.start(octets), text.encode())


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused(compiled: CompiledGrammar, octets: TokenTable, text: str) -> None:
    """What does not close, what lacks a side, and more than one line."""
    assert not accepts(compiled.start(octets), text.encode())


REFUSALS = (
    "unknown predicate",
    "missing argument",
    "paths must precede",
    "expected an expression",
    "invalid mode",
    "Unknown argument to -type",
)


def find_says(words: list[str], folder: Path) -> str:
    """Return the complaints of `find`, which has nothing to find, run or delete."""
    return subprocess.run(["find", *words], cwd=folder, capture_output=True, text=True).stderr


@pytest.mark.parametrize("rule", ["expression", "path"])
def test_find_reads_all_of_it(grammar: form.Grammar, tmp_path: Path, rule: str) -> None:
    """Expressions and paths drawn at random; those with substitutions need a shell."""
    alone = replace(grammar, root=rule)
    drawn = [Sentences(alone, seed, plain=PLAIN).draw() for seed in range(1200)]
    texts = [text for text in drawn if text and not WRITES_OR_SUBSTITUTES.search(text)]
    assert len(texts) > 300
    for text in texts:
        words = shlex.split(text)
        around = [*words, "-maxdepth", "0", "-false"] if rule == "path" else ["missing", *words]
        said = find_says(around, tmp_path)
        assert not any(refusal in said for refusal in REFUSALS), (text, said)


def test_find_says_what_it_does_not_know(tmp_path: Path) -> None:
    """The complaints that the test above looks for are those of this `find`."""
    wrong = ("-userjoe", "-name", "-empty y", "-name x -o", "-perm +4000", "-type x")
    for text, refusal in zip(wrong, REFUSALS, strict=True):
        assert refusal in find_says(["missing", *shlex.split(text)], tmp_path)


@pytest.mark.slow
def test_commands_that_people_wrote(
    compiled: CompiledGrammar, octets: TokenTable, data: Path
) -> None:
    """At least 94 of 100 of NL2Bash, and of simple commands none that bash does not read."""
    rows = BUILDERS["nl2bash"](Source(data, 0))
    commands = list(dict.fromkeys(example.turns[-1].answer for example in rows))[::15]
    taken = [text for text in commands if accepts(compiled.start(octets), text.encode())]
    assert len(taken) >= 0.94 * len(commands)
    unread = [text for text in taken if not bash_reads(text)]
    assert [text for text in unread if text.split()[0] not in ("if", "for", "while", "case")] == []
