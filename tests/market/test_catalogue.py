"""Finding what is installed by the names people type."""

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.market.commit import Change, commit
from expert.market.names import pick
from expert.market.records import Installed, Member
from support.markets import additions, make_market
from support.packages import make_package


@pytest.fixture(name="packages", scope="module")
def installed_packages(tmp_path_factory: pytest.TempPathFactory) -> list[Installed]:
    """Two versions of one expert, the older one selected, and two of one name."""
    folder = tmp_path_factory.mktemp("catalogue")
    market = make_market(folder)
    paths = [
        make_package(folder, version="1.10.0"),
        make_package(folder, version="1.9.0"),
        make_package(folder, name="json"),
        make_package(folder, name="json", publisher="other"),
    ]
    change = additions(paths)
    members = tuple(
        Member(member.package, True, number != 0) for number, member in enumerate(change.members)
    )
    commit(market, Change("test", members, (), change.additions), 0)
    with market.reading() as catalogue:
        return catalogue.installed()


def test_packages_are_listed_by_name_newest_first(packages: list[Installed]) -> None:
    """Versions are ordered as versions, not as texts."""
    assert [package.label for package in packages] == [
        "acme/json@1.0.0", "other/json@1.0.0", "acme/sql@1.10.0", "acme/sql@1.9.0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("sql", "acme/sql@1.9.0"),
        ("acme/sql", "acme/sql@1.9.0"),
        ("sql@1.10.0", "acme/sql@1.10.0"),
        ("sql@^1", "acme/sql@1.10.0"),
        ("sql@<1.10", "acme/sql@1.9.0"),
        ("other/json", "other/json@1.0.0"),
        ("other/json@1.0.0", "other/json@1.0.0"),
    ],
)
def test_names_are_understood(packages: list[Installed], name: str, label: str) -> None:
    """A bare name means the selected version."""
    assert pick(packages, name).label == label


def test_a_name_of_several_publishers_is_refused(packages: list[Installed]) -> None:
    """The refusal lists them."""
    with pytest.raises(ExpertError, match="several experts") as caught:
        pick(packages, "json")
    assert "other/json@1.0.0" in caught.value.why


@pytest.mark.parametrize("name", ["xml", "nobody/sql", "sql@9.9.9", "sql@^2"])
def test_other_names_are_not_found(packages: list[Installed], name: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NotFoundError):
        pick(packages, name)


@pytest.mark.parametrize("name", ["", "acme/", "/sql", "SQL", "a/b/c", "s ql", "sql\x1b", "-x"])
def test_what_is_no_name_is_a_usage_error(packages: list[Installed], name: str) -> None:
    """The message shows what names look like, and quotes nothing harmful."""
    with pytest.raises(UsageError) as caught:
        pick(packages, name)
    assert "\x1b" not in str(caught.value)


def test_a_close_name_is_suggested(packages: list[Installed]) -> None:
    """A typing error is met with the right name."""
    with pytest.raises(NotFoundError) as caught:
        pick(packages, "sqll")
    assert "sql" in caught.value.why
