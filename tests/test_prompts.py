"""Prompt templates: holes filled once, mistakes named."""

from pathlib import Path

import pytest

from expert.errors import NotFoundError, UsageError
from expert.prompts import Template, load_template, template_names


def test_holes_are_filled_once() -> None:
    """What fills a hole is text, even where it looks like one."""
    template = Template("{{a}} and {{ b-c }}: {{input}}", "For {{a}}.", defaults={"b-c": "B"})
    system, prompt = template.fill("{{a}}", {"a": "{{input}}"})
    assert (system, prompt) == ("For {{input}}.", "{{input}} and B: {{a}}")


def test_the_input_comes_last_where_it_has_no_place() -> None:
    """And where nothing was asked, nothing comes."""
    assert Template("Explain:\n").fill("x", {}) == ("", "Explain:\n\nx")
    assert Template("Tell a joke.").fill("", {}) == ("", "Tell a joke.")
    assert Template().fill("x {{y}}", {}) == ("", "x {{y}}")


@pytest.mark.parametrize(
    ("values", "words"), [({}, "value for 'a'"), ({"a": "1", "b": "2"}, "place for 'b'")]
)
def test_missing_and_surplus_values(values: dict[str, str], words: str) -> None:
    """Are errors that name the holes."""
    with pytest.raises(UsageError, match=words) as caught:
        Template("{{a}}").fill("x", values)
    assert "Its holes: a." in caught.value.why


def test_templates_are_files(home: Path, tmp_path: Path) -> None:
    """By name in the configuration folder, or by path."""
    folder = home / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "teach.toml").write_text(
        'system = "Teach {{language}}."\nprompt = "{{input}}?"\n[defaults]\nlanguage = "C"\n'
    )
    assert template_names() == ["teach"]
    assert load_template("teach").fill("x", {}) == ("Teach C.", "x?")
    other = tmp_path / "other.toml"
    other.write_text('prompt = "hi"')
    assert load_template(str(other)).prompt == "hi"


@pytest.mark.parametrize(
    "text", ["prompt = ", "prompt = 3", 'code = "x"', "[defaults]\na = 1", "\udcff"]
)
def test_a_file_that_is_no_template(text: str, tmp_path: Path) -> None:
    """Is a usage error that names the file."""
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match="cannot be used"):
        load_template(str(path))


def test_an_unknown_template(home: Path) -> None:
    """Says which there are; a name cannot lead out of the folder."""
    folder = home / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "teach.toml").write_text("")
    with pytest.raises(NotFoundError) as caught:
        load_template("tech")
    assert "Did you mean 'teach'?" in caught.value.fix
    with pytest.raises(NotFoundError):
        load_template("../teach")
