"""Settings: precedence, strictness, and saving without losing anything."""

import tomllib
from pathlib import Path

import pytest

from expert.config import Config, load_config, save_setting
from expert.errors import ResourceError, UsageError
from expert.paths import user_paths


def write(text: str) -> None:
    """Write the settings file of this test's home."""
    file = user_paths().config_file
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_defaults_hold_without_a_file() -> None:
    """An empty home has every default."""
    assert load_config() == Config()


def test_flag_beats_environment_beats_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer covers the one below; None in a flag means not given."""
    write('model = "a"\nmax_tokens = 5\nthreads = 3\n')
    monkeypatch.setenv("EXPERT_MAX_TOKENS", "6")
    monkeypatch.setenv("EXPERT_THREADS", "4")
    config = load_config({"threads": 5, "model": None})
    assert (config.model, config.max_tokens, config.threads) == ("a", 6, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modell = 'x'\n", "modell"),
        ("threads = 'many'\n", "threads"),
        ("kv_type = 'q5'\n", "q5"),
        ("model = [1]\n", "model"),
        ("not toml", "config.toml"),
    ],
)
def test_wrong_settings_are_named_with_their_place(text: str, words: str) -> None:
    """The error is a usage error that says which setting and which file."""
    write(text)
    with pytest.raises(UsageError) as caught:
        load_config()
    assert words in str(caught.value)
    assert "config.toml" in str(caught.value)


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's own name is in the message."""
    monkeypatch.setenv("EXPERT_THREADS", "none")
    with pytest.raises(UsageError, match="EXPERT_THREADS"):
        load_config()


def test_saving_keeps_the_other_settings() -> None:
    """A saved value is read again, beside what was there, whatever its characters."""
    write("threads = 2\n")
    name = 'a "quoted" \\ path/ü.gguf'
    save_setting("model", name)
    assert tomllib.loads(user_paths().config_file.read_text()) == {"threads": 2, "model": name}
    assert load_config().model == name


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving into a blocked home is code 9 and leaves nothing behind."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("EXPERT_HOME", str(blocked))
    with pytest.raises(ResourceError) as caught:
        save_setting("model", "x")
    assert caught.value.code == 9
    assert list(tmp_path.iterdir()) == [blocked]
