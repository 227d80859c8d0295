"""Base models and adapters: which ones are on this machine, and what they are called."""

from expert.models.adapters import find_expert
from expert.models.local import BaseModel, find_model, local_models

__all__ = ["BaseModel", "find_expert", "find_model", "local_models"]
