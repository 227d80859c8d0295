"""Completions and the manual: written from the commands, tried in the shells themselves."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from expert.cli import VERBS
from expert.cli.commands import commands
from expert.cli.completions import SHELLS
from expert.cli.man import manual
from expert.market.market import user_market
from expert.market.sources.registry import add_source
from support.packages import KEY, make_package
from support.program import expert, in_terminal

PACKAGING = Path(__file__).parents[2] / "packaging"
BASH = """
source "$SCRIPT"
complete -p expert >/dev/null || exit 9
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_expert
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the script for bash."""
    path = tmp_path_factory.mktemp("completions") / "expert.bash"
    path.write_text(SHELLS["bash"](commands()))
    return path


def complete(script: Path, *words: str) -> set[str]:
    """Return what a real bash offers for the last word, with no other program to be found."""
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "--norc", "-c", BASH, "bash", *words],
        env={"SCRIPT": str(script), "PATH": "", "EXPERT_HOME": os.environ["EXPERT_HOME"]},
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["expert", "as"], {"ask"}),
        (["expert", "con"], {"convert", "conflicts", "config"}),
        (["expert", "ask", "--tem"], {"--temperature", "--template"}),
        (["expert", "log", "re"], {"restore", "rename"}),
        (["expert", "log", "rm", "--f"], {"--forever"}),
        (["expert", "ask", "--kv-type", "q"], {"q8_0", "q4_0"}),
        (["expert", "completions", "x"], set()),
        (["expert", "ask", "--seed", ""], set()),
        (["expert", "nonsense", ""], set()),
    ],
)
def test_bash_completes(script: Path, words: list[str], offered: set[str]) -> None:
    """Commands, actions, options and their values, without any other program."""
    assert complete(script, *words) == offered


def test_bash_completes_models(script: Path, home: Path) -> None:
    """The names in the models folder, and the embedded one."""
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    (folder / "qwen3-0.6b.gguf").touch()
    assert complete(script, "expert", "ask", "-m", "") == {"pocket", "qwen3-0.6b"}


@pytest.fixture(name="installed")
def some_installed(home: Path, tmp_path: Path) -> list[str]:
    """Install two experts, and return their names; a source is called like a list of experts."""
    shop = tmp_path / "shop"
    packages = [make_package(shop, name=name) for name in ("json", "sql")]
    odd = tmp_path / '"experts":[["x' / 'y"'
    odd.mkdir(parents=True)
    add_source(user_market(), "odd", str(odd))
    done = expert("install", *packages, "-y", "--any-base", "--trust", KEY.public.fingerprint)
    assert done.code == 0, done.message
    return ["json", "sql"]


def test_bash_completes_installed_experts(script: Path, installed: list[str]) -> None:
    """Where an expert may be named: by the short name, or with the publisher once it is begun."""
    assert {"auto", "none", *installed} <= complete(script, "expert", "ask", "-e", "")
    assert complete(script, "expert", "chat", "--expert", "s") == {"sql"}
    for verb in ("show", "uninstall", "update", "pin", "verify"):
        assert complete(script, "expert", verb, "js") == {"json"}
        assert complete(script, "expert", verb, "acme/") == {"acme/json", "acme/sql"}
    assert complete(script, "expert", "bundle", "create", "s") == {"sql"}
    assert "sql" not in complete(script, "expert", "install", "s")


def test_bash_follows_what_is_installed(script: Path, installed: list[str], home: Path) -> None:
    """What was uninstalled is not offered any more, what a rollback brings back is."""
    assert expert("uninstall", "json").code == 0
    assert complete(script, "expert", "show", "") & {"json", "sql"} == {"sql"}
    assert expert("rollback").code == 0
    assert complete(script, "expert", "show", "") & {"json", "sql"} == {"json", "sql"}
    odd = '{"experts":[["x/$(touch pwned)","1"],["a/b","1"]]}'
    (home / "data" / "experts.json").write_text(odd)
    assert complete(script, "expert", "uninstall", "a/") == {"a/b"}
    assert not Path("pwned").exists()


def test_every_flag_of_every_command_is_offered(script: Path) -> None:
    """What `--help` knows, Tab knows."""
    for command in commands():
        flags = {flag for option in command.options for flag in option.flags}
        assert complete(script, "expert", command.name, "-") == flags
        if command.actions:
            names = {action.name for action in command.actions}
            assert names <= complete(script, "expert", command.name, "")
        for action in command.actions:
            flags = {flag for option in action.options for flag in option.flags}
            assert complete(script, "expert", *action.words, "-") == flags


def test_a_press_of_tab_costs_little(script: Path) -> None:
    """At most 60 ms of CPU, loading the script and starting bash included; it is a tenth."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        complete(script, "expert", "ask", "--t")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used / 5 < 0.06


def test_the_names_of_a_hundred_experts_cost_little(script: Path, home: Path) -> None:
    """At most 60 ms of CPU, as for any press of Tab."""
    rows = ",".join(f'["acme/expert-{number}","1.0.0"]' for number in range(100))
    (home / "data").mkdir()
    (home / "data" / "experts.json").write_text(f'{{"keys":[],"experts":[{rows}]}}')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        assert len(complete(script, "expert", "ask", "-e", "expert-")) == 100
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used / 5 < 0.06


def test_the_scripts_can_be_read_by_their_shells(tmp_path: Path) -> None:
    """By each shell that is here, without running anything."""
    for shell in SHELLS:
        path = tmp_path / shell
        path.write_bytes(expert("completions", shell).out)
        for verb in VERBS:
            assert verb in path.read_text()
        if program := shutil.which(shell):
            done = subprocess.run([program, "-n", str(path)], capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(tmp_path: Path, installed: list[str]) -> None:
    """A real fish offers commands, actions, options and values, and names of experts."""
    path = tmp_path / "expert.fish"
    path.write_text(SHELLS["fish"](commands()))

    def offered(line: str) -> set[str]:
        script = f"source {path}; complete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True)
        return {row.split("\t")[0] for row in done.stdout.splitlines()}

    assert "ask" in offered("expert a")
    assert offered("expert log re") == {"restore", "rename"}
    assert {"--temperature", "--template"} <= offered("expert ask --tem")
    assert offered("expert ask --kv-type q") == {"q8_0", "q4_0"}
    assert offered("expert uninstall ") == set(installed)
    assert offered("expert show acme/") == {"acme/json", "acme/sql"}
    assert {"auto", "none", *installed} <= offered("expert ask -e ")


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_reads_installed_experts(tmp_path: Path, installed: list[str]) -> None:
    """A real zsh finds the names in the market's note."""
    (tmp_path / "_expert").write_text(SHELLS["zsh"](commands()))
    script = (
        "compadd() { print -- ${(P)2} }; _files() { }; _describe() { }; words=(expert)\n"
        f"CURRENT=2; source {tmp_path}/_expert; _expert_experts; PREFIX=acme/; _expert_names"
    )
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["auto none", "json sql", "acme/json acme/sql"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_loads_the_functions(tmp_path: Path) -> None:
    """A real zsh takes it as the completion of `expert`."""
    (tmp_path / "_expert").write_text(SHELLS["zsh"](commands()))
    script = (
        f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump; "
        "print -- $_comps[expert]; autoload +X _expert; whence -w _expert"
    )
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["_expert", "_expert: function"]


def test_the_manual_is_a_manual() -> None:
    """groff formats it without a warning; every command, option and exit code is in it."""
    page = manual(commands())
    if groff := shutil.which("groff"):
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    for command in commands():
        assert f'.SS "expert {command.name}"' in page
        for option in command.options[2:]:
            assert option.flags[-1].replace("-", "\\-") in page
    for code in ("141", "130", "124"):
        assert f".B {code}" in page


def test_man_shows_or_prints() -> None:
    """Into a pipe the source, on a screen the page."""
    assert expert("man").text.startswith(".TH EXPERT 1")
    shown = in_terminal(["man"], MANPAGER="cat", PAGER="cat", COLUMNS="80")
    assert shown.code == 0
    assert "EXPERT" in shown.text


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "man"])
def test_what_packages_carry_is_current(name: str) -> None:
    """`packaging/write_files.py` writes them anew."""
    command = [sys.executable, str(PACKAGING / "write_files.py"), "--print", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    files = {"bash": "completions/expert.bash", "zsh": "completions/_expert",
             "fish": "completions/expert.fish", "man": "man/expert.1"}  # fmt: skip
    assert (PACKAGING / files[name]).read_text() == done.stdout
