"""What a generation consists of: closed, free of leftovers, one meaning a name."""

import random

from expert.market.members import closure, join, settle
from expert.market.records import Edge, Member
from expert.market.resolver import Candidate
from expert.package.semver import Version


def edges(text: str) -> list[Edge]:
    """Parse `a>b, b>c`."""
    pairs = (pair.strip().split(">") for pair in text.split(",") if pair)
    return [Edge(package, target, target) for package, target in pairs]


def test_closure_follows_all_edges() -> None:
    """Through circles, and from what has none."""
    assert closure(["a"], edges("a>b, b>c, c>a, d>a")) == {"a", "b", "c"}
    assert closure(["x"], edges("a>b")) == {"x"}
    assert closure([], edges("a>b")) == set()


def test_what_nothing_needs_is_dropped() -> None:
    """Only what was asked for, and what that needs, stays."""
    members = {name: Member(name, name == "a", False) for name in "abcd"}
    versions = {name: (name, Version(1, 0, 0)) for name in "abcd"}
    assert set(settle(members, edges("a>b, b>c"), versions)) == {"a", "b", "c"}


def test_each_name_means_one_version() -> None:
    """The selected one, or else the highest."""
    versions = {f"x{n}": ("x", Version(1, n, 0)) for n in range(4)}
    members = {name: Member(name, True, name == "x1") for name in versions}
    chosen = settle(members, [], versions)
    assert [name for name, member in chosen.items() if member.selected] == ["x1"]
    none = {name: Member(name, True, False) for name in versions}
    assert [name for name, m in settle(none, [], versions).items() if m.selected] == ["x3"]


def test_what_was_asked_for_is_requested_and_selected() -> None:
    """What came along is neither, unless it was before."""
    new = [Candidate("n1", "a/n", Version(1, 0, 0)), Candidate("m1", "a/m", Version(1, 0, 0))]
    members = join([], new, new[:1])
    assert members == {"n1": Member("n1", True, True), "m1": Member("m1", False, False)}


def test_settling_holds_its_promises_on_random_graphs() -> None:
    """Closed, nothing unneeded, and exactly one selected version of every name."""
    source = random.Random(3)
    for _ in range(2000):
        ids = [str(number) for number in range(source.randrange(1, 9))]
        versions = {
            one: (source.choice("xyz"), Version(source.randrange(3), source.randrange(3), int(one)))
            for one in ids
        }
        members = {one: Member(one, source.random() < 0.4, source.random() < 0.3) for one in ids}
        links = [Edge(source.choice(ids), "r", source.choice(ids)) for _ in range(6)]
        settled = settle(members, links, versions)
        asked = [one for one, member in members.items() if member.requested]
        assert set(settled) == closure(asked, links) & set(ids)
        names = [versions[one][0] for one in settled]
        meant = [versions[one][0] for one, member in settled.items() if member.selected]
        assert sorted(meant) == sorted(set(names))
        assert all(settled[one].requested == members[one].requested for one in settled)
