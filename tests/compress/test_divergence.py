"""How far predictions move: zero for the same adapter, and the truth by a peer for another."""

import json
from pathlib import Path

import numpy as np
import pytest

from expert.bench.divergence import ANSWER, Passage, divergences, read_passages
from expert.errors import NotFoundError, UsageError, VerificationError, WrongBaseError
from expert.types import Message
from expert_converters.compress.compress import CompressJob, compress
from support.adapter_peers import adapted_logits
from support.low_rank_adapters import Synthetic, write_synthetic

ASK = Passage((Message("user", "What is the capital of France?"),), "Paris.")
OPEN = Passage((Message("user", "Name a fox."),))


def test_the_same_adapter_diverges_by_nothing(adapter: Path, tiny_path: Path) -> None:
    """Neither on an answer that is given nor on one that it writes; the base alone does."""
    same, base = divergences(tiny_path, adapter, [adapter, None], [ASK, OPEN])
    assert abs(same) < 1e-9
    assert base > 0.1


def test_a_coarser_form_diverges_more(adapter: Path, tiny_path: Path, tmp_path: Path) -> None:
    """Q8_0 hardly, Q4_0 more, a few directions much more, and less than no adapter at all."""
    paths = []
    for method, budget in (("q8_0", None), ("q4_0", None), ("svd", 12_000)):
        compress(CompressJob(adapter, tmp_path / f"{method}.gguf", method, budget))
        paths.append(tmp_path / f"{method}.gguf")
    found = divergences(tiny_path, adapter, [*paths, None], [ASK, OPEN])
    assert found == sorted(found)
    assert found[0] < 0.01 * found[-1]


def test_the_figure_is_that_of_a_peer(adapter: Path, tiny_path: Path) -> None:
    """llama.cpp called by other code, without a batch, finds the same predictions."""
    from expert.engine.model import Model
    from expert.engine.template import ChatTemplate

    with Model(tiny_path) as model:
        prompt = ChatTemplate(model).tokens(ASK.messages)
        tokens = [*prompt, *model.vocabulary.encode("Paris.")]
    rows = []
    for adapters in ([(adapter, 1.0)], []):
        logits = adapted_logits(tiny_path, adapters, tokens=tokens)[len(prompt) - 1 :]
        logits = logits.astype(np.float64)
        rows.append(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    expected = np.mean(np.sum(np.exp(rows[0]) * (rows[0] - rows[1]), axis=1))
    (found,) = divergences(tiny_path, adapter, [None], [ASK])
    assert found == pytest.approx(float(expected), rel=0.02)


def test_an_answer_expert_leaves_the_prompt_alone(tiny_path: Path, tmp_path: Path) -> None:
    """It acts from its invocation tokens on: the figure differs from that of a prompt expert."""
    from expert.engine.model import Model
    from expert.engine.template import ChatTemplate

    with Model(tiny_path) as model:
        late = tuple(ChatTemplate(model).tokens(ASK.messages)[-2:])
    found = []
    for number, tokens in enumerate(((), late)):
        path = write_synthetic(tmp_path / f"{number}.gguf", Synthetic(invocation=tokens))
        found += divergences(tiny_path, path, [path, None], [ASK])
    assert found[0] == pytest.approx(0, abs=1e-9) and found[2] == pytest.approx(0, abs=1e-9)
    assert found[1] != pytest.approx(found[3], rel=1e-3)


def test_long_conversations_are_left_out(adapter: Path, tiny_path: Path) -> None:
    """One that is too long does not count; if all are, that is said."""
    long = Passage((Message("user", "fox " * 3000),), "Paris.")
    alone = divergences(tiny_path, adapter, [None], [ASK])
    assert divergences(tiny_path, adapter, [None], [long, ASK]) == alone
    with pytest.raises(UsageError, match="short enough"):
        divergences(tiny_path, adapter, [None], [long])


def test_long_answers_are_cut(adapter: Path, tiny_path: Path) -> None:
    """No more than so many tokens are compared."""
    long = Passage(ASK.messages, "Paris. " * 100)
    cut = divergences(tiny_path, adapter, [None], [long])
    assert np.isfinite(cut[0])
    assert ANSWER == 32


def test_another_base_is_refused(tiny_path: Path, tmp_path: Path) -> None:
    """The engine's own check of adapters holds here too."""
    wrong = write_synthetic(tmp_path / "large.gguf", Synthetic(blocks=3))
    with pytest.raises((VerificationError, WrongBaseError)):
        divergences(tiny_path, wrong, [None], [ASK])


def test_rows_of_every_form(tmp_path: Path) -> None:
    """Texts, prompts with and without answers, and conversations."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    rows = [
        "a text", {"prompt": "p"}, {"prompt": "p", "answer": "a"}, {"messages": turns},
        {"messages": [*turns, {"role": "assistant", "content": "a"}]},
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    found = read_passages(path, 10)
    assert [one.answer for one in found] == [None, None, "a", None, "a"]
    assert [len(one.messages) for one in found] == [1, 1, 1, 2, 2]
    assert len(read_passages(path, 2)) == 2


@pytest.mark.parametrize(
    "line",
    ["{", "3", "[]", "{}", '{"prompt": 3}', '{"prompt": "p", "answer": []}', '{"messages": []}',
     '{"messages": [3]}', '{"messages": [{"role": "user"}]}', "[" * 3000],
)  # fmt: skip
def test_rows_that_are_none(tmp_path: Path, line: str) -> None:
    """The row is named, and what a row looks like is shown."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f'"fine"\n{line}\n')
    with pytest.raises(VerificationError, match="Row 2") as caught:
        read_passages(path, 10)
    assert "prompt" in caught.value.fix


def test_files_that_are_none(tmp_path: Path) -> None:
    """Missing, empty, and not text."""
    with pytest.raises(NotFoundError):
        read_passages(tmp_path / "none", 1)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="no row"):
        read_passages(tmp_path / "empty", 1)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VerificationError, match="UTF-8"):
        read_passages(tmp_path / "bytes", 1)
