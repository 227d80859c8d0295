"""Expert: an offline assistant with one resident base model and many experts."""

from typing import TYPE_CHECKING, Any

from expert._version import __version__

if TYPE_CHECKING:
    from expert.assistant import Assistant
    from expert.conversation import Conversation
    from expert.errors import ExpertError
    from expert.types import Answer, Message, Request

__all__ = [
    "Answer",
    "Assistant",
    "Conversation",
    "ExpertError",
    "Message",
    "Request",
    "__version__",
]

_HOMES = {
    "Answer": "expert.types",
    "Assistant": "expert.assistant",
    "Conversation": "expert.conversation",
    "ExpertError": "expert.errors",
    "Message": "expert.types",
    "Request": "expert.types",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `expert version` pays for none."""
    if name not in _HOMES:
        raise AttributeError(f"module 'expert' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
