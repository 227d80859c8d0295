"""A conversation as Markdown for people, or as JSON for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from expert.history.records import Conversation, Recorded
from expert.screen import one_line, printable


def as_markdown(conversation: Conversation, turns: Sequence[Recorded]) -> str:
    """Return a conversation as Markdown; what was said stands in it unchanged."""
    return "\n".join(_markdown(conversation, turns))


def _markdown(conversation: Conversation, turns: Sequence[Recorded]) -> Iterator[str]:
    yield f"# {one_line(conversation.title)}"
    system = ""
    for recorded in turns:
        turn = recorded.turn
        if turn.system != system:
            system = turn.system
            yield from ("", "## System", "", system)
        yield from ("", f"## You, {recorded.created}", "", turn.prompt.strip("\n"))
        yield from ("", f"## {who(recorded)}", "")
        yield turn.answer.strip("\n")
        if recorded.partial:
            yield from ("", f"*Not complete: {ending(recorded)}.*")
    yield ""


def who(recorded: Recorded) -> str:
    """Return who answered: the base model, and the experts with their scales."""
    names = [
        one_line(use.name + (f"@{use.version}" if use.version else ""))
        + ("" if use.scale == 1 else f":{use.scale:g}")
        for use in recorded.turn.experts
    ]
    return " + ".join([one_line(recorded.turn.model), *names])


def ending(recorded: Recorded) -> str:
    """Return how the answer ended, in words."""
    words = {
        "stop": "complete",
        "length": "cut at its longest",
        "cancelled": "interrupted",
        "timeout": "the time limit ran out",
        "failed": recorded.turn.error or "failed",
    }
    return one_line(words.get(recorded.turn.finish, recorded.turn.finish))


def as_record(conversation: Conversation, turns: Sequence[Recorded]) -> dict[str, Any]:
    """Return a conversation with all that is known of it, for `json.dumps`."""
    return {**asdict(conversation), "turns": [turn_record(turn) for turn in turns]}


def turn_record(recorded: Recorded) -> dict[str, Any]:
    """Return one turn with all that is known of it, for `json.dumps`."""
    turn = recorded.turn
    return {
        "id": recorded.id,
        "parent": recorded.parent,
        "created": recorded.created,
        "origin": turn.origin,
        "system": turn.system,
        "context": [asdict(message) for message in turn.context],
        "prompt": turn.prompt,
        "text": printable(turn.answer),
        "reasoning": turn.reasoning,
        "finish": turn.finish,
        "partial": recorded.partial,
        "error": turn.error,
        "model": {"name": turn.model, "path": turn.model_path},
        "experts": [asdict(use) for use in turn.experts],
        "route": turn.route,
        "seed": turn.sampling.seed,
        "params": asdict(turn.sampling),
        "timings": asdict(turn.timings),
    }
