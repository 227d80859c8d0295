"""The application: which screens there are, the keys that work everywhere, and the palette."""

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from expert.tui.asking import How
from expert.tui.backend import Backend
from expert.tui.commands import COMMANDS
from expert.tui.screens.chat import ChatScreen
from expert.tui.screens.experts import ExpertsScreen
from expert.tui.screens.help import HelpScreen, keys_of
from expert.tui.screens.models import ModelsScreen
from expert.tui.screens.route import RouteScreen
from expert.tui.screens.settings import SettingsScreen
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.sidebar import Sidebar
from expert.tui.widgets.turn import Turn

Leavable: TypeAlias = HelpScreen | RouteScreen | ExpertsScreen | SettingsScreen | ModelsScreen


class ExpertApp(App[None]):
    """The chat in a terminal, over a backend that it does not close."""

    TITLE = "Expert"
    CSS = """
    .heading { height: 1; padding: 0 1; background: $panel; }
    /* Textual cannot wrap text into no cells at all, as in a terminal of a few columns. */
    OptionList, TextArea { min-width: 12; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
        Binding(
            "ctrl+c", "interrupt", "Copy, stop, quit", show=False, id="app.interrupt", priority=True
        ),
        Binding("f1", "help", "Help", id="app.help", priority=True),
        Binding("f2", "settings", "Settings", show=False, id="app.settings", priority=True),
        Binding("f3", "route", "Route", show=False, id="app.route", priority=True),
        Binding("f4,ctrl+e", "experts", "Experts", id="app.experts", priority=True),
        Binding("f5,ctrl+o", "models", "Models", show=False, id="app.models", priority=True),
    ]

    def __init__(
        self,
        backend: Backend,
        theme: str = "textual-dark",
        how: How | None = None,
    ) -> None:
        super().__init__()
        self.backend = backend
        self.chat = ChatScreen(backend, how or How())
        self._wanted_theme = theme
        self._asked_to_quit = False

    def on_mount(self) -> None:
        """Open the conversation in the chosen colours."""
        if self._wanted_theme in self.available_themes:
            self.theme = self._wanted_theme
        self.push_screen(self.chat)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every action in the palette, beside Textual's own."""
        yield SystemCommand("New conversation", "Begin anew", self.chat.action_new)
        yield SystemCommand("History", "Show past conversations", self.chat.action_sidebar)
        yield SystemCommand("Search", "Search everything that was said", self.chat.action_search)
        yield SystemCommand("Export", "Write the conversation as Markdown", self.chat.action_export)
        yield SystemCommand("Thinking", "Think before answering, or not", self.chat.action_think)
        yield SystemCommand("Route", "Show who answers, and why", self.action_route)
        yield SystemCommand("Experts", "Installed experts and those on offer", self.action_experts)
        yield SystemCommand("Models", "Choose the base model", self.action_models)
        yield SystemCommand("Settings", "Change settings", self.action_settings)
        yield SystemCommand("Editor", "Write the question in your editor", self.chat.action_edit)
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)
        yield SystemCommand("Help", "Show all keys and commands", self.action_help)
        yield SystemCommand("Quit", "Leave", self.action_quit)

    @property
    def in_chat(self) -> bool:
        """Whether nothing covers the conversation."""
        return self.screen is self.chat

    def action_interrupt(self) -> None:
        """Copy what is selected; else stop the answer; pressed twice, quit."""
        if self.screen.get_selected_text():
            self.screen.action_copy_text()
        elif self._asked_to_quit:
            self.exit()
        else:
            self.chat.action_stop()
            self._asked_to_quit = True
            self.set_timer(2.0, self._forget_quit)
            self.notify("Press Ctrl+C again to quit.", timeout=2)

    def _forget_quit(self) -> None:
        self._asked_to_quit = False

    def _left(self, screen: type[Leavable]) -> bool:
        """Leave a screen by the key that opened it; False: it is not on top."""
        if isinstance(self.screen, screen):
            self.screen.action_leave()
            return True
        return False

    def action_help(self) -> None:
        """Show or hide all keys and commands."""
        if not self._left(HelpScreen) and not self.screen.is_modal:
            self.push_screen(HelpScreen(HELP))

    def action_route(self) -> None:
        """Show who would answer what is written, or who answered last."""
        if not self._left(RouteScreen) and self.in_chat:
            self.chat.show_route()

    def action_experts(self) -> None:
        """Show the experts."""
        if not self._left(ExpertsScreen) and self.in_chat:
            self.push_screen(ExpertsScreen(self.backend))

    def action_settings(self) -> None:
        """Show the settings."""
        if not self._left(SettingsScreen) and self.in_chat:
            self.push_screen(SettingsScreen(self.backend))

    @work
    async def action_models(self) -> None:
        """Choose the base that answers."""
        if self._left(ModelsScreen) or not self.in_chat:
            return
        if self.chat.answering:  # the present base is needed until it has answered
            self.notify("Wait for the answer, or press Esc to stop it.")
            return
        name = await self.push_screen_wait(ModelsScreen(self.backend))
        if name:
            self.chat.use_model(name)


HELP = (
    ("Commands", tuple((command.line, command.about) for command in COMMANDS)),
    (
        "In a question",
        (
            ("@NAME", "who is to answer; @base: the base itself"),
            ("@FILE", "a text file that goes with it"),
        ),
    ),
    ("Everywhere", (*keys_of(ExpertApp), ("Ctrl+P", "Palette"))),
    ("In the conversation", keys_of(ChatScreen)),
    ("While writing", (*keys_of(Prompt), ("Tab", "Complete"), ("Up, Down", "What was sent"))),
    ("On an answer (Alt+Up)", keys_of(Turn)),
    ("In the history (Ctrl+S)", (*keys_of(Sidebar), ("Enter", "Open"))),
    ("Among the experts (F4)", keys_of(ExpertsScreen)),
    ("Among models and settings (F5, F2)", (("Enter", "Choose"), *keys_of(ModelsScreen))),
)
"""What help shows: titles, each over rows of a key or command and what it does."""
