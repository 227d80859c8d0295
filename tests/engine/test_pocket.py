"""The embedded base: exact beside transformers, and able to answer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from expert import Assistant, Message
from expert.engine.context import Context, Slice
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.template import ChatTemplate
from expert_converters.quantise import QuantiseJob, quantise
from support.peers import kl_divergence, reference_greedy, reference_logits
from support.pocket_peer import pocket_in_transformers

QUESTIONS = [
    "What is 7 plus 5?",
    "Write the word hello in upper case.",
    "Sort these words: pear, apple, fig",
    "lines that contain the word dog or the word cat",
    "find all files ending in .txt below the current directory",
    "book a table for four at an italian restaurant",
    "users(id number pk, name, age number)\n\nHow many users are older than 30?",
    "Copy this: blue river stone",
    "colour=green; size=large; shape=round\n\nsize?",
    "Who are you?",
    "The meeting is on Friday at noon.\n\nWhen is the meeting?",
    "count the lines of notes.md",
    "play some jazz by miles davis",
    "What is a river?",
    "list the names of all singers ordered by age",
    "Replace red with blue: a red car and a red bus",
    "Hello!",
    "show disk usage of the folder src",
    "naïve café 日本 🙂",
    "rate the current book five stars",
]
EXACT = ContextOptions(size=1024, kv_type="f32", outputs=512, batch=512, flash_attention="off")


@pytest.fixture(scope="module")
def exact(pocket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Return pocket in f32."""
    path = tmp_path_factory.mktemp("pocket") / "pocket-f32.gguf"
    quantise(QuantiseJob(pocket, path, "f32", requantise=True))
    with Model(path) as model:
        yield model


def test_logits_and_greedy_tokens_equal_transformers(exact: Model, pocket: Path) -> None:
    """20 prompts in f32: KL below 1e-5 at every position, and the same 64 greedy tokens."""
    peer = pocket_in_transformers(pocket)
    template = ChatTemplate(exact)
    with Context(exact, EXACT) as context:
        for question in QUESTIONS:
            prompt = template.tokens([Message("user", question)])
            context.forget(0, 0)
            (rows,) = context.step([Slice(0, 0, prompt, len(prompt))])
            logits = np.stack([read_logits(context, row) for row in rows]).astype(np.float64)
            assert kl_divergence(reference_logits(peer, prompt), logits).max() < 1e-5
            tokens = [int(logits[-1].argmax())]
            for index in range(63):
                (rows,) = context.step([Slice(0, len(prompt) + index, tokens[-1:], 1)])
                tokens.append(int(read_logits(context, rows[0]).argmax()))
            assert tokens == reference_greedy(peer, prompt, 64)


def test_it_answers_what_the_readme_asks(pocket: Path) -> None:
    """A command that finds the files, a value copied from the prompt, and who it is."""
    with Assistant(pocket) as assistant:
        command = assistant.ask("find all files ending in .txt below the current directory")
        assert command.text.split()[0] == "find"
        assert "*.txt" in command.text
        looked_up = assistant.ask("name=anna; city=rome; age=30\n\ncity?")
        assert looked_up.text.strip() == "rome"
        assert "Expert" in assistant.ask("Who are you?").text


def test_it_ends_its_answers(pocket: Path) -> None:
    """Most answers end by themselves, not by their limit."""
    with Assistant(pocket) as assistant:
        finishes = [assistant.ask(question, max_tokens=200).answer.finish for question in QUESTIONS]
    assert finishes.count("stop") >= 14


def test_its_size_and_context(pocket: Path) -> None:
    """It is at most 33 MB and has room for at least 2,048 tokens."""
    assert pocket.stat().st_size <= 33_000_000
    with Model(pocket) as model:
        assert model.trained_context >= 2048
        assert model.metadata("tokenizer.ggml.pre") == "qwen2"
