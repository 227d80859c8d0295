"""What a shell command could destroy, read from its text without running anything.

The command is cut into simple commands (POSIX.1-2024, Shell Command Language, 2.9.1), through
pipes, lists, substitutions, wrappers like `sudo` and `xargs`, and `sh -c`. What is found is a
warning, and nothing found is no promise.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

Test: TypeAlias = Callable[[Sequence[str]], bool]

_WORDS = {
    "{", "}", "!", "then", "do", "else", "elif", "if", "while", "until", "fi", "done", "case",
    "esac",
}  # fmt: skip
"""Reserved words, which are such only where a command may begin."""
_WRAPPERS = {
    "sudo", "doas", "pkexec", "env", "nice", "ionice", "nohup", "time", "timeout", "command",
    "exec", "builtin", "xargs", "stdbuf", "setsid", "watch", "parallel", "chroot", "busybox",
}  # fmt: skip
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish"}
_INTERPRETERS = {"python", "python3", "perl", "ruby", "node", "php", "lua"}
_DEVICE = re.compile(r"/dev/(sd|hd|vd|nvme|mmcblk|disk|loop|mapper/|md\d)")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\xad\u2000-\u200f\u2028-\u202f\u205f-\u206f\ufeff]"
)
_NESTED = re.compile(r"[$<>]\(((?:[^()]|\([^()]*\))*)\)|`([^`]*)`")
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_BOMB = re.compile(r"(\S+)\s*\(\)\s*\{[^}]*\1\s*\|\s*\1\s*&")
_EXEC = {"-exec", "-execdir", "-ok", "-okdir"}
_MATTERS = re.compile(r"/\*?|~/?\*?|\*|\.|\.\./?\*?|\$\{?HOME\}?/?\*?")
_SQL = re.compile(r"\b(drop\s+(table|database|schema)|truncate\s+table|delete\s+from)\b", re.I)


def _flag(*names: str) -> Test:
    """Return a test for one of these options: long ones whole, short ones also in a cluster."""

    def test(arguments: Sequence[str]) -> bool:
        for argument in arguments:
            if argument.split("=")[0] in names:
                return True
            short = argument[1:] if re.fullmatch("-[A-Za-z]+", argument) else ""
            if any(len(name) == 2 and name[1] in short for name in names):
                return True
        return False

    return test


def _first(*names: str) -> Test:
    """Return a test for one of these as the first word that is no option."""
    return lambda arguments: next((a for a in arguments if a[:1] != "-"), "") in names


def _any(_: Sequence[str]) -> bool:
    return True


def _both(one: Test, other: Test) -> Test:
    return lambda arguments: one(arguments) and other(arguments)


_ADMIN = "runs as the administrator"
_OFF = "stops the machine or its services"
_DISK = "formats or rewrites a disk"
_PUSHED = "overwrites or deletes published history"
_RULES: Mapping[str, Sequence[tuple[Test, str]]] = {
    "rm": [(_flag("-r", "-R", "--recursive"), "deletes whole folders"), (_any, "deletes files")],
    "unlink": [(_any, "deletes files")],
    "shred": [(_any, "overwrites files for good")],
    "truncate": [(_any, "cuts files short")],
    "rsync": [(lambda args: any(a.startswith("--del") for a in args), "deletes files")],
    "find": [(_flag("-delete"), "deletes every file it finds")],
    "dd": [(lambda args: any(a.startswith("of=") for a in args), "overwrites a file or disk")],
    **{name: [(_any, _DISK)] for name in (
        "fdisk", "sfdisk", "parted", "sgdisk", "wipefs", "mkswap", "blkdiscard", "hdparm")},
    "chmod": [(_flag("-R", "--recursive"), "changes rights of whole folders"),
              (lambda args: any(re.fullmatch("0?[0-7]?77[67]|a\\+w|o\\+w", a) for a in args),
               "lets everybody write")],
    "chown": [(_flag("-R", "--recursive"), "changes the owner of whole folders")],
    "chgrp": [(_flag("-R", "--recursive"), "changes the group of whole folders")],
    "mv": [(lambda args: "/dev/null" in args, "throws files away")],
    "sed": [(_flag("-i", "--in-place"), "changes files in place")],
    "tee": [(_any, "overwrites files")],
    **{name: [(_any, _ADMIN)] for name in ("sudo", "doas", "su", "pkexec")},
    **{name: [(_any, _OFF)] for name in ("shutdown", "reboot", "halt", "poweroff")},
    "init": [(_first("0", "6"), _OFF)],
    "systemctl": [(_first("stop", "disable", "mask", "poweroff", "reboot", "halt", "kill"), _OFF)],
    "kill": [(lambda args: "-1" in args[1:], "ends every program")],
    "killall": [(_any, "ends programs by name")],
    "pkill": [(_any, "ends programs by name")],
    "eval": [(_any, "runs text as a command")],
    "crontab": [(_flag("-r"), "deletes every scheduled job")],
    "iptables": [(_any, "changes the firewall")],
    "nft": [(_any, "changes the firewall")],
    "ufw": [(_any, "changes the firewall")],
    **{name: [(_any, "changes accounts")] for name in (
        "useradd", "userdel", "usermod", "groupdel", "passwd", "visudo", "chpasswd")},
    "git": [
        (_both(_first("push"), _flag("-f", "--force", "--mirror", "--delete", "-d")), _PUSHED),
        (_both(_first("push"), lambda args: any(a[:1] in ("+", ":") for a in args)), _PUSHED),
        (_both(_first("reset"), _flag("--hard")), "throws uncommitted work away"),
        (_both(_first("clean"), _flag("-f", "--force")), "deletes files git does not know"),
        (_both(_first("checkout", "restore"), lambda args: "." in args),
         "throws uncommitted work away"),
        (_both(_first("branch"), _flag("-D")), "deletes a branch for good"),
        (_first("filter-branch", "filter-repo"), "rewrites history"),
    ],
    "docker": [(_first("rm", "rmi", "prune", "system", "volume"), "removes containers or data")],
    "kubectl": [(_first("delete", "drain"), "deletes things in the cluster")],
    "nc": [(_flag("-e", "-c"), "gives others a shell")],
    "history": [(_flag("-c"), "deletes the shell's history")],
}  # fmt: skip


def dangers(command: str) -> list[str]:
    """Return what in a command calls for a second look, each once, in words for people."""
    found = list(_found(command, depth=0))
    return list(dict.fromkeys(found))


def _found(text: str, depth: int) -> Iterator[str]:
    if _UNSEEN.search(text):
        yield "holds characters that cannot be seen"
    elif not text.isascii():
        yield "holds characters other than ASCII, which can look like others"
    if _BOMB.search(text):
        yield "starts itself again and again"
    if _SQL.search(text):
        yield "deletes from a database"
    if "/dev/tcp/" in text or "/dev/udp/" in text:
        yield "opens a network connection"
    if depth > 8:
        yield "is nested too deeply to be read"
        return
    for groups in _NESTED.findall(text):
        yield from _found("".join(groups), depth + 1)
    try:
        commands = list(_commands(text))
    except ValueError:
        yield "cannot be taken apart: a quote is open"
        return
    for one in commands:
        yield from _simple(one, depth)


@dataclass(frozen=True, slots=True)
class _Simple:
    """A simple command."""

    words: Sequence[str]
    targets: Sequence[str]
    """Files that its output replaces."""
    piped_from: str
    """The program whose output it reads; empty: none."""


def _commands(text: str) -> Iterator[_Simple]:
    words: list[str] = []
    targets: list[str] = []
    piped_from = ""
    plain = _QUOTED.sub(_without_operators, text).replace("\n", " ; ")
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="();<>|&")
    lexer.commenters = ""
    lexer.whitespace_split = True
    tokens = list(lexer)
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        if token in _WORDS and not words or token and set(token) <= set("();|&"):
            if words or targets:
                yield _Simple(words, targets, piped_from)
            piped_from = _program(words) if token in ("|", "|&") else ""
            words, targets = [], []
        elif before and set(before) <= set("<>&|") and set(before) & set("<>"):
            if ">" in before and ">>" not in before:
                targets.append(token)
        elif not set(token) <= set("<>&"):
            words.append(token)
    if words or targets:
        yield _Simple(words, targets, piped_from)


def _without_operators(quoted: re.Match[str]) -> str:
    """Return a quoted part; one of operators alone, as in `find \\( … \\)`, is only a word."""
    inner = quoted[0].strip("\\'\"")
    return "_" if inner and set(inner) <= set("();|&<>") else quoted[0]


def _program(words: Sequence[str]) -> str:
    bare = [word for word in words if not re.match(r"\w+=", word)]
    return PurePosixPath(bare[0]).name if bare else ""


def _simple(command: _Simple, depth: int) -> Iterator[str]:
    for target in [*command.targets, *command.words]:
        if _DEVICE.match(target.removeprefix("of=")):
            yield _DISK
    for target in command.targets:
        if not re.fullmatch(r"/dev/(null|stdout|stderr|tty)|\d|-", target):
            yield f"replaces what is in {target}"
    words = list(command.words)
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    yield from _run_by(words, command.piped_from, depth)
    # What a wrapper runs may begin at any word, because options and their values come before it.
    inner = 1 if _program(words) in _WRAPPERS else len(words)
    if _program(words) == "find":
        inner = min((words.index(word) for word in _EXEC & set(words)), default=len(words))
    for start in range(inner, len(words)):
        yield from _run_by(words[start:], command.piped_from, depth)


def _run_by(words: Sequence[str], source: str, depth: int) -> Iterator[str]:
    """Judge a program with its arguments, which reads what *source* writes."""
    program, arguments = _program(words[:1]), words[1:]
    if "$" in program or program.startswith(("{", "\\")):
        yield "runs a program whose name is not in the text"
    if program.startswith("mkfs"):
        yield _DISK
    yield from (reason for test, reason in _RULES.get(program, ()) if test(arguments))
    if program == "rm" and any(map(_MATTERS.fullmatch, arguments)):
        yield "deletes everything in a place that matters"
    if program in _SHELLS | _INTERPRETERS and source:
        downloads = source in ("curl", "wget", "fetch")
        yield "runs what it downloads" if downloads else "runs text that another command writes"
    if program in _SHELLS:
        for flag, text in zip(arguments, arguments[1:], strict=False):
            if re.fullmatch("-[a-z]*c", flag):
                yield from _found(text, depth + 1)
    if program in _INTERPRETERS and _flag("-c", "-e", "-r")(arguments):
        yield f"runs a {program} program that is not checked"
