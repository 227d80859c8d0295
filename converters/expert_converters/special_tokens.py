"""What a tokenizer folder says besides its vocabulary: special ids, flags and chat template.

The rules are those of llama.cpp's `gguf-py/gguf/vocab.py` (SpecialVocab), so that the same keys
come out in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf

from .checkpoint import read_json

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


@dataclass
class SpecialTokens:
    """Special token ids by kind, whether to add them, templates, and BERT's normaliser flags."""

    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    ids: dict[str, int] = field(default_factory=dict)
    add: dict[str, bool] = field(default_factory=dict)
    chat_template: Any = None
    normalizer: dict[str, bool] = field(default_factory=dict)

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add the keys to *writer*."""
        for kind, token in self.ids.items():
            getattr(writer, f"add_{kind}_token_id", lambda _token: None)(token)
        for kind, value in self.add.items():
            getattr(writer, f"add_add_{kind}_token", lambda _value: None)(value)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)
        for flag, value in self.normalizer.items():
            writer.add_bool(f"tokenizer.ggml.normalizer.{flag}", value)


def read_special_tokens(
    folder: Path, tokenizer: dict[str, Any], config: dict[str, Any], vocab_size: int
) -> SpecialTokens:
    """Collect the special tokens of the tokenizer in *folder*.

    Args:
        folder: where `tokenizer_config.json` and the chat template lie.
        tokenizer: the parsed `tokenizer.json`.
        config: the model's `config.json`, which may name ids the tokenizer does not.
        vocab_size: ids at or above it are dropped.
    """
    special = SpecialTokens()
    settings = dict(read_json(folder / "tokenizer_config.json", {}))
    settings["bos_token"] = settings.get("bos_token") or settings.get("cls_token")
    settings["eos_token"] = settings.get("eos_token") or settings.get("sep_token")
    _read_normalizer(tokenizer.get("normalizer"), special)
    _read_post_processor(tokenizer.get("post_processor"), settings, special)
    special.chat_template = _chat_template(folder, settings)
    by_content = {entry["content"]: entry["id"] for entry in reversed(_added(tokenizer))}
    for kind in special.kinds:
        flag = settings.get(f"add_{kind}_token")
        if isinstance(flag, bool):
            special.add.setdefault(kind, flag)
        token = by_content.get(_content(settings.get(f"{kind}_token")))
        _set_id(special, kind, token, vocab_size)
    for kind in special.kinds:
        _set_id(special, kind, config.get(f"{kind}_token_id"), vocab_size)
    return special


def _added(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tokenizer.get("added_tokens") or []
    return entries


def _content(entry: Any) -> Any:
    return entry.get("content") if isinstance(entry, dict) else entry


def _set_id(special: SpecialTokens, kind: str, token: Any, vocab_size: int) -> None:
    if type(token) is int and 0 <= token < vocab_size:
        special.ids.setdefault(kind, token)


def _read_normalizer(normalizer: Any, special: SpecialTokens) -> None:
    if not isinstance(normalizer, dict):
        return
    kind = normalizer.get("type")
    if kind == "Lowercase":
        special.normalizer["lowercase"] = True
    elif kind == "StripAccents":
        special.normalizer["strip_accents"] = True
    elif kind == "BertNormalizer":
        for flag in ("lowercase", "strip_accents"):
            if isinstance(normalizer.get(flag), bool):
                special.normalizer[flag] = normalizer[flag]
    elif kind == "Sequence":
        for part in normalizer.get("normalizers", []):
            _read_normalizer(part, special)


def _read_post_processor(processor: Any, settings: dict[str, Any], special: SpecialTokens) -> None:
    if not isinstance(processor, dict):
        return
    for step in processor.get("processors", [processor]):
        if step.get("type") == "ByteLevel":
            special.add.setdefault("bos", False)
            special.add.setdefault("eos", False)
        elif step.get("type") == "TemplateProcessing":
            _read_template(step, settings, special)


def _read_template(step: dict[str, Any], settings: dict[str, Any], special: SpecialTokens) -> None:
    """Read from `[CLS] A [SEP]` which tokens the tokenizer puts around a text and between two."""
    single, pair = step.get("single", []), step.get("pair", [])
    first = last = None
    if len(single) > 1:
        first, last = _special_id(single[0]), _special_id(single[-1])
    if first:
        if first not in (_content(settings["bos_token"]), _content(settings.get("cls_token"))):
            settings["bos_token"] = settings["bos_token"] or first
            settings["cls_token"] = settings.get("cls_token") or first
        special.add["bos"] = first in (
            _content(settings["bos_token"]),
            _content(settings.get("cls_token")),
        )
    if last:
        if last != _content(settings["eos_token"]):
            special.kinds.append("eot")
            settings["eot_token"] = settings["eos_token"]
            settings["eos_token"] = last
        special.add["eos"] = True
    inner = pair[1 if first and pair and _special_id(pair[0]) == first else 0 :]
    if last and inner and _special_id(inner[-1]) == last:
        inner = inner[:-1]
    between = inner[1:-1]
    if between and _sequence_id(inner[0]) == "A" and _sequence_id(inner[-1]) == "B":
        separators = (_content(settings.get("sep_token")), _content(settings["eos_token"]))
        add_separator = _special_id(between[0]) in separators and not last
        if len(between) == 2 and _special_id(between[1]) in separators:
            add_separator = True
        special.add["sep"] = add_separator
        if add_separator and not settings.get("sep_token"):
            settings["sep_token"] = settings["eos_token"]


def _special_id(piece: dict[str, Any]) -> Any:
    return piece.get("SpecialToken", {}).get("id")


def _sequence_id(piece: dict[str, Any]) -> Any:
    return piece.get("Sequence", {}).get("id")


def _chat_template(folder: Path, settings: dict[str, Any]) -> Any:
    """Return the template transformers would use: the .jinja file, then .json, then the config."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        default = jinja.read_text(encoding="utf-8")
        others = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        if not others:
            return default
        named = [{"name": p.stem, "template": p.read_text(encoding="utf-8")} for p in others]
        return [{"name": "default", "template": default}, *named]
    template = read_json(folder / "chat_template.json", {}).get("chat_template")
    template = template or settings.get("chat_template")
    return template if isinstance(template, str | list) else None
