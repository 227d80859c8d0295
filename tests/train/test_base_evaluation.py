"""How a base is measured: exact answers of held-out rows, and the perplexity of held-out text."""

from __future__ import annotations

import json
import math
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from expert.train import evaluate as measuring
from expert.train.batches import assemble
from expert.train.checkpoint import save_state
from expert.train.corpus import encode_document, load_corpus, load_tokenizer
from expert.train.evaluate import LONGEST_PROMPT, Score, perplexity, sample, score, write_report
from expert.train.examples import Document, Example, single
from expert.train.export import config, export, generation
from expert.train.generate import greedy
from expert.train.pretrain import losses
from expert.train.qwen3 import Qwen3
from expert.train.recipe import Recipe, read_recipe
from expert.train.tokenizer import EMPTY_THOUGHT, END, STOP, token_id, turn_prompt


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Path) -> Recipe:
    """Return the tiny recipe."""
    return read_recipe(tiny_recipe)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder with a tokenizer and the state of an untrained model."""
    folder = tmp_path_factory.mktemp("run")
    load_tokenizer(recipe, tiny_data, folder)
    torch.manual_seed(3)
    save_state(folder, {"optimiser": {"weights": Qwen3(recipe.model.shape).state_dict()}})
    return folder


@pytest.fixture
def tokenizer(run: Path) -> Tokenizer:
    """Return its tokenizer."""
    return Tokenizer.from_file(str(run / "tokenizer.json"))


@pytest.fixture
def model(recipe: Recipe) -> Qwen3:
    """Return a random model that has something to say."""
    torch.manual_seed(3)
    model = Qwen3(recipe.model.shape).eval()
    for weight in model.parameters():
        weight.data += 0.5 * torch.randn_like(weight)
    return model


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers end soon."""
    monkeypatch.setattr(measuring, "LONGEST_ANSWER", 6)


def said(model: Qwen3, tokenizer: Tokenizer, prompt: str) -> str:
    """Return what a model answers."""
    ids = tokenizer.encode(turn_prompt(prompt) + EMPTY_THOUGHT).ids
    stops = {token_id(tokenizer, STOP), token_id(tokenizer, END)}
    return str(tokenizer.decode(greedy(model, [ids], stops, measuring.LONGEST_ANSWER)[0]))


def rows_of(model: Qwen3, tokenizer: Tokenizer, count: int) -> list[Example]:
    """Return questions with what the model itself would answer, without spaces around it."""
    prompts = (f"play {'song ' * (n % 3)}{n}" for n in range(10 * count))
    answers = ((prompt, said(model, tokenizer, prompt)) for prompt in prompts)
    kept = ((prompt, text) for prompt, text in answers if text and text == text.strip())
    return [single("json", "g", *pair) for pair in islice(kept, count)]


def test_what_the_model_says_is_right(model: Qwen3, tokenizer: Tokenizer) -> None:
    """Prompts of several lengths, answered together, get the answers that each gets alone."""
    result = score(model, tokenizer, "snips", rows_of(model, tokenizer, 7))
    assert (result.task, result.rows, result.exact, result.wrong) == ("snips", 7, 1.0, [])


def test_every_other_answer_is_wrong(model: Qwen3, tokenizer: Tokenizer) -> None:
    """The share is of all rows; some wrong ones are kept to be read, beside what was expected."""
    good = rows_of(model, tokenizer, 4)
    bad = [single("json", "g", e.question.prompt, "no such words") for e in good * 5]
    result = score(model, tokenizer, "snips", [*good, *bad])
    assert result.rows == 24 and result.exact == round(4 / 24, 4)
    assert len(result.wrong) == 8
    for wrong in result.wrong:
        assert wrong["expected"] == "no such words" != wrong["answer"]
        assert said(model, tokenizer, wrong["prompt"]) == wrong["answer"]


def test_questions_that_are_too_long_are_not_asked(
    model: Qwen3, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count neither as right nor as wrong; without any row the share is zero."""
    rows = rows_of(model, tokenizer, 3)
    assert LONGEST_PROMPT > 100
    monkeypatch.setattr(measuring, "LONGEST_PROMPT", 60)
    long = single("json", "g", "song " * 90, "x")
    assert score(model, tokenizer, "snips", [*rows, long]).rows == 3
    assert score(model, tokenizer, "snips", [long]) == Score("snips", 0, 0.0, [])


def test_rows_are_held_out_and_chosen_by_hash(recipe: Recipe, tiny_data: Path) -> None:
    """The same rows each time, more of them a superset, and none of the training rows."""
    few, many = (sample(recipe, tiny_data, "snips", n) for n in (5, 15))
    assert few == many[:5] and len(many) == 15
    assert {e.group for e in many} == {"snips:val"}


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(
    model: Qwen3, tokenizer: Tokenizer, recipe: Recipe, tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """All tokens are equally likely where every weight is zero."""
    monkeypatch.setattr(measuring, "held_out", lambda document: True)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = perplexity(model, tokenizer, recipe, tiny_data)
    assert found == pytest.approx(recipe.model.vocab_size, rel=1e-4)


def test_perplexity_is_that_of_each_piece(
    model: Qwen3, tokenizer: Tokenizer, recipe: Recipe, tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The mean over tokens, not over pieces, of the loss that training takes on text."""
    texts = [Document("g", f"Title {n}\nthe quick brown fox " + "jumps " * n) for n in (7, 8, 70)]
    monkeypatch.setattr(measuring, "held_out", lambda document: document.text.startswith("Title 7"))
    monkeypatch.setattr(measuring, "documents", lambda source, limit: texts)
    parts = []
    for document in (texts[0], texts[2]):
        for piece in list(encode_document(tokenizer, document.text, recipe.data.document))[:2]:
            tokens = torch.tensor(piece).numpy()
            batch = assemble([(tokens, torch.ones(len(piece)).numpy(), "t")], ["t"])
            parts.append(losses(model, batch).detach())
    expected = math.exp(torch.cat(parts).mean())
    assert perplexity(model, tokenizer, recipe, tiny_data) == pytest.approx(expected, rel=1e-3)


def test_the_report_is_kept_whole(recipe: Recipe, tiny_data: Path, run: Path) -> None:
    """Every task of the mix but text, then the perplexity; progress is told."""
    told: list[tuple[int, int]] = []
    report = write_report(recipe, tiny_data, run, 3, lambda done, total: told.append((done, total)))
    assert list(report) == ["snips", "perplexity"] and report["snips"]["rows"] == 3
    assert json.loads((run / "evaluation.json").read_text(encoding="utf-8")) == report
    assert told == [(0, 2), (1, 2)] and not (run / "evaluation.json.part").exists()


def test_it_can_be_asked_for_from_a_shell(
    tiny_recipe: Path, tiny_data: Path, run: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """As its documentation writes it."""
    words = ["evaluate", str(tiny_recipe), "--data", str(tiny_data), "--run", str(run)]
    monkeypatch.setattr(sys, "argv", [*words, "--rows", "2"])
    measuring.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("snips ") and lines[0].endswith("% of 2")
    assert lines[1].startswith("perplexity")


def test_a_run_without_a_state_cannot_be_measured(
    recipe: Recipe, tiny_data: Path, tmp_path: Path
) -> None:
    """There is nothing to measure."""
    with pytest.raises(FileNotFoundError):
        write_report(recipe, tiny_data, tmp_path, 2)


def test_a_checkpoint_says_what_transformers_asks(
    recipe: Recipe, tokenizer: Tokenizer, model: Qwen3, tmp_path: Path
) -> None:
    """The ids of its ends are those of the tokenizer, its sizes those of the recipe."""
    from transformers import AutoConfig, GenerationConfig

    folder = export(recipe, dict(model.state_dict()), tokenizer, tmp_path / "checkpoint")
    found = AutoConfig.from_pretrained(str(folder))
    assert (found.model_type, found.vocab_size, found.hidden_size) == ("qwen3", 320, 32)
    assert found.eos_token_id == tokenizer.token_to_id(STOP) and found.tie_word_embeddings
    ends = GenerationConfig.from_pretrained(str(folder))
    assert ends.eos_token_id == [tokenizer.token_to_id(STOP), tokenizer.token_to_id(END)]
    assert not ends.do_sample
    assert json.loads((folder / "config.json").read_text("utf-8")) == config(recipe, tokenizer)
    assert generation(tokenizer)["pad_token_id"] == tokenizer.token_to_id(END)
    assert not list(folder.glob("*.part"))


def test_encoded_rows_are_read_back(recipe: Recipe, tiny_data: Path, run: Path) -> None:
    """The second time from the run's folder, without the data."""
    told: list[int] = []
    first = load_corpus(recipe, tiny_data, run, lambda done, total: told.append(done))
    again = load_corpus(recipe, tiny_data / "gone", run)
    assert list(first) == list(again) == ["snips", "text"] and told == [0, 1]
    for name, part in first.items():
        assert len(part) == len(again[name]) > 0
        assert all(part.length(n) <= recipe.data.longest for n in range(len(part)))
        for ours, theirs in zip(part.get(1), again[name].get(1), strict=True):
            assert ours.tolist() == theirs.tolist()
