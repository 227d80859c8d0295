"""Data that is damaged, cut, or no data at all: told by the task or the line, never half learnt."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from expert.errors import ExpertError, NotFoundError, VerificationError
from expert.train.adapter.dataset import is_validation
from expert.train.adapter.endpoint import text_of
from expert.train.adapter.pairs import Pair, pair_of, read_pairs
from expert.train.adapter.preference import heldout_prompts
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.task_data import TaskData
from expert.train.corpus import held_out
from expert.train.evaluation.conditions import VARIANTS, heldout_rows
from expert.train.examples import Example, Turn, single
from expert.train.rows import digest, drawn, read_rows
from support.experts import write_expert
from support.songs import write_songs

ROWS = [{"number": number, "text": f"row {number} " * 20} for number in range(500)]


def packed(lines: list[bytes], *, blocks: bool = False) -> bytes:
    """Return lines in one frame of zstd; in *blocks*, each line ends one, as a flush leaves it."""
    compressor = zstandard.ZstdCompressor().compressobj()
    made = []
    for line in lines:
        made.append(compressor.compress(line))
        if blocks:
            made.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b"".join([*made, compressor.flush()])


def as_lines(rows: list[dict[str, Any]]) -> list[bytes]:
    """Return rows as JSON Lines."""
    return [json.dumps(row).encode() + b"\n" for row in rows]


def test_frames_that_follow_each_other_are_one_file(tmp_path: Path) -> None:
    """As `cat a.zst b.zst` leaves them, and `zstd -d` reads them."""
    path = tmp_path / "rows.jsonl.zst"
    lines = as_lines(ROWS)
    path.write_bytes(packed(lines[:200]) + packed([]) + packed(lines[200:]))
    assert list(read_rows(path)) == ROWS


@pytest.mark.parametrize("seed", range(8))
def test_a_file_cut_anywhere_is_no_shorter_file(tmp_path: Path, seed: int) -> None:
    """Even where the cut falls between two lines: half a download is not half the rows."""
    rng = random.Random(seed)
    whole = packed(as_lines(ROWS), blocks=True)
    path = tmp_path / "rows.jsonl.zst"
    for _ in range(6):
        path.write_bytes(whole[: rng.randrange(1, len(whole))])
        with pytest.raises((EOFError, ValueError)):
            list(read_rows(path))
    path.write_bytes(whole)
    assert list(read_rows(path)) == ROWS


def spoil_bytes(path: Path) -> None:
    """Turn some bytes in the middle."""
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 40):
        content[place] ^= 0xA5
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Keep the first two thirds."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def rewrite(*lines: bytes) -> Callable[[Path], Any]:
    """Return what puts other lines in a file's place."""
    return lambda path: path.write_bytes(packed(list(lines)))


def make_folder(path: Path) -> None:
    """Put a folder in a file's place."""
    path.unlink()
    path.mkdir()


def dangle(path: Path) -> None:
    """Put a link to nothing in a file's place."""
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    """Put a link to itself in a file's place."""
    path.unlink()
    path.symlink_to(path.name)


FAULTS: list[tuple[Callable[[Path], Any], type[ExpertError]]] = [
    (spoil_bytes, VerificationError),
    (cut, VerificationError),
    (lambda path: path.write_bytes(b"plain text, no zstd"), VerificationError),
    (rewrite(b"[" * 100_000 + b"\n"), VerificationError),
    (rewrite(b"\xff\xfe\n"), VerificationError),
    (rewrite(b"3\n"), VerificationError),
    (rewrite(b"null\n"), VerificationError),
    (rewrite(b'{"text": 3, "json": {"intent": "a", "slots": {}}}\n'), VerificationError),
    (rewrite(b'{"text": "a"}\n'), VerificationError),
    (rewrite(b'{"text": "a \\ud800", "json": {"intent": "a", "slots": {}}}\n'), VerificationError),
    (make_folder, NotFoundError),
    (dangle, NotFoundError),
    (loop, NotFoundError),
    (lambda path: path.unlink(), NotFoundError),
]


@pytest.mark.parametrize(("change", "error"), FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("name", ["snips_train", "snips_valid"])
def test_damaged_data_is_told_with_its_task(
    tmp_path: Path, change: Callable[[Path], Any], error: type[ExpertError], name: str
) -> None:
    """Whatever is wrong with a file, the error names the task and says what to do."""
    change(write_songs(tmp_path) / f"experts/json/{name}.jsonl.zst")
    with pytest.raises(error, match="snips") as caught:
        list(TaskData(tmp_path).examples("snips"))
    assert caught.value.why and caught.value.fix


def test_an_empty_file_is_no_rows(tmp_path: Path) -> None:
    """An empty frame, and nothing at all: the validation rows alone are left."""
    path = write_songs(tmp_path) / "experts/json/snips_train.jsonl.zst"
    for content in (b"", packed([])):
        path.write_bytes(content)
        assert all(map(held_out, TaskData(tmp_path).examples("snips")))


def pairs(count: int) -> list[dict[str, Any]]:
    """Return plain pairs."""
    return [{"prompt": f"q {n}", "chosen": f"yes {n}", "rejected": "no"} for n in range(count)]


@pytest.mark.parametrize("end", [".jsonl", ".jsonl.zst", ".jsonl.gz"])
def test_pairs_are_read_from_every_form(tmp_path: Path, end: str) -> None:
    """A mark before the text, line ends of Windows and blank lines are no part of a row."""
    content = b"\xef\xbb\xbf" + b"\r\n".join(as_lines(pairs(30)))
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".jsonl": bytes,
        ".jsonl.zst": zstandard.compress,
        ".jsonl.gz": gzip.compress,
    }
    path = tmp_path / f"pairs{end}"
    path.write_bytes(packers[end](content))
    assert list(read_pairs(path)) == [Pair((("user", f"q {n}"),), f"yes {n}", "no")
                                      for n in range(30)]  # fmt: skip


def test_all_frames_of_pairs_are_learnt_from(tmp_path: Path) -> None:
    """A file grown by appending another one is read to its end."""
    path = tmp_path / "pairs.jsonl.zst"
    lines = as_lines(pairs(30))
    path.write_bytes(zstandard.compress(b"".join(lines[:10])) + zstandard.compress(lines[10]))
    assert len(list(read_pairs(path))) == 11


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_cut_pairs_are_refused(tmp_path: Path, share: float) -> None:
    """Not silently fewer of them."""
    whole = packed(as_lines(pairs(300)), blocks=True)
    path = tmp_path / "pairs.jsonl.zst"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VerificationError):
        list(read_pairs(path))


BAD_LINES = [
    (b"[" * 100_000, "nested"),
    (b'{"prompt": "q", "chosen": "a \\ud83d", "rejected": "b"}', "half"),
    (b'{"prompt": "q \\udc00", "chosen": "a", "rejected": "b"}', "half"),
    (b'{"prompt": "q", "chosen": "a", "rejected": "b", "chosen": "c"}', "twice"),
    (b'{"prompt": "q", "chosen": NaN, "rejected": "b"}', "NaN"),
    (b'{"prompt": "q", "chosen": "a\xff", "rejected": "b"}', "UTF-8"),
    (b'{"prompt": "q\0", "chosen": "a", "rejected": "b"}', "NUL"),
    (b'{"prompt": null, "chosen": "a", "rejected": "b"}', "neither text"),
    (b'{"prompt": "q", "chosen": {"role": "assistant"}, "rejected": "b"}', "neither text"),
    (b'{"prompt": "q", "chosen": ["a"], "rejected": ["b"]}', "no content"),
    (b'{"prompt": "q", "system": 3, "chosen": "a", "rejected": "b"}', "neither text"),
    (b'{"chosen": [], "rejected": []}', "no question"),
    (b'{"prompt": "  ", "chosen": "a", "rejected": "b"}', "empty"),
    (b'{"prompt": "q", "chosen": "a", "rejected": " a "}', "the same"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    """Its number is right whatever stands before it, and the reason is told."""
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"".join(as_lines(pairs(3))) + b"\n" + line + b"\n")
    with pytest.raises(VerificationError, match="Line 5 ") as caught:
        list(read_pairs(path))
    assert said in caught.value.why and caught.value.fix


def test_the_question_of_a_long_conversation_is_its_last(tmp_path: Path) -> None:
    """What stands before is told as the chat template writes it."""
    messages = [
        {"role": "user", "content": " one "},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two"},
    ]
    pair = pair_of({"prompt": messages, "system": "s", "chosen": "a", "rejected": "b"})
    assert pair.question == "two" and pair.messages[0] == ("system", "s")
    assert pair.opening.count("<|im_start|>") == 5 and pair.opening.endswith("assistant\n")
    longer = [*messages, {"role": "assistant", "content": "a"}]
    other = [*messages, {"role": "assistant", "content": "b"}]
    assert pair_of({"chosen": longer, "rejected": other}).messages == pair.messages[1:]


def test_no_draw_of_a_held_out_question_is_a_preference(tmp_path: Path) -> None:
    """The evaluation asks it in several wordings, and a pair may have none of them."""
    data = TaskData(write_songs(tmp_path / "data"))
    recipe = read_recipe(write_expert(tmp_path / "songs"))
    kept_out = heldout_prompts(recipe, data)
    asked = {row.question.prompt.strip() for row in heldout_rows(data, "snips", 10_000)}
    assert asked <= kept_out
    drawn_again = {
        e.question.prompt.strip() for e in data.examples("snips", range(VARIANTS)) if held_out(e)
    }
    assert drawn_again == kept_out and len(kept_out) > 20


REPLIES = [
    ({"content": " a "}, "stop", "a"),
    ({"content": "a"}, "length", None),
    ({"content": ""}, "stop", None),
    ({"content": None}, "stop", None),
    ({"content": "cut \ud83d"}, "stop", None),
    ({"content": "whole \U0001f600"}, "stop", "whole \U0001f600"),
]


@pytest.mark.parametrize(("message", "reason", "text"), REPLIES)
def test_a_teachers_answer_is_whole_or_none(
    message: dict[str, Any], reason: str, text: str | None
) -> None:
    """Half a character is what a server sends that stopped inside an emoji; no tokenizer takes
    it, and the run would fail after all questions were asked.
    """
    reply = {"choices": [{"message": message, "finish_reason": reason}]}
    assert text_of(json.loads(json.dumps(reply))) == text


@pytest.mark.parametrize(
    "reply", [None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": 3}]}, "x"]
)
def test_a_reply_of_another_kind_is_a_value_error(reply: Any) -> None:
    """It may pass, so it is asked for again, and what came is told."""
    with pytest.raises(ValueError, match="no answer"):
        text_of(reply)


@pytest.mark.parametrize("one_in", [2, 5, 20])
def test_one_group_in_so_many_is_for_validation(one_in: int) -> None:
    """By group, so that rows of a group stay together; by the text where the group is a file."""
    whole = [single("t", f"g{n // 3}", f"q{n}", "a") for n in range(6000)]
    chosen = [is_validation(example, one_in) for example in whole]
    assert all(len(set(chosen[n : n + 3])) == 1 for n in range(0, 6000, 3))
    assert sum(chosen) / len(chosen) == pytest.approx(1 / one_in, rel=0.25)
    file = [single("t", "nl:train", f"q{n}", "a") for n in range(3000)]
    assert sum(is_validation(e, one_in) for e in file) / 3000 == pytest.approx(1 / one_in, rel=0.25)


def test_choices_depend_on_the_row_alone() -> None:
    """The same key draws the same, in any process; any other key draws otherwise."""
    assert drawn("a", 1).random() == drawn("a", "1").random() != drawn("a", 2).random()
    assert drawn("ab").random() != drawn("a", "b").random()
    assert digest("") == "e3b0c44298fc" and len({digest(str(n)) for n in range(10_000)}) == 10_000


def test_the_judged_turn_is_the_question() -> None:
    """Which is the first unless an example says otherwise."""
    turns = (Turn("a", "1"), Turn("b", "2"))
    assert Example("t", "g", turns).question == turns[0]
    assert Example("t", "g", turns, judged=1).question == turns[1]
