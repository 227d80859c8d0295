"""Hostile prompts and manifests are inert: no pattern of theirs runs, nothing hangs or crashes."""

import random
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.errors import NotFoundError, VerificationError
from expert.package.manifest import Manifest
from expert.router.candidates import candidate, in_folder
from expert.router.router import Router
from expert.router.types import Candidate, Route, RouteRequest
from expert.types import Attachment
from support.packages import draft


def manifest(**routing: Any) -> Manifest:
    """Return a manifest that was not checked."""
    return msgspec.convert(draft(routing=routing), Manifest)


@pytest.mark.parametrize("keyword", [".*", "(a+)+$", "[", "\\", "^", "a|b", "%s", "{0}", "$(id)"])
def test_keywords_are_words_and_no_patterns(keyword: str) -> None:
    """A keyword that looks like a regular expression matches nothing but itself."""
    evil = candidate(manifest(keywords=[keyword]), "evil")
    route = Router([evil]).route(RouteRequest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa what is the time"))
    assert route.choices == ()


def test_control_characters_in_a_manifest_are_left_out() -> None:
    """Nothing that could act on a terminal becomes part of a reason."""
    made = manifest(keywords=["\x1b[31mred", "fine"], examples=["\x07bell", "list my things"])
    found = candidate(made, "x")
    assert found.keywords == ("fine",)
    assert found.examples == ("list my things",)
    route = Router([found]).route(RouteRequest("list my fine things"))
    assert all(text.isprintable() for text in _texts(route))


def test_control_characters_in_a_prompt_are_not_repeated(router: Router) -> None:
    """Reasons quote keywords and examples, never raw parts of the prompt."""
    route = router.route(RouteRequest("SQL \x1b]0;x\x07 query \x00 for \x1b[2Jusers @a\x1bb"))
    assert all(text.isprintable() for text in _texts(route))


def test_one_expert_cannot_take_everything(candidates: list[Candidate]) -> None:
    """Very many common keywords make none of them tell much."""
    text = "the a what is how do i in of to for write list show find give me all"
    common = text.split()
    greedy = Candidate("g", "evil/greedy", keywords=tuple(common), priority=1.0)
    router = Router([*candidates, greedy])
    for prompt in ("what is the capital of Peru", "SQL query for all users", "write a poem"):
        assert not any(choice.id == "g" for choice in router.route(RouteRequest(prompt)).choices)


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "word " * 200_000, "\n" * 1_000_000, "日本" * 300_000, "(" * 1_000_000,
     "@sql " * 200_000, "a,b\n" * 250_000, "\ud800" * 1000, "\x00" * 1_000_000, "é" * 500_000],
    ids=lambda text: repr(text[:4]),
)  # fmt: skip
def test_huge_and_odd_prompts(router: Router, text: str) -> None:
    """A megabyte is routed in under half a second of CPU, as prompt and as attachment."""
    start = time.process_time()
    router.route(RouteRequest(text))
    router.route(RouteRequest("what is this", (Attachment("a", text),)))
    assert time.process_time() - start < 1.0


def test_random_prompts_never_fail(router: Router) -> None:
    """Any characters in any order give a route with sound probabilities."""
    source = random.Random(7)
    alphabet = "abc ABC 123 \n\t\"'`@#(){}[]<>|\\/;:,.?!+-*=%$^&~_ éß日\u202e\x00\x1b\U0001f600"
    for _ in range(150):
        text = "".join(source.choices(alphabet, k=source.randrange(300)))
        route = router.route(RouteRequest(text, (Attachment("a", text[::-1]),), previous=text[:5]))
        every = [choice.probability for choice in (*route.choices, *route.alternatives)]
        assert all(0 <= p <= 1 for p in [*every, route.none])


def test_a_folder_of_manifests(tmp_path: Path) -> None:
    """Broken, huge and absent manifests are errors that say so."""
    with pytest.raises(NotFoundError):
        in_folder(tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(VerificationError, match="not a manifest"):
        in_folder(tmp_path)
    (tmp_path / "bad.json").write_text(" " * (2 << 20))
    with pytest.raises(VerificationError, match="not a manifest"):
        in_folder(tmp_path)
    (tmp_path / "bad.json").unlink()
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "manifest.json").write_bytes(msgspec.json.encode(draft()))
    (found,) = in_folder(tmp_path)
    assert (found.id, found.name, found.short_name) == ("acme/sql@1.0.0", "acme/sql", "sql")


def _texts(route: Route) -> list[str]:
    every = (*route.choices, *route.alternatives)
    return [*route.reasons, *(reason for choice in every for reason in choice.reasons)]
