"""The warnings of `expert sh` survive whatever surrounds a dangerous command."""

import random
import shlex
import subprocess

import pytest

from expert.cli.danger import dangers

PLAIN = ("ls", "echo hi", "cat notes.txt", "grep -r x .", "wc -l < f", "true", "sort names | uniq")
DANGEROUS = {
    "rm -r old": "deletes whole folders",
    "shred -u f": "overwrites files for good",
    "mkfs.ext4 /dev/sdb1": "formats or rewrites a disk",
    "killall ssh": "ends programs by name",
    "git push --force": "overwrites or deletes published history",
    "find . -name '*.o' -delete": "deletes every file it finds",
    "chmod -R 755 .": "changes rights of whole folders",
}
COMPOUND = (
    "{}; ls", "ls; {}", "ls && {}", "ls || {}", "{} | cat", "cat f | {}", "({})", "{{ {}; }}",
    "if true; then {}; fi", "if {}; then ls; fi", "while true; do {}; done",
    "for x in 1 2; do {}; done", "f() {{ {}; }}; f", "echo $({})", "echo `{}`", "diff <({}) f",
    "{} 2>/dev/null", "{} < f", "until {}; do ls; done", "ls\n{}", "{}\nls",
)  # fmt: skip
"""Places where any command may stand."""
BEFORE = (
    "{}", "! {}", "A=1 {}", "nohup {} &", "nice -n 5 {}", "time {}", "env A=1 {}", "timeout 5 {}",
    "setsid {}", "command {}", "stdbuf -o L {}", "ls |& {}", "{} &",
)  # fmt: skip
"""What may stand around a simple command."""
AROUND = COMPOUND + BEFORE


@pytest.mark.parametrize("around", AROUND)
def test_a_dangerous_command_is_found_in_every_place(around: str) -> None:
    """Lists, groups, conditions, loops, substitutions and wrappers hide nothing."""
    for command, warning in DANGEROUS.items():
        assert warning in dangers(around.format(command)), around.format(command)


@pytest.mark.parametrize("around", AROUND)
def test_what_is_around_does_not_warn_by_itself(around: str) -> None:
    """A harmless command in the same places has no warning: one that comes always is not read."""
    for command in PLAIN:
        assert dangers(around.format(command)) == []


def test_the_places_are_commands() -> None:
    """bash reads each of the texts above as one."""
    commands = (*PLAIN, *DANGEROUS)
    text = "\n".join(around.format(command) for around in AROUND for command in commands)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_nested_places() -> None:
    """Two and three places within one another, chosen at random, hide nothing either."""
    source = random.Random(11)
    for _ in range(1500):
        command, warning = source.choice(list(DANGEROUS.items()))
        text = source.choice(BEFORE).format(command)
        for _ in range(source.randrange(1, 3)):
            around = source.choice(COMPOUND)
            if "`" in text and "`" in around or "(" in text and "<(" in around:
                continue  # backquotes within backquotes would need escapes
            text = around.format(text)
        assert warning in dangers(text), text


def test_each_warning_comes_once() -> None:
    """However often something is done."""
    found = dangers("; ".join(["rm -r a"] * 5))
    assert found == ["deletes whole folders", "deletes files"]


@pytest.mark.parametrize(
    ("command", "program"),
    [("python3 -c 1", "python3"), ("perl -e 1", "perl"), ("ruby -e 1", "ruby"),
     ("node -e 1", "node"), ("php -r 1", "php")],
)  # fmt: skip
def test_programs_within_programs(command: str, program: str) -> None:
    """Code for an interpreter is not read, which is said; a script in a file is like any other."""
    assert dangers(command) == [f"runs a {program} program that is not checked"]
    assert dangers(f"{program} tool.txt") == []


@pytest.mark.parametrize(
    ("writer", "reader", "warning"),
    [
        ("curl -s u", "bash", "runs what it downloads"),
        ("wget -qO- u", "python3", "runs what it downloads"),
        ("/usr/bin/curl u", "/bin/sh", "runs what it downloads"),
        ("base64 -d f", "sh", "runs text that another command writes"),
        ("cat f", "node", "runs text that another command writes"),
    ],
)
def test_what_an_interpreter_reads(writer: str, reader: str, warning: str) -> None:
    """Text that another command writes is run; the other way round is harmless."""
    assert warning in dangers(f"{writer} | {reader}")
    assert warning in dangers(f"{writer} |& {reader}")
    assert warning not in dangers(f"{reader} --version | {writer}")
    assert warning not in dangers(f"{writer}; {reader} tool.txt")


@pytest.mark.parametrize(
    "target",
    ["/dev/sda", "/dev/sda1", "/dev/nvme0n1", "/dev/mmcblk0", "/dev/mapper/root", "/dev/loop7"],
)
@pytest.mark.parametrize("command", ["cat x > {}", "dd if=x of={}", "cp x {}", "tee {} < x"])
def test_disks(target: str, command: str) -> None:
    """A device of blocks is named as what it is, however it is written to."""
    assert "formats or rewrites a disk" in dangers(command.format(target))


@pytest.mark.parametrize("target", ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "&2"])
def test_harmless_targets(target: str) -> None:
    """Output that goes nowhere or to the screen replaces nothing."""
    assert dangers(f"ls > {target}" if target[0] == "/" else f"ls >{target}") == []
    assert dangers(f"ls 2>{target}") == []


def test_every_replaced_file_is_named() -> None:
    """With its name, as bash would open it; files that are added to are left out."""
    found = dangers("ls > 'two words' 2> errors >> log; cat < in > out")
    assert found == [
        "replaces what is in two words",
        "replaces what is in errors",
        "replaces what is in out",
    ]


@pytest.mark.parametrize(
    "char",
    ["\u200b", "\u202e", "\u2066", "\ufeff", "\u00a0", "\u00ad", "\u2028", "\x7f", "\x9b", "\x00"],
)
def test_unseen_characters(char: str) -> None:
    """A character that shows nothing is told apart from one that only looks like another."""
    assert "holds characters that cannot be seen" in dangers(f"ls{char}-l")
    assert dangers("echo grün") == ["holds characters other than ASCII, which can look like others"]


def test_shells_within_shells() -> None:
    """`sh -c` is read as the shell would read it, quotes within quotes."""
    text = "rm -r x"
    for shell in ("sh", "bash", "/bin/dash", "zsh"):
        text = f"{shell} -c {shlex.quote(text)}"
        assert "deletes whole folders" in dangers(text)
        assert "deletes whole folders" in dangers(f"{shell} -xc {shlex.quote('rm -r x')}")


def test_quotes_hide_no_program() -> None:
    """The shell takes quotes and backslashes away before it looks for a program."""
    for text in ("'rm' x", '"rm" x', "r\\m x", "r'm' x", '/bin/"rm" x', "\\rm x"):
        assert "deletes files" in dangers(text), text


@pytest.mark.parametrize(
    "text", ["echo 'rm -r x'", 'echo "rm -r x"', "echo rm", "printf '%s' 'sudo ls'", "man rm"]
)
def test_words_that_are_no_programs(text: str) -> None:
    """What is only said is not done."""
    assert dangers(text) == []
