"""`expert chat`: lines in, answers out, commands that steer."""

import json
from pathlib import Path

import pytest

from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.program import Outcome, expert


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> Path:
    """Return an adapter for the tiny model."""
    folder = tmp_path_factory.mktemp("lora")
    peft_adapter(folder, Qwen3Shape(), AdapterShape(rank=32, alpha=32))
    return convert_lora(LoraJob(folder, tiny_path, folder / "style.gguf"))


@pytest.fixture(scope="module")
def greedy_path(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny model without sampling advice, so that its answers repeat."""
    import shutil

    from expert_converters.model import ModelJob, convert_model

    folder = tmp_path_factory.mktemp("greedy") / "model"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "generation_config.json").unlink()
    return convert_model(ModelJob(folder, folder / "greedy.gguf", "f32"))


def chat(model: Path, *lines: str) -> Outcome:
    """Pipe lines into a chat with short answers."""
    text = "\n".join(lines).encode()
    return expert("chat", "--plain", "-m", model, "--max-tokens", "6", stdin=text)


def test_answers_are_on_stdout_and_the_rest_is_not(greedy_path: Path) -> None:
    """Two questions, two answers; the second knows the first."""
    done = chat(greedy_path, "Hello", "", "More", "/quit", "never asked")
    assert done.code == 0
    assert done.err == b""
    alone = chat(greedy_path, "More")
    first = chat(greedy_path, "Hello")
    assert done.out.startswith(first.out)
    assert done.out != first.out + alone.out


def test_experts_come_and_go(greedy_path: Path, adapter: Path) -> None:
    """/expert changes who answers, /scale how strongly, "none" and alone it lets go."""
    done = chat(greedy_path, f"/expert {adapter}:0.5", "/scale 1 2", "/scale style 3", "/expert",
                "/expert none", "/scale 1 2", "/scale style nan")  # fmt: skip
    lines = done.message.splitlines()
    assert lines[0] == "1. style at 0.5"
    assert lines[1] == "1. style at 2"
    assert lines[2] == "1. style at 3"
    assert lines[3] == "whoever fits the question answers"
    assert lines[4] == "the base itself answers"
    assert "/scale NAME X" in lines[5] and lines[6] == lines[5]
    assert chat(greedy_path, f"/expert {adapter}", "Hello").out != chat(greedy_path, "Hello").out


def test_a_conversation_is_saved_and_goes_on(greedy_path: Path, tmp_path: Path) -> None:
    """After /load the next answer is the one it would have been."""
    path = tmp_path / "talk.json"
    whole = chat(greedy_path, "Hello", "More").out
    first = chat(greedy_path, "Hello", f"/save {path}")
    assert [turn["role"] for turn in json.loads(path.read_text())] == ["user", "assistant"]
    rest = chat(greedy_path, f"/load {path}", "More")
    assert first.out + rest.out == whole
    assert "2 turns are back" in rest.message
    path.with_suffix(".kv").write_bytes(b"damaged")
    rest = chat(greedy_path, f"/load {path}", "More")
    assert first.out + rest.out == whole
    assert "does not begin as a saved state does" in rest.message


def test_mistakes_do_not_end_the_chat(greedy_path: Path, tmp_path: Path) -> None:
    """Each is a message on stderr, and the next line is answered."""
    (tmp_path / "bad.json").write_text('{"not": "turns"}')
    done = chat(
        greedy_path, "/nonsense", "/expert none.gguf", "/save", f"/save {tmp_path}/x.json",
        f"/load {tmp_path}/none", f"/load {tmp_path}/bad.json", "/help", "Hello",
    )  # fmt: skip
    assert done.code == 0
    for words in ("no command", "no expert", "file is missing", "nothing to save",
                  "cannot be read", "no conversation", "/quit"):  # fmt: skip
        assert words in done.message
    assert done.out == chat(greedy_path, "Hello").out


def test_new_forgets_the_conversation(greedy_path: Path) -> None:
    """After /new the same question has the same answer as the first time."""
    done = chat(greedy_path, "Hello", "/new", "Hello").out
    assert done == chat(greedy_path, "Hello").out * 2
