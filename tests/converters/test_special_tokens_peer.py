"""Special tokens of random tokenizers: what llama.cpp's own reader finds, key by key."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from expert_converters.special_tokens import read_special_tokens

TEXTS = ("<s>", "</s>", "<e>", "<p>", "<m>", "<u>")
KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
VOCAB, COUNT = 6, 150
DRIVER = """
import json, logging, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
logging.disable()
from gguf.vocab import SpecialVocab
found = []
for folder in sys.argv[3:]:
    vocab = SpecialVocab(Path(folder), load_merges=False, n_vocab=int(sys.argv[2]))
    part = {"ids": vocab.special_token_ids, "add": vocab.add_special_token}
    found.append(part | {"template": vocab.chat_template})
print(json.dumps(found))
"""


def piece(draw: random.Random) -> dict[str, Any]:
    """Return one piece of a template: a text's place, or a special token."""
    if draw.random() < 0.5:
        return {"Sequence": {"id": draw.choice("AB"), "type_id": 0}}
    return {"SpecialToken": {"id": draw.choice(TEXTS), "type_id": 0}}


def template(draw: random.Random) -> dict[str, Any]:
    """Return a template around one text and around two, common forms more often than odd ones."""
    first, last = (draw.choice((None, *TEXTS[:3])) for _ in "ab")
    special: list[Any] = [
        {"SpecialToken": {"id": text}} if text else None for text in (first, last)
    ]
    texts = [{"Sequence": {"id": name}} for name in "AB"]
    between = [{"SpecialToken": {"id": draw.choice(TEXTS[:3])}} for _ in range(draw.randint(0, 2))]
    single: list[Any] = [special[0], texts[0], special[1]]
    pair: list[Any] = [special[0], texts[0], *between, texts[1], special[1]]
    if draw.random() < 0.3:
        single, pair = ([piece(draw) for _ in range(draw.randint(0, 4))] for _ in "ab")
    return {
        "type": "TemplateProcessing",
        "single": [part for part in single if part],
        "pair": [part for part in pair if part],
    }


def tokenizer(draw: random.Random) -> dict[str, Any]:
    """Return the parts of a tokenizer.json that say something about special tokens."""
    chosen = draw.sample(range(len(TEXTS)), draw.randint(2, len(TEXTS)))
    made: dict[str, Any] = {"added_tokens": [{"id": n, "content": TEXTS[n]} for n in chosen]}
    steps: list[dict[str, Any]] = []
    if draw.random() < 0.7:
        steps.append(template(draw))
    if draw.random() < 0.3:
        steps.append({"type": "ByteLevel"})
    if len(steps) == 1 and draw.random() < 0.5:
        made["post_processor"] = steps[0]
    elif steps:
        made["post_processor"] = {"type": "Sequence", "processors": steps}
    return made


def settings(draw: random.Random) -> dict[str, Any]:
    """Return a tokenizer_config.json: names, flags and a template, each now and then."""
    made: dict[str, Any] = {}
    for kind in KINDS:
        if draw.random() < 0.5:
            text = draw.choice(TEXTS)
            # llama.cpp takes an entry for another token than its own text, which ours does not.
            plain = kind not in ("unk", "pad", "mask")
            made[f"{kind}_token"] = text if plain else draw.choice((text, {"content": text}))
        if draw.random() < 0.3:
            made[f"add_{kind}_token"] = draw.choice((True, False, None))
    if draw.random() < 0.4:
        made["chat_template"] = draw.choice(("{{ x }}", [{"name": "a", "template": "b"}]))
    return made


def write_folder(seed: int, folder: Path) -> None:
    """Write what a checkpoint says of its special tokens."""
    draw = random.Random(seed)
    config = {
        f"{kind}_token_id": draw.choice((0, 3, VOCAB - 1, VOCAB, None))
        for kind in KINDS
        if draw.random() < 0.3
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(draw)))
    named = settings(draw)
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    (folder / "config.json").write_text(json.dumps(config))
    # Of two templates ours is the one that transformers takes, theirs the other.
    if "chat_template" not in named and draw.random() < 0.3:
        (folder / "chat_template.jinja").write_text("from its own file")


@pytest.fixture(scope="module")
def folders(
    llama_cpp_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Path, dict[str, Any]]]:
    """Random tokenizers, each with what llama.cpp's converter finds in it."""
    root = tmp_path_factory.mktemp("tokenizers")
    made = [root / str(seed) for seed in range(COUNT)]
    for seed, folder in enumerate(made):
        write_folder(seed, folder)
    source = llama_cpp_source / "gguf-py"
    command = [sys.executable, "-c", DRIVER, str(source), str(VOCAB), *map(str, made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(zip(made, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("part", ["ids", "add", "template"])
def test_random_tokenizers_are_read_as_llama_cpp_reads_them(
    part: str, folders: list[tuple[Path, dict[str, Any]]]
) -> None:
    """Ids, flags and templates, whatever the tokenizer, its settings and the model say."""
    for folder, theirs in folders:
        made, config = (
            json.loads((folder / name).read_text()) for name in ("tokenizer.json", "config.json")
        )
        special = read_special_tokens(folder, made, config, VOCAB)
        ours = {"ids": special.ids, "add": special.add, "template": special.chat_template}
        assert ours[part] == theirs[part], (
            f"{made}\n{(folder / 'tokenizer_config.json').read_text()}"
        )


def test_the_random_tokenizers_reach_every_rule() -> None:
    """Templates, flags of both kinds and ids of most kinds occur, or agreement shows little."""
    draws = [random.Random(seed) for seed in range(COUNT)]
    steps = [str(tokenizer(draw).get("post_processor")) for draw in draws]
    assert sum("TemplateProcessing" in one for one in steps) > 60
    assert sum("ByteLevel" in one for one in steps) > 15
    assert sum("'Sequence', 'processors'" in one for one in steps) > 30
