"""Special tokens: ids, flags and templates from every place a checkpoint keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expert_converters.special_tokens import SpecialTokens, read_special_tokens

ADDED = [{"id": index, "content": text} for index, text in enumerate(["<s>", "</s>", "<e>", "<p>"])]


def read(folder: Path, config: dict[str, Any] | None = None, **parts: Any) -> SpecialTokens:
    """Read a tokenizer made of the given tokenizer.json parts and tokenizer_config settings."""
    settings = parts.pop("settings", {})
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return read_special_tokens(folder, {"added_tokens": ADDED} | parts, config or {}, 4)


def test_ids_come_from_the_tokenizer_before_the_model(tmp_path: Path) -> None:
    """Names win over numbers in config.json, which fill the gaps; ids out of range are dropped."""
    settings = {"eos_token": {"content": "</s>"}, "pad_token": "<p>", "unk_token": "missing"}
    config = {"eos_token_id": 2, "bos_token_id": 0, "cls_token_id": 4, "sep_token_id": [1]}
    special = read(tmp_path, config, settings=settings)
    assert special.ids == {"eos": 1, "pad": 3, "bos": 0}


def test_byte_level_adds_nothing(tmp_path: Path) -> None:
    """A byte-level post-processor means that no token is put around a text."""
    processor = {"type": "Sequence", "processors": [{"type": "ByteLevel"}]}
    special = read(tmp_path, post_processor=processor, settings={"add_bos_token": True})
    assert special.add == {"bos": False, "eos": False}


def test_flags_of_the_configuration(tmp_path: Path) -> None:
    """Without a post-processor the configuration's own flags count."""
    special = read(tmp_path, settings={"add_bos_token": True, "add_eos_token": None})
    assert special.add == {"bos": True}


def template(first: str | None, last: str | None) -> dict[str, Any]:
    """Describe a TemplateProcessing around one text."""
    pieces: list[dict[str, Any]] = [{"Sequence": {"id": "A"}}]
    if first:
        pieces.insert(0, {"SpecialToken": {"id": first}})
    if last:
        pieces.append({"SpecialToken": {"id": last}})
    return {"type": "TemplateProcessing", "single": pieces, "pair": []}


def test_a_template_names_start_and_end(tmp_path: Path) -> None:
    """Unnamed start and end tokens are taken from the template."""
    special = read(tmp_path, post_processor=template("<s>", "</s>"))
    assert special.ids == {"bos": 0, "eos": 1, "cls": 0}
    assert special.add == {"bos": True, "eos": True}


def test_another_end_makes_the_old_one_the_end_of_turn(tmp_path: Path) -> None:
    """As in Qwen3-Embedding: the template's end replaces the configured one."""
    special = read(tmp_path, post_processor=template(None, "<e>"), settings={"eos_token": "</s>"})
    assert special.ids == {"eos": 2, "eot": 1}
    assert special.add == {"eos": True}


@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [
        (None, {}),
        ({"type": "NFC"}, {}),
        ({"type": "Lowercase"}, {"lowercase": True}),
        (
            {"type": "BertNormalizer", "lowercase": False, "strip_accents": None},
            {"lowercase": False},
        ),
        (
            {"type": "Sequence", "normalizers": [{"type": "StripAccents"}, {"type": "Lowercase"}]},
            {"strip_accents": True, "lowercase": True},
        ),
    ],
)
def test_normaliser_flags(normalizer: Any, expected: dict[str, bool], tmp_path: Path) -> None:
    """Flags llama.cpp's WordPiece obeys are found at any depth."""
    assert read(tmp_path, normalizer=normalizer).normalizer == expected


def test_named_templates(tmp_path: Path) -> None:
    """Further templates in their own folder come with their names."""
    (tmp_path / "chat_template.jinja").write_text("default")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tools.jinja").write_text("with tools")
    assert read(tmp_path).chat_template == [
        {"name": "default", "template": "default"},
        {"name": "tools", "template": "with tools"},
    ]


def test_a_template_of_another_form_is_ignored(tmp_path: Path) -> None:
    """Only texts and lists of named texts are templates."""
    assert read(tmp_path, settings={"chat_template": {"a": 1}}).chat_template is None
