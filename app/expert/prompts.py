"""Prompt templates: small files of people's own, with holes and no code.

A template NAME is `templates/NAME.toml` in the configuration folder (`expert paths` prints it):

    description = "Explain code to a beginner"
    system = "You are a patient teacher of {{language}}."
    prompt = "Explain this:\\n\\n{{input}}"

    [defaults]
    language = "Python"

`{{input}}` is what was asked and piped in; it comes last where the prompt does not name it.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import msgspec

from expert.errors import NotFoundError, UsageError
from expert.paths import expanded, user_paths

_HOLE = re.compile(r"\{\{\s*([A-Za-z_][\w-]*)\s*\}\}")
_FOLDER = "templates"


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with holes."""

    prompt: str = "{{input}}"
    system: str = ""
    description: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def holes(self) -> set[str]:
        """The names to be filled."""
        return set(_HOLE.findall(self.prompt + self.system))

    def fill(self, text: str, values: Mapping[str, str]) -> tuple[str, str]:
        """Return system prompt and prompt with every hole filled, once: what fills is not read.

        Raises:
            UsageError: a hole has no value, or a value no hole.
        """
        known = {**self.defaults, **values}
        missing = sorted(self.holes - known.keys() - {"input"})
        surplus = sorted(values.keys() - self.holes)
        if missing or surplus:
            raise UsageError(
                f"The template needs a value for {missing[0]!r}."
                if missing
                else f"The template has no place for {surplus[0]!r}.",
                f"Its holes: {', '.join(sorted(self.holes)) or 'none'}.",
                f"Add: -p {missing[0]} VALUE" if missing else "Leave it out.",
            )
        prompt = self.prompt
        if text and "input" not in self.holes:
            prompt = prompt.rstrip("\n") + "\n\n{{input}}"
        known["input"] = text

        def filled(part: str) -> str:
            return _HOLE.sub(lambda hole: known[hole[1]], part)

        return filled(self.system), filled(prompt)


def template_names() -> list[str]:
    """Return the names of this user's templates."""
    return sorted(path.stem for path in (user_paths().config / _FOLDER).glob("*.toml"))


def load_template(name: str) -> Template:
    """Return the template of that name, or in that file.

    Raises:
        NotFoundError: there is none.
        UsageError: the file is no template.
    """
    named = re.fullmatch(r"[\w.-]+", name)
    path = user_paths().config / _FOLDER / f"{name}.toml" if named else expanded(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if surplus := sorted(values.keys() - {known.name for known in fields(Template)}):
            raise ValueError(f"it has {surplus[0]!r}, which means nothing here")
        return msgspec.convert(values, Template)
    except OSError as error:
        names = template_names()
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise NotFoundError(
            f"There is no template {name!r}.",
            f"{path}: {error.strerror}. Templates: {', '.join(names) or 'none'}.",
            f"{hint}Write that file, as `expert ask --help` says.",
        ) from error
    except ValueError as error:  # not UTF-8, not TOML, or of the wrong kind
        raise UsageError(
            f"The template {path} cannot be used.", f"{error}.", "Correct the file."
        ) from error
