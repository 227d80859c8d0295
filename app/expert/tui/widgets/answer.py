"""An answer that is shown while it is written.

Prose is Markdown that grows. An open code fence is plain text in sealed parts of a few lines,
because a Markdown parser would start over in it with every token: for 1,600 tokens that is 8 CPU
seconds instead of minutes. A fence that closes, and at last the whole answer, become Markdown.
"""

import asyncio

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Markdown, Static

from expert.screen import screen_text
from expert.tui.fences import Code, FenceClosed, FenceOpened, FenceSplitter, Piece, Prose

PAUSE = 0.06  # seconds; what arrives within one is shown at once
SEALED_LINES = 40


class OpenFence(Vertical):
    """Code whose fence has not closed yet."""

    DEFAULT_CSS = """
    OpenFence { height: auto; margin: 1 0; padding: 1 2; background: $surface; }
    OpenFence Static { height: auto; }
    """

    def __init__(self, info: str) -> None:
        super().__init__()
        self.info = info
        self._code: list[str] = []
        self._part = ""

    @property
    def code(self) -> str:
        """Everything in the fence so far."""
        return "".join(self._code)

    @property
    def markdown(self) -> str:
        """The fence as Markdown, closed."""
        ticks = "`" * max(3, 1 + _longest_run(self.code, "`"))
        end = "" if self.code.endswith("\n") or not self.code else "\n"
        return f"{ticks}{self.info}\n{self.code}{end}{ticks}\n"

    async def add(self, text: str) -> None:
        """Show more code; a part that is long enough is left alone from then on."""
        self._code.append(text)
        self._part += text
        if not self.children:
            await self.mount(Static(markup=False))
        self.query(Static).last().update(Content(self._part.removesuffix("\n")))
        if self._part.count("\n") >= SEALED_LINES and self._part.endswith("\n"):
            self._part = ""
            await self.mount(Static(markup=False))


class AnswerView(Vertical):
    """Shows an answer as it comes; `write` may be called as often as tokens arrive."""

    DEFAULT_CSS = """
    AnswerView { height: auto; }
    AnswerView Markdown { height: auto; margin: 0; padding: 0; background: transparent; }
    """

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._text = [text] if text else []
        self._pending: list[str] = []
        self._wake = asyncio.Event()
        self._splitter = FenceSplitter()
        self._pump: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def text(self) -> str:
        """The answer so far, exactly as the model wrote it."""
        return "".join(self._text)

    def compose(self) -> ComposeResult:
        """Show what is there from the start."""
        if self._text:
            yield _markdown(screen_text(self.text))

    def write(self, text: str) -> None:
        """Add to the answer; it is shown within a moment."""
        self._text.append(text)
        self._pending.append(screen_text(text))
        if self._pump is None:
            self._ended = False
            self._pump = asyncio.create_task(self._show_as_it_comes())
        self._wake.set()

    async def finish(self) -> None:
        """Show the whole answer as the one Markdown document it is."""
        if self._pump:
            self._ended = True
            self._wake.set()
            await self._pump
            self._pump = None
        async with self.batch():
            await self.remove_children()
            if self._text:
                await self.mount(_markdown(screen_text(self.text)))

    def on_unmount(self) -> None:
        """Show nothing more."""
        if self._pump:
            self._pump.cancel()

    async def _show_as_it_comes(self) -> None:
        while not self._ended:
            await self._wake.wait()
            if not self._ended:
                await asyncio.sleep(PAUSE)
            self._wake.clear()
            text = "".join(self._pending)
            self._pending.clear()
            for piece in self._splitter.push(text):
                await self._show(piece)

    async def _show(self, piece: Piece) -> None:
        last = self.children[-1] if self.children else None
        match piece:
            case Prose(text) if isinstance(last, Markdown):
                await last.append(text)
            case Prose(text):
                prose = _markdown("")
                await self.mount(prose)
                await prose.append(text)
            case FenceOpened(info):
                await self.mount(OpenFence(info))
            case Code(text) if isinstance(last, OpenFence):
                await last.add(text)
            case FenceClosed() if isinstance(last, OpenFence):
                closed = _markdown(last.markdown)
                await self.mount(closed, before=last)
                await last.remove()
                await self.mount(_markdown(""))
            case _:
                pass


def _markdown(text: str) -> Markdown:
    """Return a view of Markdown whose links open nothing by themselves."""
    return Markdown(text, open_links=False)


def _longest_run(text: str, mark: str) -> int:
    """Return how many *mark* stand together at most."""
    longest = run = 0
    for char in text:
        run = run + 1 if char == mark else 0
        longest = max(longest, run)
    return longest
