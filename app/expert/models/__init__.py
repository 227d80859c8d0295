"""Base models and adapters: what is on this machine, what can be fetched, and their names."""

from expert.models.adapters import find_expert, scale_of
from expert.models.local import BaseModel, find_model, local_models

__all__ = ["BaseModel", "find_expert", "find_model", "local_models", "scale_of"]
