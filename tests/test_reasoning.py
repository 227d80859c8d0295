"""Telling reasoning from answer, however the text is cut."""

import random

import pytest

from expert.reasoning import ReasoningSplitter

CASES = [
    ("plain answer", "", "plain answer"),
    ("<think>\nwhy\nnot\n</think>\n\nBecause.", "why\nnot", "Because."),
    ("<think>\n\n</think>\n\nAnswer", "", "Answer"),
    ("  <think>a < b </think>  x", "a < b", "x"),
    ("  spaced answer", "", "  spaced answer"),
    ("<thin air", "", "<thin air"),
    ("<think>never closed", "never closed", ""),
    ("ends with <think>in text</think>", "", "ends with <think>in text</think>"),
    ("<think>one</think>two</think>three", "one", "two</think>three"),
    ("", "", ""),
]


def split(text: str, seed: int, inside: bool = False) -> tuple[str, str]:
    """Push *text* in random parts and return (reasoning, answer)."""
    draw = random.Random(seed)
    splitter = ReasoningSplitter(inside=inside)
    deltas = []
    while text:
        size = draw.randint(1, 5)
        deltas += list(splitter.push(text[:size]))
        text = text[size:]
    deltas += list(splitter.finish())
    parts = {True: "", False: ""}
    for delta in deltas:
        parts[delta.reasoning] += delta.text
    return parts[True], parts[False]


@pytest.mark.parametrize(("text", "reasoning", "answer"), CASES)
def test_reasoning_and_answer_at_any_cut(text: str, reasoning: str, answer: str) -> None:
    """The result does not depend on how the stream is cut."""
    for seed in range(60):
        found = split(text, seed)
        assert (found[0].rstrip(), found[1]) == (reasoning, answer)


def test_a_prompt_that_opened_the_reasoning() -> None:
    """Some templates write the opening tag themselves."""
    for seed in range(30):
        assert split("because\n</think>\n\nYes.", seed, inside=True) == ("because", "Yes.")
