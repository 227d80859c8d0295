"""The conversation, driven by keys: asking, stopping, turns, history."""

import asyncio
import threading

from textual.widgets import Collapsible

from expert.errors import UsageError
from expert.tui.app import ExpertApp
from expert.tui.asking import How
from expert.tui.widgets.prompt import Prompt
from expert.tui.widgets.welcome import EXAMPLES
from expert.types import Delta
from support.tui import FakeBackend, Pilot, drive, shown, type_text, until


async def ask(app: ExpertApp, pilot: Pilot[None], text: str) -> None:
    """Type a question, send it, and wait for the end of its answer."""
    before = len(app.chat.turns)
    await type_text(pilot, text)
    await pilot.press("enter")
    await until(pilot, lambda: len(app.chat.turns) > before and app.chat.turns[-1].finished)


def test_a_question_is_answered_below_it() -> None:
    """The answer, what it took, and the base in the line above are on the screen."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "What is it?")
        text = shown(app)
        assert "❯ What is it?" in text
        assert "Forty-two." in text
        assert "↑12 ↓21 · 40 tok/s" in text
        assert "pocket" in text.splitlines()[0] and "ctx 33/2.0k" in text.splitlines()[0]
        assert not app.screen.query_one(Prompt).text

    drive(backend, steps)
    assert [m.content for m in backend.requests[0].messages] == ["What is it?"]


def test_a_conversation_carries_what_was_said() -> None:
    """The second question is asked with the first turn before it."""
    backend = FakeBackend([["One."], ["Two."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "a")
        await ask(app, pilot, "b")

    drive(backend, steps)
    assert [m.content for m in backend.requests[1].messages] == ["a", "One.", "b"]


def test_escape_stops_the_answer_and_keeps_what_is_there() -> None:
    """What came before the stop stays on the screen, and in history."""
    wait = threading.Event()
    backend = FakeBackend([["one ", wait, *["more "] * 2000]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await type_text(pilot, "q")
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and "one" in app.chat.turns[0].answer.text)
        await pilot.press("escape")
        wait.set()
        await until(pilot, lambda: not app.chat.answering)
        assert app.chat.turns[0].answer.text.startswith("one")
        assert len(app.chat.turns[0].answer.text) < 2000
        assert "stopped" in shown(app)

    drive(backend, steps)
    assert next(iter(backend.stored.values()))[0].answer.startswith("one")


def test_one_answer_at_a_time() -> None:
    """A question sent while one is being answered waits in the prompt."""
    wait = threading.Event()
    backend = FakeBackend([["one ", wait, "two"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await type_text(pilot, "q")
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.answering is not None)
        await type_text(pilot, "next")
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.query_one(Prompt).text == "next"
        wait.set()
        await until(pilot, lambda: app.chat.answering is None)

    drive(backend, steps)
    assert len(backend.requests) == 1


def test_thoughts_are_folded_away() -> None:
    """Reasoning is not part of the answer; it unfolds on demand."""
    backend = FakeBackend([[Delta("hmm, perhaps ", True), Delta("not", True), "Four."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+t")
        await ask(app, pilot, "2+2")
        assert app.chat.turns[0].answer.text == "Four."
        await until(pilot, lambda: "thoughts (3 words)" in shown(app))
        assert "perhaps" not in shown(app)
        app.screen.query_one(Collapsible).collapsed = False
        await until(pilot, lambda: "hmm, perhaps not" in shown(app))

    drive(backend, steps)
    assert backend.requests[0].think


def test_a_failed_question_comes_back_to_the_prompt() -> None:
    """What went wrong stands in the turn; the text is there to try again."""
    problem = UsageError("The question is odd.", "It has no verb.", "Add one.")
    backend = FakeBackend([[problem], ["Fine."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "colourless ideas")
        assert "The question is odd." in shown(app) and "Add one." in shown(app)
        assert app.screen.query_one(Prompt).text == "colourless ideas"
        await pilot.press("enter")
        await until(pilot, lambda: len(app.chat.turns) == 2 and app.chat.turns[1].finished)

    drive(backend, steps)
    assert len(backend.requests[1].messages) == 1  # the failed turn was never said


def test_a_partial_answer_stays_when_it_fails() -> None:
    """Text that came before an error is kept on the screen."""
    backend = FakeBackend([["half of ", UsageError("It broke.", "", "")]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "q")
        assert "half of" in shown(app) and "It broke." in shown(app)

    drive(backend, steps)


def test_copying_an_answer() -> None:
    """`y` on a turn copies exactly what the model wrote."""
    backend = FakeBackend([["a *b* \x1b[31mc"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "q")
        await pilot.press("alt+up", "y")
        assert app.clipboard == "a *b* \x1b[31mc"

    drive(backend, steps)


def test_regenerating_asks_the_same_again() -> None:
    """`r` replaces the answer; the conversation in history is another one from there on."""
    backend = FakeBackend([["One."], ["Two."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "q")
        await pilot.press("alt+up", "r")
        await until(pilot, lambda: [t.answer.text for t in app.chat.turns] == ["Two."])
        await until(pilot, lambda: app.chat.answering is None)

    drive(backend, steps)
    assert [m.content for m in backend.requests[1].messages] == ["q"]
    assert [turns[0].answer for turns in backend.stored.values()] == ["One.", "Two."]


def test_editing_a_question_branches() -> None:
    """`e` on an earlier turn takes the conversation back to before it, its text in the prompt."""
    backend = FakeBackend([["A."], ["B."], ["C."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        for question in ("one", "two"):
            await ask(app, pilot, question)
        await pilot.press("alt+up", "e")
        await pilot.pause()
        assert [turn.question for turn in app.chat.turns] == ["one"]
        assert app.screen.query_one(Prompt).text == "two"
        await ask(app, pilot, "!")

    drive(backend, steps)
    assert [m.content for m in backend.requests[2].messages] == ["one", "A.", "two!"]
    assert backend.requests[2].conversation == 1 and backend.requests[2].parent == 1


def test_retrying_with_another_expert() -> None:
    """`x` offers the base and the installed experts, and asks the chosen one."""
    backend = FakeBackend([["One."], ["SELECT 1"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "q")
        await pilot.press("alt+up", "x")
        await until(pilot, lambda: "Who is to answer?" in shown(app))
        assert "regex" not in shown(app)  # on offer, but not installed
        await pilot.press("down", "enter")
        await until(pilot, lambda: [t.answer.text for t in app.chat.turns] == ["SELECT 1"])
        await until(pilot, lambda: "● sql" in shown(app).splitlines()[0])

    drive(backend, steps)
    assert [choice.name for choice in backend.requests[1].experts or ()] == ["sql"]


def test_walking_through_the_turns() -> None:
    """Alt and an arrow move between turns, and past the last one back to the prompt."""
    backend = FakeBackend([["A."], ["B."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        for question in ("one", "two"):
            await ask(app, pilot, question)
        await pilot.press("alt+up")
        assert app.focused is app.chat.turns[1]
        await pilot.press("alt+up", "alt+up")
        assert app.focused is app.chat.turns[0]
        await pilot.press("alt+down", "alt+down")
        assert isinstance(app.focused, Prompt)

    drive(backend, steps)


def test_why_and_route() -> None:
    """`w` on a turn and F3 for what is written show candidates and reasons."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await pilot.press("f3")
        await until(pilot, lambda: "Write a question first." in shown(app))
        await type_text(pilot, "rows")
        await pilot.press("f3")
        await until(pilot, lambda: "Answered by sql" in shown(app))
        assert "83%" in shown(app) and "it names a table" in shown(app)
        await pilot.press("escape")
        await ask(app, pilot, "")
        await pilot.press("alt+up", "w")  # how it was decided then, not how it would be now
        await until(pilot, lambda: "Answered by the base itself" in shown(app))
        assert "it fits" in shown(app)
        await pilot.press("escape")

    drive(backend, steps)


def test_the_examples_of_an_empty_conversation() -> None:
    """Tab and Enter take an example into the prompt, where Enter sends it."""
    backend = FakeBackend()

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        assert EXAMPLES[1] in shown(app)
        await pilot.press("shift+tab", "down", "enter")
        await pilot.pause()
        assert app.screen.query_one(Prompt).text == EXAMPLES[1]
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.chat.turns) and app.chat.turns[0].finished)
        assert EXAMPLES[0] not in shown(app)

    drive(backend, steps)


def test_a_new_conversation() -> None:
    """Ctrl+N leaves an empty screen, and what is asked then starts anew."""
    backend = FakeBackend([["A."], ["B."]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "one")
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert not app.chat.turns and "New conversation" in shown(app)
        await ask(app, pilot, "two")

    drive(backend, steps)
    assert [m.content for m in backend.requests[1].messages] == ["two"]
    assert len(backend.stored) == 2


def test_output_cannot_act_on_the_terminal() -> None:
    """Escape sequences of the model, of titles and of manifests are shown, not obeyed."""
    backend = FakeBackend([["a\x1b]0;owned\x07b\x9b2Jc \u202eright"]])

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "q")
        await pilot.press("ctrl+s")
        await pilot.pause()
        text = shown(app)
        assert "\x1b" not in text and "\x07" not in text and "\x9b" not in text
        assert "\u202e" not in text and "␛]0;owned␇" in text

    drive(backend, steps)


def test_no_base() -> None:
    """A base that cannot be loaded is said; the screen stays usable."""
    backend = FakeBackend(problem=UsageError("There is no model 'x'.", "", "Choose one."))

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "There is no model 'x'." in shown(app))
        await pilot.press("ctrl+q")

    drive(backend, steps)


def test_who_answers_and_how_is_given_at_the_start() -> None:
    """A system prompt, experts and a limit of the command line count for every question."""
    backend = FakeBackend()

    async def run() -> None:
        how = How(backend.choose(["expert/sql"]), "Be brief.", max_tokens=7)
        app = ExpertApp(backend.backend, how=how)
        async with app.run_test() as pilot:
            await pilot.pause()
            await ask(app, pilot, "q")
            await until(pilot, lambda: app.chat.answering is None)

    asyncio.run(run())
    (request,) = backend.requests
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Be brief."),
        ("user", "q"),
    ]
    assert [choice.name for choice in request.experts or ()] == ["sql"]
    assert request.max_tokens == 7


def test_a_long_title_gives_way() -> None:
    """Who answers, and how quickly, is to be seen in a narrow terminal as well."""

    async def steps(app: ExpertApp, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "a question with a rather long text")
        first = shown(app).splitlines()[0]
        assert first.startswith(" a question w") and "… · pocket · ○ base" in first
        assert first.endswith("40 tok/s") and len(first) <= 60

    drive(FakeBackend(), steps, (60, 20))
