"""The turns of a conversation below each other, following what is being written."""

from textual.containers import VerticalScroll

from expert.tui.widgets.turn import Turn
from expert.tui.widgets.welcome import Welcome


class Turns(VerticalScroll, can_focus=False):
    """Holds a conversation's turns; an empty one shows an invitation."""

    DEFAULT_CSS = "Turns { height: 1fr; padding: 1 0 0 0; }"

    def on_mount(self) -> None:
        """Begin empty, and follow the end."""
        self.anchor()
        self.mount(Welcome())

    @property
    def all(self) -> list[Turn]:
        """The turns, the first one first."""
        return list(self.query(Turn))

    async def add(self, turn: Turn) -> None:
        """Put a turn below the others."""
        await self.query(Welcome).remove()
        await self.mount(turn)
        self.anchor()

    async def cut(self, turn: Turn) -> None:
        """Take a turn away, with all that came after it."""
        turns = self.all
        for later in turns[turns.index(turn) :]:
            await later.remove()

    async def clear(self) -> None:
        """Be empty again."""
        await self.query("Turn, Welcome").remove()
        await self.mount(Welcome())

    def walk(self, step: int) -> bool:
        """Put the focus on the turn before or after the one that has it; False: there is none."""
        turns, focused = self.all, self.screen.focused
        at = turns.index(focused) if isinstance(focused, Turn) else len(turns) - (step > 0)
        if not turns or at + step >= len(turns):
            return False
        turns[max(0, at + step)].focus()
        return True
