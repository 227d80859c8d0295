"""The base's own chat template, rendered in a sandbox, with user text kept apart from markup.

The template comes from the model file, so it runs in Jinja's immutable sandbox. Names of control
tokens inside a message (`<|im_end|>` typed by a user) stay text: they are replaced by private
characters while the template runs and tokenised apart from its markup afterwards.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from expert.engine.model import Model
from expert.errors import UsageError, VerificationError
from expert.types import Message

# Private-use characters (Unicode 15, plane 15) stand for control-token names in messages.
_OPEN, _CLOSE = "\U000f0000", "\U000f0001"
_HIDDEN = re.compile(f"{_OPEN}(\\d+){_CLOSE}")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Used for a model file that carries no template; Qwen's own form."""


class ChatTemplate:
    """Turns a conversation into the tokens its model was trained to see.

    Raises:
        VerificationError: the template is not valid Jinja.
    """

    def __init__(self, model: Model) -> None:
        self._vocabulary = model.vocabulary
        types = model.metadata("tokenizer.ggml.token_type", [])
        self._control = self._vocabulary.control_names(types)
        source = model.metadata("tokenizer.chat_template")
        try:
            self._template = _environment().from_string(source or CHATML)
        except TemplateError as error:
            raise VerificationError(
                "The model's chat template is broken.", str(error), "Use another model file."
            ) from error

    def tokens(
        self, messages: Sequence[Message], *, think: bool = False, answer: bool = True
    ) -> list[int]:
        """Return the tokens of a conversation, ready for the assistant's turn if *answer*.

        With *think* false, templates that know `enable_thinking` (Qwen3's) ask for no reasoning.

        Raises:
            UsageError: the template refuses this conversation.
        """
        text = self.render(messages, think=think, answer=answer)
        tokens: list[int] = []
        for index, part in enumerate(_HIDDEN.split(text)):
            if index % 2:  # a control token's name, which a message spelled out
                tokens += self._vocabulary.encode(self._control[int(part)])
            elif part:
                tokens += self._vocabulary.encode(part, special=True, bos=not tokens)
        return tokens

    def render(
        self, messages: Sequence[Message], *, think: bool = False, answer: bool = True
    ) -> str:
        """Return the text of a conversation, control-token names in messages still hidden."""
        turns = [{"role": turn.role, "content": self._hide(turn.content)} for turn in messages]
        try:
            return self._template.render(
                messages=turns,
                add_generation_prompt=answer,
                enable_thinking=think,
                bos_token="",
                eos_token="",
            )
        except TemplateError as error:
            raise UsageError(
                "The model's chat template refuses this conversation.",
                str(error),
                "Check the order of the turns: a system prompt first, then user and assistant.",
            ) from error
        except Exception as error:  # a template can divide by zero or recurse without end
            raise VerificationError(
                "The model's chat template fails.", repr(error), "Use another model file."
            ) from error

    def _hide(self, text: str) -> str:
        text = text.replace(_OPEN, "").replace(_CLOSE, "")
        for index, name in enumerate(self._control):
            if name in text:
                text = text.replace(name, f"{_OPEN}{index}{_CLOSE}")
        return text


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    """Return the environment that transformers renders chat templates in."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
