"""Every error this package raises, so that callers can tell whose fault a failure is.

ConversionError
├── GGUFError              the file is not a GGUF that llama.cpp would accept
│   ├── NotGGUF            another kind of file, or one that cannot be opened
│   ├── Truncated          it ends before what its header promises
│   ├── Malformed          a field contradicts the format
│   └── Unsupported        valid, but a version, byte order or type we refuse
├── ModelError             a GGUF that is not a model llama.cpp can load safely
├── AdapterError           a LoRA that is broken or does not fit its base
├── CheckpointError        a Hugging Face checkpoint that is broken or unknown
└── QuantiseError          llama.cpp could not quantise a model
"""


class ConversionError(Exception):
    """Something could not be read or converted; says what, why, and what to do about it."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}. {fix}")
        self.what = what
        self.why = why
        self.fix = fix


class GGUFError(ConversionError):
    """A file that is not a GGUF llama.cpp would accept."""


class NotGGUF(GGUFError):
    """Another kind of file, or one that cannot be opened."""


class Truncated(GGUFError):
    """The file ends before what its header promises."""


class Malformed(GGUFError):
    """A field contradicts the GGUF format."""


class Unsupported(GGUFError):
    """A valid file of a version, byte order or type that is refused here."""


class ModelError(ConversionError):
    """A GGUF that is not a model llama.cpp can load without risk."""


class AdapterError(ConversionError):
    """A LoRA adapter that is broken or does not fit its base model."""


class CheckpointError(ConversionError):
    """A Hugging Face checkpoint that is broken or of an unknown kind."""


class QuantiseError(ConversionError):
    """llama.cpp could not quantise a model."""
