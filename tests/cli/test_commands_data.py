"""The commands as data: what completions and the manual are made of, beside the real parsers."""

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from expert.cli import VERBS, man, options
from expert.cli.commands import Command, commands, is_file
from expert.cli.completions import SHELLS


@pytest.fixture(scope="module")
def found() -> list[Command]:
    """Return every command."""
    return commands()


def every(found: list[Command]) -> Iterator[Command]:
    """Yield commands and their actions."""
    for command in found:
        yield command
        yield from every(list(command.actions))


def test_every_verb_is_there_in_order(found: list[Command]) -> None:
    """As `expert --help` lists them."""
    assert [command.name for command in found] == list(VERBS)
    assert all(command.words[0] in VERBS for command in every(found))


def test_usages_begin_with_the_words(found: list[Command]) -> None:
    """What is typed, and never the word `usage`."""
    for command in every(found):
        assert command.usage.startswith(" ".join(("expert", *command.words)))
        assert command.about and command.about.strip() == command.about


def test_flags_look_like_flags(found: list[Command]) -> None:
    """One dash and a letter, or two and a word; none twice in a command."""
    for command in every(found):
        flags = [flag for option in command.options for flag in option.flags]
        assert len(flags) == len(set(flags)), command.words
        for flag in flags:
            assert re.fullmatch(r"-[a-zA-Z]|--[a-z][a-z-]+", flag), (command.words, flag)


def test_every_option_is_explained_or_explains_itself(found: list[Command]) -> None:
    """Each long flag is in the help; choices are those of the parser."""
    for command in every(found):
        for option in command.options:
            if option.choices:
                assert option.metavar == "{" + ",".join(option.choices) + "}"
            assert "%(" not in option.about and "%%" not in option.about


@pytest.mark.parametrize(
    ("metavar", "file"),
    [("FILE", True), ("EXPERT[:SCALE]", True), ("MODEL", True), ("NAME", False), ("N", False),
     ("", False), ("{f32,f16}", False), ("TEXT", False)],
)  # fmt: skip
def test_where_files_stand(metavar: str, file: bool) -> None:
    """By the metavariable, whatever may follow in brackets."""
    assert is_file(metavar) is file


def test_a_parser_is_asked_for_without_running() -> None:
    """Nothing of the verb happens, also where it fails; afterwards parsing is as ever."""

    def run(arguments: list[str]) -> int:
        parser = options.parser("x", "About x.")
        parser.add_argument("--flag", choices=("a", "b"))
        parser.parse_args(arguments)
        raise RuntimeError("it ran")

    assert options.parser_of(run, ["--flag"]).prog == "expert x"
    with pytest.raises(RuntimeError, match="it ran"):
        run(["--flag", "a"])
    with pytest.raises(AssertionError, match=r"options\.parser"):
        options.parser_of(lambda _: 0, [])
    with pytest.raises(RuntimeError, match="it ran"):
        run([])


def test_no_flag_may_be_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    """`--js` is a mistake, so that a script goes on working when a flag is added."""
    parser = options.parser("x", "")
    options.add_json(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--js"])
    assert "--js" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("007", 7), ("2147483647", 2147483647)])
def test_positive(text: str, number: int) -> None:
    """Whole numbers from 1."""
    assert options.positive(text) == number


@pytest.mark.parametrize("text", ["0", "-3"])
def test_not_positive(text: str) -> None:
    """Zero and less say what is wanted."""
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        options.positive(text)


def test_what_else_a_verb_can_do() -> None:
    """Forms of a verb stand in its help, each with what it is for."""
    assert options.also("bench", {"a": "one", "b": "two"}) == (
        "Also: expert bench a: one; expert bench b: two"
    )


# The manual ---------------------------------------------------------------------------------------


def formatted(page: str) -> str:
    """Return a page as groff formats it for a terminal, without styles; it may not complain."""
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rHY=0", "-P-c", "-P-u", "-P-b", "-P-o"],
        input=page, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def page(found: list[Command]) -> str:
    """Return the manual."""
    return man.manual(found)


def test_groff_reads_the_manual(page: str, found: list[Command]) -> None:
    """Without one warning; every command has a heading, every flag is in it as it is typed."""
    shown = formatted(page)
    for command in every(found):
        assert f"   {' '.join(('expert', *command.words))}\n" in shown
        for option in command.options:
            for flag in set(option.flags) - {"-h", "--help", "--debug"}:
                assert flag in shown
    for code, meaning in man._CODES.items():
        assert re.search(rf"{code}\s+{re.escape(meaning.split(',')[0].split(';')[0])}", shown)


def test_dashes_can_be_copied(page: str) -> None:
    """A dash of the manual is the dash of the keyboard, not a hyphen."""
    shown = formatted(page)
    assert "\u2010" not in shown and "--max-tokens" in shown


@pytest.mark.parametrize(
    "text", [".SH evil", "'so /etc/passwd", "a\n.ex", "back\\slash", "\\fBbold", "…", "a-b", ""]
)
def test_no_text_is_a_request(text: str) -> None:
    """What stands in a help text comes out of groff as it went in."""
    escaped = man._text(text)
    shown = formatted(f'.TH X 1 "" "" ""\n.nf\n{escaped}\n')
    for line in text.replace("…", "...").splitlines():
        assert line in shown


def test_all_exit_codes_are_in_the_manual() -> None:
    """Those of the errors, and those without a message."""
    from expert import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {str(kind.code) for kind in kinds if issubclass(kind, errors.ExpertError)}
    assert codes | {"0", "130", "141"} == set(man._CODES)


# Completions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_read_by_their_shell(shell: str, found: list[Command]) -> None:
    """Each shell parses its own script, which ends with a newline and holds every verb."""
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    text = SHELLS[shell](found)
    checked = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert text.endswith("\n")
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", text), verb


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_the_same_each_time(shell: str, found: list[Command]) -> None:
    """A package can be built twice with the same result."""
    assert SHELLS[shell](found) == SHELLS[shell](commands())


def test_hostile_help_texts_stay_texts() -> None:
    """Quotes, dollars and brackets of a help text end no string of any shell."""
    evil = "it's \"$(touch /none)\" `x` [a] (b) {c} 'd' \\e :f"
    parser = options.parser("evil", evil)
    parser.add_argument("--flag", metavar="FILE", help=evil)
    parser.add_argument("--choice", choices=("a", "b"), help=evil)
    actions = parser.add_subparsers()
    actions.add_parser("go", help=evil).add_argument("-m", "--model", help=evil)
    from expert.cli.commands import _command

    command = _command(("evil",), evil, parser)
    for shell, write in SHELLS.items():
        if not shutil.which(shell):
            continue
        checked = subprocess.run(
            [shell, "-n"], input=write([command]), capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, ""), shell
    formatted(man.manual([command]))
