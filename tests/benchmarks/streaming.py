"""What it costs to show an answer while it is written: CPU seconds and how late the loop gets.

    python tests/benchmarks/streaming.py

Beside it `textual.widgets.Markdown.get_stream`, the usual way, with the same tokens.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Markdown

from expert.tui.widgets.answer import AnswerView

EVERY = 0.005  # seconds between tokens
CODE = ["    value", " = ", "compute", "(", "value", ",", " index", ")\n"]
PROSE = ["The ", "quick ", "brown ", "fox ", "jumps ", "over ", "it. ", "\n\n"]

Writer = Callable[[str], Awaitable[None]]


class Page(App[None]):
    """A page with one widget that grows."""

    def __init__(self, view: Widget) -> None:
        super().__init__()
        self.view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.anchor()
            yield self.view


async def ours(page: Page, tokens: list[str]) -> None:
    """Show the tokens in an `AnswerView`."""
    assert isinstance(page.view, AnswerView)
    for token in tokens:
        page.view.write(token)
        await asyncio.sleep(EVERY)
    await page.view.finish()


async def theirs(page: Page, tokens: list[str]) -> None:
    """Show the tokens in a `MarkdownStream`."""
    assert isinstance(page.view, Markdown)
    stream = Markdown.get_stream(page.view)
    for token in tokens:
        await stream.write(token)
        await asyncio.sleep(EVERY)
    await stream.stop()


async def lag(lags: list[float]) -> None:
    """Measure how much later than wanted the loop comes back."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - start - 0.01)


async def measure(
    view: Widget, show: Callable[[Page, list[str]], Awaitable[None]], tokens: list[str]
) -> str:
    """Return CPU seconds and the 99th percentile of the lag."""
    page, lags = Page(view), list[float]()
    async with page.run_test(size=(100, 40)) as pilot:
        watch = asyncio.create_task(lag(lags))
        start = time.process_time()
        await show(page, tokens)
        await pilot.pause()
        spent = time.process_time() - start
        watch.cancel()
    late = statistics.quantiles(lags, n=100)[98] * 1000
    return f"{spent:6.1f} CPU s   lag p99 {late:5.0f} ms"


def main() -> None:
    """Measure both ways on prose and on one long fence."""
    fence = ["```python\n", *(CODE * 200), "```\n"]
    for name, tokens in (("800 prose", PROSE * 100), ("1600 in one fence", fence)):
        print(f"{name:20} ours   {asyncio.run(measure(AnswerView(), ours, tokens))}")
        if len(tokens) < 1000:  # inside a fence the other way takes minutes
            print(f"{name:20} stream {asyncio.run(measure(Markdown(), theirs, tokens))}")


if __name__ == "__main__":
    main()
