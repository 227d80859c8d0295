"""Every setting with its value; Enter changes the one under the cursor."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from expert.screen import one_line
from expert.tui.backend import Backend, SettingFacts
from expert.tui.screens.ask_text import AskText
from expert.tui.screens.choose import Choose
from expert.tui.telling import told


class SettingsScreen(Screen[None]):
    """The settings of `config.toml`, as far as they make sense here."""

    CSS = """
    #settings { height: 1fr; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", id="settings.back")]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self._settings: list[SettingFacts] = []

    def compose(self) -> ComposeResult:
        """List the settings."""
        yield Static("Settings", classes="heading")
        yield OptionList(id="settings")
        yield Footer()

    def on_mount(self) -> None:
        """Fill the list."""
        self._fill()
        self.query_one("#settings").focus()

    def _fill(self, at: int = 0) -> None:
        with told(self):
            self._settings = list(self.backend.settings.list())
        listed = self.query_one("#settings", OptionList)
        listed.clear_options()
        listed.add_options(Option(Content(_row(setting))) for setting in self._settings)
        listed.highlighted = at if self._settings else None

    @on(OptionList.OptionSelected, "#settings")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._change(event.option_index)

    @work
    async def _change(self, index: int) -> None:
        setting = self._settings[index]
        question = f"{setting.name}: {setting.about}"
        if setting.choices:
            value = await self.app.push_screen_wait(Choose(question, setting.choices)) or None
        else:
            value = await self.app.push_screen_wait(AskText(question, setting.value))
        if value is None:
            return
        with told(self):
            self.backend.settings.set(setting.name, value)
            if setting.name == "theme":
                self.app.theme = value
            self._fill(index)

    def action_leave(self) -> None:
        """Go back to the conversation."""
        self.dismiss(None)


def _row(setting: SettingFacts) -> str:
    name, value, about = (one_line(s) for s in (setting.name, setting.value, setting.about))
    return f"{name:14} {value:16} {about}"
