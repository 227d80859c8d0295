"""What the catalogue holds, as small values."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from expert.package.semver import Version

if TYPE_CHECKING:
    from expert.package.manifest import Manifest

Trust = Literal["signed", "unsigned", "unvouched"]
"""`unvouched`: made on this machine from something nobody signed."""


@dataclass(frozen=True)
class Installed:
    """A package in the store, and its part in a generation."""

    id: str
    publisher: str
    name: str
    version: str
    summary: str
    size: int
    """Bytes, unpacked."""
    manifest_bytes: bytes
    signer: str | None
    """The signing key as a line of a `.pub` file."""
    trust: Trust
    source: str
    installed: str
    """When, in UTC."""
    requested: bool
    """By the user, not only by another expert."""
    selected: bool
    """This version is what the bare name means."""

    @property
    def qualified_name(self) -> str:
        return f"{self.publisher}/{self.name}"

    @property
    def label(self) -> str:
        return f"{self.publisher}/{self.name}@{self.version}"

    @cached_property
    def manifest(self) -> "Manifest":
        """The manifest, which was checked when it was installed."""
        import msgspec

        from expert.package.manifest import Manifest

        return msgspec.json.decode(self.manifest_bytes, type=Manifest)

    @cached_property
    def parsed_version(self) -> Version:
        return Version.parse(self.version)


@dataclass(frozen=True, slots=True)
class Member:
    """A package's part in a generation."""

    package: str
    requested: bool
    selected: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """Which package answers a requirement of another one."""

    package: str
    requires: str
    """Qualified name."""
    target: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A state of what is installed."""

    number: int
    parent: int | None
    reason: str
    created: str
    active: bool
