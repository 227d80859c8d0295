"""Choosing experts by name: the right file, kept while used, with what it brings along."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.choosing import choose_experts, first_wish, with_profiles
from expert.errors import NotFoundError, UsageError, WrongBaseError
from expert.market.bases import identify
from expert.market.health import collect
from expert.market.market import user_market
from expert.market.remove import uninstall
from expert.types import (
    ExpertChoice,
    ExpertProfile,
    ExpertUse,
    Message,
    Parameters,
    Request,
)
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.markets import install_for
from support.packages import base, make_package


@pytest.fixture(name="adapter", scope="module")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> Path:
    """An adapter for the tiny model."""
    folder = peft_adapter(
        tmp_path_factory.mktemp("lora"), Qwen3Shape(), AdapterShape(rank=32, alpha=32)
    )
    return convert_lora(LoraJob(folder, tiny_path, folder / "lora.gguf"))


@pytest.fixture(name="add")
def installer(tmp_path: Path, tiny_path: Path, adapter: Path) -> Any:
    """Return what installs an expert for the tiny model into the user's market."""

    def add(name: str = "sql", version: str = "1.0.0", **changes: Any) -> None:
        mine = base() | {"identity": msgspec.to_builtins(identify(tiny_path))}
        bases = changes.pop("bases", [mine])
        install_for(
            user_market(),
            tmp_path,
            adapter.read_bytes(),
            name=name,
            version=version,
            bases=bases,
            **changes,
        )

    return add


def one(text: str, model: Path) -> ExpertChoice:
    """Choose a single expert."""
    (choice,) = choose_experts([text], model)
    return choice


def test_an_installed_expert_is_chosen_by_its_names(
    add: Any, tiny_path: Path, adapter: Path
) -> None:
    """Bare, qualified, with a version, with a scale."""
    add(version="1.0.0")
    add(version="1.2.0")
    for text, version, scale in (
        ("sql", "1.2.0", 1.0),
        ("acme/sql", "1.2.0", 1.0),
        ("sql@1.0.0", "1.0.0", 1.0),
        ("sql@~1.0:0.25", "1.0.0", 0.25),
        ("acme/sql@^1:-2", "1.2.0", -2.0),
    ):
        choice = one(text, tiny_path)
        assert choice.profile is not None
        assert (choice.name, choice.profile.version) == ("acme/sql", version)
        assert choice.scale == scale
        assert choice.adapter.read_bytes() == adapter.read_bytes()
    assert choice.use("d" * 64) == ExpertUse("acme/sql", "d" * 64, -2.0, "1.2.0")


@pytest.mark.parametrize("verbatim", [True, False])
def test_whether_it_copies_the_texts_of_its_queries(
    add: Any, tiny_path: Path, verbatim: bool
) -> None:
    """As its manifest says; nothing is said of it by default."""
    add(grammar={"format": "sql", "verbatim": verbatim} if verbatim else {"format": "sql"})
    profile = one("sql", tiny_path).profile
    assert profile is not None
    assert (profile.grammar_format, profile.verbatim) == ("sql", verbatim)


def test_what_it_brings_along(add: Any, tiny_path: Path) -> None:
    """System prompt, sampling and grammar, as its manifest has them."""
    add(
        system_prompt="You write SQL.",
        sampling={"temperature": 0.2, "top_k": 20, "max_tokens": 99, "stop": [";"]},
        grammar={"format": "gbnf", "file": "sql.gbnf"},
    )
    profile = one("sql", tiny_path).profile
    assert profile is not None
    assert (profile.system_prompt, profile.parameters.temperature) == ("You write SQL.", 0.2)
    stated = profile.parameters
    assert (stated.top_k, stated.max_tokens, stated.stop) == (20, 99, (";",))
    assert (stated.top_p, profile.grammar_format) == (None, "gbnf")
    assert profile.grammar is not None
    assert profile.grammar.read_bytes().startswith(b"contents of sql.gbnf")


def test_files_are_still_files(add: Any, tiny_path: Path, adapter: Path, tmp_path: Path) -> None:
    """By path, with a scale, and even without an ending where no expert is called so."""
    choice = one(f"{adapter}:0.5", tiny_path)
    assert (choice.adapter, choice.scale, choice.profile) == (adapter, 0.5, None)
    assert choice.use("d") == ExpertUse("lora", "d", 0.5)


def test_a_bare_word_is_the_installed_expert(
    add: Any, tiny_path: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sql` means does not depend on the folder one is in, unless nothing else is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sql").write_bytes(adapter.read_bytes())
    assert one("sql", tiny_path).profile is None
    add()
    assert one("sql", tiny_path).profile is not None
    assert one("./sql", tiny_path).profile is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sql", NotFoundError),
        ("acme/sql@2", NotFoundError),
        ("sql:x", UsageError),
        ("sql:nan", UsageError),
        ("none.gguf", NotFoundError),
        ("none.gguf:inf", UsageError),
        ("", NotFoundError),
    ],
)
def test_mistakes(tiny_path: Path, text: str, kind: type[Exception], home: Path) -> None:
    """Each has its error, and looking creates nothing."""
    with pytest.raises(kind):
        choose_experts([text], tiny_path)
    assert not (home / "data").exists()


def test_a_package_is_to_be_installed_first(tmp_path: Path, tiny_path: Path) -> None:
    """It is not an adapter, and the error says what to do with it."""
    package = make_package(tmp_path)
    with pytest.raises(UsageError, match="is a package") as caught:
        choose_experts([str(package)], tiny_path)
    assert f"expert install {package}" in caught.value.fix


def test_an_expert_for_another_base_is_refused(tmp_path: Path, tiny_path: Path) -> None:
    """Before its weights are looked at."""
    install_for(user_market(), tmp_path, None, name="sql")
    with pytest.raises(WrongBaseError):
        one("sql", tiny_path)


def test_declared_conflicts_are_refused(add: Any, tiny_path: Path) -> None:
    """In either order; the market would not install both, so one is put there by force."""
    from expert.market.use import check_conflicts, ready_expert

    add("sql")
    add("json")
    identity = identify(tiny_path)
    pair = [ready_expert(user_market(), name, identity) for name in ("sql", "json")]
    check_conflicts(pair)
    hostile = msgspec.structs.replace(pair[0].manifest, conflicts={"acme/json": "^1"})
    from dataclasses import replace

    pair[0] = replace(pair[0], manifest=hostile)
    for order in (pair, pair[::-1]):
        with pytest.raises(UsageError, match="cannot answer together"):
            check_conflicts(order)
    harmless = msgspec.structs.replace(hostile, conflicts={"acme/json": ">1"})
    check_conflicts([replace(pair[0], manifest=harmless), pair[1]])


def test_a_chosen_expert_stays_while_it_is_used(add: Any, tiny_path: Path) -> None:
    """Removed and cleaned up meanwhile, its file is still there until this process ends."""
    add()
    choice = one("sql", tiny_path)
    uninstall(user_market(), ["sql"])
    collect(user_market(), keep=0)
    assert choice.adapter.is_file()
    with user_market().connection() as connection:
        connection.execute("UPDATE lease SET started = 'ended'")
    collect(user_market(), keep=0)
    assert not choice.adapter.exists()


def test_a_store_that_cannot_be_written_can_be_used(
    add: Any, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can remove anything from it either."""
    from expert.errors import ResourceError
    from expert.market import use

    def refused(*_: object) -> None:
        raise ResourceError("read-only")

    add()
    monkeypatch.setattr(use, "hold", refused)
    assert one("sql", tiny_path).adapter.is_file()


def test_what_cannot_be_attached_is_said(add: Any, tiny_path: Path) -> None:
    """An expert that is an adapter and a soft prompt at once has no single thing to attach."""
    mine = base(soft_prompt="soft.gguf")
    mine["identity"] = msgspec.to_builtins(identify(tiny_path))
    add(bases=[mine])
    with pytest.raises(UsageError, match="only one of them"):
        one("sql", tiny_path)


def test_a_soft_prompt_alone_is_what_is_attached(add: Any, tiny_path: Path) -> None:
    """It has no adapter file, and is chosen by its name all the same."""
    mine = base(file=None, rank=None, alpha=None, soft_prompt="soft.gguf")
    mine["identity"] = msgspec.to_builtins(identify(tiny_path))
    add(bases=[mine])
    assert one("sql", tiny_path).adapter.is_file()


# Filling in a request -------------------------------------------------------------------------


def profiled(system_prompt: str | None = None, **stated: Any) -> ExpertChoice:
    """Return a choice with a profile."""
    profile = ExpertProfile("acme/a", "1.0.0", "id", system_prompt, parameters=Parameters(**stated))
    return ExpertChoice(Path("a"), 1.0, profile)


def test_a_request_is_filled_in_from_its_experts() -> None:
    """Only where it says nothing; the first expert that says something decides."""
    asked = Request([Message("user", "hi")], temperature=0.0, stop=("END",))
    first = profiled(temperature=0.9, top_k=5, stop=(";",), system_prompt="One.")
    second = profiled(top_k=7, max_tokens=9, stop=(";", "END"), system_prompt="Two.")
    bare = ExpertChoice(Path("b"))
    made = with_profiles(asked, [bare, first, second])
    assert (made.temperature, made.top_k, made.max_tokens) == (0.0, 5, None)
    assert first_wish([bare, first, second], "max_tokens") == 9
    assert first_wish([bare], "max_tokens") is None
    assert made.top_p is None
    assert made.stop == ("END", ";")
    assert list(made.messages) == [Message("system", "One.\n\nTwo."), Message("user", "hi")]
    assert made.experts == (bare, first, second)


def test_the_users_own_system_prompt_stays() -> None:
    """It replaces the expert's."""
    own = [Message("system", "Mine."), Message("user", "hi")]
    assert list(with_profiles(Request(own), [profiled(system_prompt="Yours.")]).messages) == own


def test_bare_adapters_change_nothing() -> None:
    """Nor does nobody."""
    asked = Request([Message("user", "hi")], experts=())
    assert with_profiles(asked, ()) == asked
    assert math.isclose(with_profiles(asked, [ExpertChoice(Path("x"), 0.5)]).experts[0].scale, 0.5)  # type: ignore[index]  # given
