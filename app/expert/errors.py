"""Every error a user can meet, in one tree, each with its exit code.

ExpertError (1)
├── UsageError (2)             the command line or a setting is wrong
├── NotFoundError (3)          a model, expert or conversation that does not exist
├── WrongBaseError (4)         an expert made for another base model
├── VerificationError (5)      a file is damaged, hostile or not what it says
├── ContractError (6)          the answer breaks its grammar, schema or limit
├── InputTooLongError (7)      the prompt does not fit the context
├── NetworkNeededError (8)     something is not on this machine and Expert is offline
├── ResourceError (9)          memory, disk or device is not enough
└── TimeLimitError (124)       the time limit ran out

Ctrl-C exits with 130 and a closed pipe with 141, without a message of their own.
Nothing above this module may be imported here.
"""


class ExpertError(Exception):
    """Something went wrong, told as what happened, why, and what to do about it."""

    code = 1

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(f"Why: {self.why}")
        if self.fix:
            parts.append(f"Fix: {self.fix}")
        return "\n".join(parts)

    def as_dict(self) -> dict[str, str | int]:
        """Return the form that `--json` prints."""
        return {"code": self.code, "what": self.what, "why": self.why, "fix": self.fix}


class UsageError(ExpertError):
    """The command line or a setting is wrong."""

    code = 2


class NotFoundError(ExpertError):
    """A model, expert or conversation does not exist here."""

    code = 3


class WrongBaseError(ExpertError):
    """An expert was made for another base model."""

    code = 4


class VerificationError(ExpertError):
    """A file is damaged, hostile or not what it claims to be."""

    code = 5


class ContractError(ExpertError):
    """An answer breaks the form it was asked to have."""

    code = 6
    partial = ""
    """The text that there was, which must not be taken for an answer."""

    def as_dict(self) -> dict[str, str | int]:
        """Return the form that `--json` prints."""
        return {**super().as_dict(), "partial": self.partial}


class InputTooLongError(ExpertError):
    """A prompt does not fit the context."""

    code = 7


class NetworkNeededError(ExpertError):
    """Something is not on this machine, and Expert does not go online by itself."""

    code = 8


class ResourceError(ExpertError):
    """Memory, disk or device does not suffice."""

    code = 9


class TimeLimitError(ExpertError):
    """The time limit ran out before the answer was complete."""

    code = 124
