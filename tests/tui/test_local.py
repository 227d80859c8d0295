"""The chat on the real rooms below: a market, a history, settings and the assistant."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from expert.config import Config, load_config
from expert.errors import NotFoundError, ResourceError, UsageError, WrongBaseError
from expert.market.bases import identify
from expert.paths import user_paths
from expert.tui.backend import Backend
from expert.tui.local import LocalSettings, local_backend
from expert.tui.shelf import LocalShelf
from expert.types import Delta, Done, Message, Planned, Request
from support.markets import Shop
from support.packages import base


@pytest.fixture
def backend(tiny_path: Path) -> Iterator[Backend]:
    """Return a backend on a tiny model."""
    with local_backend(Config(model=str(tiny_path), max_tokens=8, threads=1)) as found:
        yield found


def ask(backend: Backend, text: str, **options: object) -> Done:
    """Ask and return the end of the answer."""
    request = Request([Message("user", text)], (), **options)  # type: ignore[arg-type]  # few
    last = list(backend.answers.ask(request))[-1]
    assert isinstance(last, Done)
    return last


def test_answers_come_from_the_base(backend: Backend, tiny_path: Path) -> None:
    """Events, facts of the base, and why nobody else answers."""
    request = Request([Message("user", "hello")], (), temperature=0.0)
    events = list(backend.answers.ask(request))
    assert isinstance(events[0], Planned) and isinstance(events[-1], Done)
    assert any(isinstance(event, Delta) for event in events)
    facts = backend.answers.base
    assert (facts.name, facts.context, facts.size) == ("tiny", 512, tiny_path.stat().st_size)
    assert backend.answers.route(request).reasons


def test_an_answer_is_stopped_from_another_thread(tiny_path: Path) -> None:
    """A stop before the first token and one in the middle both end with what there is."""
    with local_backend(Config(model=str(tiny_path), max_tokens=400, threads=1)) as backend:
        request = Request([Message("user", "hello")], (), temperature=1.0, seed=1)
        early = backend.answers.ask(request)
        early.stop()
        last = list(early)[-1]
        assert isinstance(last, Done) and last.answer.finish == "cancelled"
        late, seen = backend.answers.ask(request), 0
        for event in late:
            seen += isinstance(event, Delta)
            if seen == 3:
                late.stop()
        assert isinstance(event, Done) and event.answer.finish == "cancelled"
        assert event.turn is not None  # it was recorded as well
        assert 0 < event.answer.timings.answer_tokens < 400


def test_the_base_is_changed(backend: Backend, tiny_path: Path, tmp_path: Path, home: Path) -> None:
    """Another model answers at once, and after the next start; one that is not there changes
    nothing."""
    other = tmp_path / "other.gguf"
    other.write_bytes(tiny_path.read_bytes())
    backend.answers.use_model(str(other))
    assert backend.answers.base.name == "other"
    assert load_config().model == str(other)
    with pytest.raises(NotFoundError):
        backend.answers.use_model("nobody")
    assert ask(backend, "hello").answer.model == other
    assert [model.name for model in backend.answers.models()][:1] == ["pocket"]


def test_past_conversations(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are listed by day, found by words, renamed, put away, brought back, and written."""
    past = backend.past
    first = ask(backend, "a green river").conversation
    assert first is not None
    second = ask(backend, "a red house").conversation
    assert [(talk.id, talk.when) for talk in past.talks()] == [(second, "Today"), (first, "Today")]
    assert [talk.id for talk in past.talks("green")] == [first]
    assert past.talks('no "such* (thing') == []
    (turn,) = past.turns(first)
    assert turn.question == "a green river" and "tiny · ↑" in turn.footer
    past.rename(first, "The river")
    past.delete(first)
    assert [talk.id for talk in past.talks()] == [second]
    past.restore(first)
    assert {talk.title for talk in past.talks()} >= {"The river"}
    monkeypatch.chdir(tmp_path)
    names = [past.export(first), past.export(first)]
    assert names == [f"conversation-{first}.md", f"conversation-{first}-2.md"]
    assert (tmp_path / names[1]).read_bytes().startswith(b"# The river\n")


def test_a_branch_follows_its_own_turns(backend: Backend) -> None:
    """A question asked again after an earlier turn leaves the later ones out."""
    first = ask(backend, "one")
    ask(backend, "two", conversation=first.conversation, parent=first.turn)
    ask(backend, "other", conversation=first.conversation, parent=first.turn)
    assert first.conversation is not None
    questions = [turn.question for turn in backend.past.turns(first.conversation)]
    assert questions == ["one", "other"]


def test_exporting_where_nothing_can_be_written(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which file and what to do."""
    talk = ask(backend, "hello").conversation
    assert talk is not None
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ResourceError, match="could not be written"):
        backend.past.export(talk)


def test_settings_are_those_of_the_file() -> None:
    """What is set here is what `expert config` shows; a wrong value changes nothing."""
    settings = LocalSettings()
    settings.set("theme", "nord")
    settings.set("max_tokens", "64")
    assert (load_config().theme, load_config().max_tokens) == ("nord", 64)
    with pytest.raises(UsageError):
        settings.set("max_tokens", "many")
    values = {setting.name: setting.value for setting in settings.list()}
    assert values["theme"] == "nord" and values["max_tokens"] == "64"
    assert values["history"] == "true" and values["threads"] == ""
    settings.set("max_tokens", "")
    settings.set("context", "")
    assert "max_tokens" not in user_paths().config_file.read_text()


def test_the_shelf(tmp_path: Path, tiny_path: Path) -> None:
    """Experts on offer are installed, put aside, and scaled, as the settings then say."""
    shop = Shop(tmp_path)
    shop.offer("other")
    mine = base("tiny") | {"identity": msgspec.to_builtins(identify(tiny_path))}
    shop.offer(bases=[mine])
    shelf = LocalShelf(shop.market, lambda: tiny_path)
    facts = {one.name: one for one in shelf.experts()}
    sql = facts["acme/sql"]
    assert (sql.version, sql.installed, sql.enabled, sql.fits) == ("1.0.0", False, True, True)
    assert sql.signer.startswith("SHA256:") and not facts["acme/other"].fits
    shelf.install("acme/sql")
    shelf.set_enabled("acme/sql", False)
    shelf.set_scale("acme/sql", 0.5)
    sql = shelf.experts()[0]
    assert (sql.name, sql.installed, sql.enabled, sql.scale) == ("acme/sql", True, False, 0.5)
    assert load_config().disabled_experts == {"acme/sql"}
    assert load_config().expert_scales == {"acme/sql": 0.5}
    shelf.set_enabled("acme/sql", True)
    shelf.set_scale("acme/sql", 1.0)
    assert (load_config().disabled, load_config().scales) == ("", "")
    with pytest.raises(WrongBaseError):
        shelf.install("acme/other")


def test_an_empty_shelf(tiny_path: Path, tmp_path: Path) -> None:
    """Without sources and installed experts the list is empty."""
    from expert.market.market import Market
    from support.markets import make_market

    market: Market = make_market(tmp_path)
    assert LocalShelf(market, lambda: tiny_path).experts() == []
