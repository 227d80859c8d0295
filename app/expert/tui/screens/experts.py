"""The experts: who is installed, who is on offer, and what is known about each."""

from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from expert.screen import one_line, screen_text
from expert.tui.backend import Backend, ExpertFacts
from expert.tui.screens.choose import Choose
from expert.tui.telling import tell, told
from expert.tui.words import size


class ExpertsScreen(Screen[None]):
    """A list of experts beside all that is known about the one under the cursor."""

    CSS = """
    #experts { width: 40%; max-width: 44; height: 1fr; border: none; }
    #detail { width: 1fr; padding: 0 2; }
    #detail Static { height: auto; }
    .heading { height: 1; padding: 0 1; background: $panel; }
    ExpertsScreen.-narrow Horizontal { layout: vertical; }
    ExpertsScreen.-narrow #experts { width: 100%; max-width: 100%; height: 40%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="experts.back"),
        Binding("i", "install", "Install", id="experts.install"),
        Binding("x", "enable", "Disable/enable", id="experts.toggle"),
        Binding("plus", "scale(0.25)", "Stronger", key_display="+", id="experts.stronger"),
        Binding("minus", "scale(-0.25)", "Weaker", key_display="-", id="experts.weaker"),
    ]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-wide")]
        self._experts: list[ExpertFacts] = []

    def compose(self) -> ComposeResult:
        """Lay the list out beside the detail."""
        yield Static("Experts", classes="heading")
        with Horizontal():
            yield OptionList(id="experts")
            with VerticalScroll(id="detail", can_focus=False):
                yield Static(markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Fill the list."""
        self._fill()
        self.query_one("#experts").focus()

    def _fill(self, at: int = 0) -> None:
        with told(self):
            self._experts = list(self.backend.shelf.experts())
        listed = self.query_one("#experts", OptionList)
        listed.clear_options()
        listed.add_options(Option(Content(_row(expert))) for expert in self._experts)
        if self._experts:
            listed.highlighted = min(at, len(self._experts) - 1)
        else:
            self._detail("No experts are installed, and no source offers any.")

    @property
    def current(self) -> ExpertFacts | None:
        """The expert under the cursor."""
        at = self.query_one("#experts", OptionList).highlighted
        return None if at is None or at >= len(self._experts) else self._experts[at]

    @on(OptionList.OptionHighlighted, "#experts")
    def _highlighted(self) -> None:
        if self.current:
            self._detail(describe(self.current))

    def _detail(self, text: str) -> None:
        self.query_one("#detail Static", Static).update(Content(text))

    @work
    async def action_install(self) -> None:
        """Install the expert under the cursor, after showing who vouches for it."""
        expert = self.current
        if expert is None or expert.installed:
            self.notify("It is installed already." if expert else "There is nothing to install.")
            return
        question = (
            f"Install {one_line(expert.name)} {expert.version} ({size(expert.size)}, "
            f"{one_line(expert.licence)}), signed by {expert.signer or 'nobody'}?"
        )
        if await self.app.push_screen_wait(Choose(question, ["no", "yes"])) == "yes":
            self._do(
                lambda: self.backend.shelf.install(expert.name), f"{expert.name} is installed."
            )

    def action_enable(self) -> None:
        """Let the expert under the cursor take part, or not."""
        expert = self.current
        if expert and expert.installed:
            on_now = not expert.enabled
            done = f"{expert.name} is {'enabled' if on_now else 'disabled'}."
            self._do(lambda: self.backend.shelf.set_enabled(expert.name, on_now), done)

    def action_scale(self, step: float) -> None:
        """Let the expert under the cursor act more or less strongly."""
        expert = self.current
        if expert and expert.installed:
            scale = min(2.0, max(0.25, expert.scale + step))
            done = f"{expert.name} acts at {scale:g}."
            self._do(lambda: self.backend.shelf.set_scale(expert.name, scale), done)

    def _do(self, work: Callable[[], None], done: str) -> None:
        with told(self):
            work()
            tell(self, done)
            self._fill(self.query_one("#experts", OptionList).highlighted or 0)

    def action_leave(self) -> None:
        """Go back to the conversation."""
        self.dismiss(None)


def _row(expert: ExpertFacts) -> str:
    mark = "●" if expert.installed and expert.enabled else "○" if expert.installed else "+"
    return one_line(f"{mark} {expert.name} {expert.version}")


def describe(expert: ExpertFacts) -> str:
    """Return all there is to know about an expert, line by line."""
    state = "installed" if expert.installed else "on offer"
    if expert.installed and not expert.enabled:
        state = "disabled"
    lines = [
        f"{one_line(expert.name)} {one_line(expert.version)}, {state}",
        "",
        screen_text(expert.summary),
        "",
        f"Base      {'made for the base in use' if expert.fits else 'made for another base'}",
        f"Size      {size(expert.size)}",
        f"Licence   {one_line(expert.licence)}",
        f"Signed    {one_line(expert.signer) or 'by nobody'}",
        f"Measured  {one_line(expert.score) or 'not measured'}",
        f"Scale     {expert.scale:g}",
    ]
    for title, texts in (("Examples", expert.examples), ("Limitations", expert.limitations)):
        if texts:
            lines += ["", title, *(f"- {one_line(text)}" for text in texts)]
    return "\n".join(lines)
