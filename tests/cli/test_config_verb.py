"""`expert config`: settings shown and changed by the real program."""

import json
import sys
from pathlib import Path

import pytest

from expert.config import load_config, save_setting
from support.program import expert


def test_a_setting_is_written_read_and_removed(home: Path) -> None:
    """`get` prints what is in force, `list` where it comes from."""
    file = home / "config" / "config.toml"
    assert expert("config", "get", "max_tokens").text == "1024\n"
    assert expert("config", "set", "max_tokens", "77").text == f"saved in {file}\n"
    assert expert("config", "get", "max_tokens").text == "77\n"
    rows = {row["name"]: row for row in json.loads(expert("config", "--json").out)}
    assert rows["max_tokens"]["origin"] == "file"
    assert rows["threads"] == {"name": "threads", "value": None, "origin": "default",
                               "default": None}  # fmt: skip
    forced = json.loads(expert("config", "get", "max_tokens", "--json", EXPERT_MAX_TOKENS="5").out)
    assert (forced["value"], forced["origin"]) == (5, "environment")
    assert expert("config", "unset", "max_tokens").code == 0
    assert expert("config", "get", "max_tokens").text == "1024\n"
    assert expert("config", "path").text == f"{file}\n"


def test_comments_and_other_settings_stay(home: Path) -> None:
    """Only the one line changes."""
    file = home / "config" / "config.toml"
    file.parent.mkdir()
    file.write_text('# mine\nmodel = "pocket"   # small\n\nthreads=2')
    save_setting("threads", "4")
    save_setting("history", "false")
    assert (
        file.read_text() == '# mine\nmodel = "pocket"   # small\n\nthreads = 4\nhistory = false\n'
    )
    assert (load_config().threads, load_config().history) == (4, False)


def test_a_setting_written_over_lines_is_replaced_whole(home: Path) -> None:
    """What a single line does not show is written anew."""
    file = home / "config" / "config.toml"
    file.parent.mkdir()
    file.write_text('model = """\npocket"""\nthreads = 2\n')
    save_setting("model", "other")
    assert file.read_text() == 'model = "other"\nthreads = 2\n'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "colour"], "no setting 'colour'"),
        (["set", "colour", "red"], "no setting 'colour'"),
        (["set", "threads", "many"], "Expected"),
        (["unset", "threads"], "not set"),
        (["edit"], "no editor"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_mistakes(arguments: list[str], words: str, home: Path) -> None:
    """Are code 2, and leave no file."""
    done = expert("config", *arguments, VISUAL="", EDITOR="")
    assert done.code == 2
    assert words in done.message
    assert not (home / "config" / "config.toml").exists()


def test_editing(home: Path, tmp_path: Path) -> None:
    """The editor gets the file; what cannot be used is said afterwards."""
    script = tmp_path / "editor.py"
    script.write_text("import sys; open(sys.argv[2], 'w').write(sys.argv[1])")
    editor = f"{sys.executable} {script}"
    assert expert("config", "edit", EDITOR=f"{editor} 'threads = 3'").code == 0
    assert load_config().threads == 3
    assert expert("config", "edit", EDITOR=f"{editor} 'threads = '").code == 2
    assert expert("config", "edit", EDITOR="/none/such").code == 3
