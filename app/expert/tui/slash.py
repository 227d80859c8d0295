"""What the commands of the chat do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from expert.errors import UsageError
from expert.tui.commands import Called, number, place
from expert.tui.telling import tell

if TYPE_CHECKING:
    from expert.tui.screens.chat import ChatScreen

Act: TypeAlias = "Callable[[ChatScreen, Sequence[str]], Awaitable[None]]"


async def obey(chat: "ChatScreen", called: Called) -> None:
    """Do what a command says.

    Raises:
        ExpertError: it cannot be done.
    """
    act = ACTS.get(called.name)
    if act is None:
        raise UsageError(f"There is no command /{called.name}.", "", "/help lists them all.")
    await act(chat, called.words)


async def _help(chat: "ChatScreen", _: Sequence[str]) -> None:
    await chat.app.run_action("help")


async def _new(chat: "ChatScreen", _: Sequence[str]) -> None:
    await chat.action_new()


async def _expert(chat: "ChatScreen", names: Sequence[str]) -> None:
    wanted = [name for name in names if name not in ("none", "base")]
    if list(names) in ([], ["auto"]):
        chat.let_answer(None)
    else:
        chat.let_answer(chat.backend.answers.choose(wanted))


async def _scale(chat: "ChatScreen", words: Sequence[str]) -> None:
    experts = list(chat.how.experts or ())
    at = place(words[0], [choice.name for choice in experts]) if len(words) == 2 else None
    scale = number(words[-1]) if words else None
    if at is None or scale is None:
        listed = ", ".join(f"{n}. {choice.name}" for n, choice in enumerate(experts, 1))
        raise UsageError(
            "That is no expert with a scale.",
            f"Chosen: {listed}." if listed else "No experts are chosen by hand.",
            "Write /expert NAME, then /scale NAME 0.5.",
        )
    experts[at] = replace(experts[at], scale=scale)
    chat.let_answer(tuple(experts))


async def _model(chat: "ChatScreen", words: Sequence[str]) -> None:
    if words:
        chat.use_model(words[0])
    else:
        await chat.app.run_action("models")


async def _export(chat: "ChatScreen", _: Sequence[str]) -> None:
    chat.action_export()


async def _copy(chat: "ChatScreen", _: Sequence[str]) -> None:
    if chat.turns:
        chat.copy_answer(chat.turns[-1])
    else:
        tell(chat, "There is nothing to copy yet.")


async def _retry(chat: "ChatScreen", names: Sequence[str]) -> None:
    if not chat.turns:
        tell(chat, "There is nothing to ask again yet.")
        return
    wanted = [name for name in names if name not in ("none", "base")]
    await chat.ask_again(chat.turns[-1], chat.backend.answers.choose(wanted) if names else None)


async def _quit(chat: "ChatScreen", _: Sequence[str]) -> None:
    chat.app.exit()


ACTS: dict[str, Act] = {
    "help": _help,
    "new": _new,
    "expert": _expert,
    "scale": _scale,
    "model": _model,
    "export": _export,
    "copy": _copy,
    "retry": _retry,
    "quit": _quit,
}
