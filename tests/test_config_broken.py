"""Settings that are broken: refused by name, and no way of saving makes a file that is."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from expert.config import Config, load_config, remove_setting, save_setting, saved_settings
from expert.errors import UsageError
from expert.paths import user_paths


def write(data: str | bytes) -> Path:
    """Write the settings file of this test's home, and return it."""
    file = user_paths().config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


@pytest.mark.parametrize(
    "data",
    [
        b"theme = ",
        b'theme = "a',
        b"\xff\xfetheme",
        b"= 1\n",
        b"a = " + b"[" * 4000 + b"]" * 4000,
        b"\0",
        b'theme = "a"\ntheme = "b"\n',
        b"context = 1e400\n",
        b"context = -1\n",
        b"context = 99999999999999999999\n",
        b"memory = nan\n",
        b"memory = inf\n",
        b"memory = -1\n",
        b"gpu_layers = 99999999999999999999\n",
        b"gpu_layers = -2\n",
        b"history = 7\n",
        b"theme = 1979-05-27\n",
        b"[theme]\na = 1\n",
        b"[[model]]\n",
        b"model = {}\n",
    ],
)
def test_a_broken_file_is_refused_by_its_name(data: bytes) -> None:
    """Never anything but a usage error, that says which file it is."""
    file = write(data)
    with pytest.raises(UsageError) as caught:
        load_config()
    assert str(file) in str(caught.value)


def test_a_folder_in_place_of_the_file() -> None:
    """It is told as any other file that cannot be read."""
    user_paths().config_file.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"config\.toml"):
        load_config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context", "null"),
        ("context", ""),
        ("context", "1.5"),
        ("context", "0"),
        ("threads", "null"),
        ("threads", "513"),
        ("memory", "nan"),
        ("memory", "inf"),
        ("memory", "-inf"),
        ("memory", "null"),
        ("gpu_layers", "-2"),
        ("history", "null"),
        ("model", "\udcff.gguf"),
        ("model", "\ud800"),
        ("kv_type", "F16"),
        ("nothing", "1"),
        ("model = 1\ntheme", "1"),
    ],
)
def test_what_no_file_can_hold_is_not_saved(name: str, value: str) -> None:
    """It is refused, and the file is as it was."""
    file = write('# mine\ntheme = "nord"\n')
    with pytest.raises(UsageError):
        save_setting(name, value)
    assert file.read_text() == '# mine\ntheme = "nord"\n'
    assert [file] == list(file.parent.iterdir())


TEXTS = [
    "\x7f",
    "a\nb\r\n\tc\0",
    "é\u2028\u202e",
    "\U0001f600 \U0010ffff",
    '"""',
    "'''",
    "\\u0041\\",
    "# no comment",
    "\x1b[31m\x80\x9f",
    "\ufeff",
    "theme = 1\n[x]",
    " ",
    "",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=[f"{text[:12]!a}" for text in TEXTS])
def test_any_text_comes_back_as_it_was_saved(text: str) -> None:
    """Through the file, beside others, when it is replaced, and when it goes."""
    write("threads = 2\n")
    save_setting("model", "before")
    save_setting("model", text)
    assert load_config().model == text
    save_setting("theme", "nord")
    assert saved_settings() == {"threads": 2, "model": text, "theme": "nord"}
    remove_setting("model")
    assert saved_settings() == {"threads": 2, "theme": "nord"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("# top\ntheme = 'nord'  # colours\n\nthreads = 2 # few", True),
        ("theme = 'nord'\r\nthreads = 2\r\n", True),
        ("  theme   =\t'nord'\nthreads=0x2\n", True),
        ("\ufefftheme = 'nord'\nthreads = 2\n", True),
        ("'theme' = 'nord'\nthreads = 2\n", True),
        ('theme = """\\\n  nord"""\nthreads = 2\n', True),
        ("model = '''\nhistory = true\n'''\ntheme = 'nord'\nthreads = 2\n", False),
    ],
)
def test_however_a_file_is_written_one_setting_changes(text: str, kept: bool) -> None:
    """The others stay; so do their lines, where a line is what holds a setting."""
    file = write(text)
    before = saved_settings()
    save_setting("history", "false")
    assert saved_settings() == {**before, "history": False}
    assert load_config().theme == "nord"
    if kept:
        lines = text.replace("\r\n", "\n").removeprefix("\ufeff")
        assert file.read_text() == f"{lines.rstrip()}\nhistory = false\n"


@pytest.mark.parametrize(
    "text",
    ["[chat]\ntheme = 'x'\n", "when = 1979-05-27\n[x]\n", "memory = nan\n", "[[a]]\nb = 1\n"],
)
def test_a_file_that_holds_more_than_settings_is_left_alone(text: str) -> None:
    """Saving says so, and does not turn it into something that nobody can read."""
    file = write(text)
    with pytest.raises(UsageError) as caught:
        save_setting("history", "false")
    assert str(file) in str(caught.value)
    assert file.read_text() == text


def test_a_link_to_the_settings_stays_one(tmp_path: Path) -> None:
    """Who keeps settings elsewhere finds them changed there."""
    kept = tmp_path / "dotfiles" / "expert.toml"
    kept.parent.mkdir()
    kept.write_text("threads = 2\n")
    file = user_paths().config_file
    file.parent.mkdir(parents=True)
    file.symlink_to(kept)
    save_setting("theme", "nord")
    assert file.is_symlink()
    assert tomllib.loads(kept.read_text()) == {"threads": 2, "theme": "nord"}
    assert [kept] == list(kept.parent.iterdir())


@pytest.mark.parametrize("value", ["nan", "-5", "1e300", "many", "[1]"])
def test_a_wrong_variable_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number that means nothing and the one that is none."""
    monkeypatch.setenv("EXPERT_MEMORY", value)
    with pytest.raises(UsageError, match="EXPERT_MEMORY"):
        load_config()


@pytest.mark.parametrize(
    "given",
    [{"memory": float("nan")}, {"context": "x"}, {"history": []}, {"models": "x"}, {"theme": 5}],
)
def test_wrong_settings_of_a_caller_are_refused(given: dict[str, Any]) -> None:
    """As those of a file are."""
    with pytest.raises(UsageError, match="what was asked for"):
        load_config(given)


def test_scales_and_names_that_are_none_are_left_out() -> None:
    """Whatever stands there: numbers that are finite count."""
    scales = "sql:0.5 json regex:nan a/b:2 :1 x:y sql:0.75 z:1e999"
    config = Config(scales=scales, disabled=" a/b  c/d\n a/b")
    assert config.expert_scales == {"sql": 0.75, "a/b": 2.0, "": 1.0}
    assert config.disabled_experts == {"a/b", "c/d"}
