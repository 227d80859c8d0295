"""Converts every kind of PEFT adapter that has an exact or a bounded form in llama.cpp.

One module a kind, imported on demand:

| PEFT type | becomes | |
|---|---|---|
| LORA: LoRA, rsLoRA, and PiSSA, OLoRA, CorDA as PEFT converts them at saving | LoRA | exact |
| ADALORA, VERA, LOHA | LoRA, all factors folded | exact |
| LORA with DoRA, IA3 | a copy of the base with changed matrices | exact |
| the same, with a rank | LoRA by SVD | within a limit |
| PROMPT_TUNING, P_TUNING | input embeddings | exact |

Control vectors are no PEFT type; `control_vector` reads and writes them.
"""

from __future__ import annotations

from importlib import import_module

from ..checkpoint import read_json
from ..errors import AdapterError
from ..peft_config import check_options
from .job import AdapterJob, AdapterReport, Progress

__all__ = ["AdapterJob", "AdapterReport", "convert_adapter"]

KINDS = {
    "LORA": "lora",
    "ADALORA": "adalora",
    "VERA": "vera",
    "LOHA": "loha",
    "IA3": "ia3",
    "PROMPT_TUNING": "soft_prompt",
    "P_TUNING": "soft_prompt",
}
"""PEFT's name to the module of this package that converts the kind."""


def convert_adapter(job: AdapterJob, progress: Progress | None = None) -> AdapterReport:
    """Convert the PEFT adapter *job.source*, of whatever kind, and say what became of it.

    Args:
        job: what to convert and how.
        progress: called with the number of matrices done and in all.

    Raises:
        AdapterError: its kind is unknown, it is damaged, does not fit the base, or an
            approximation would lose more than *job.limit*.
        CheckpointError: a file is missing or damaged.
        GGUFError, ModelError: the base is broken.
    """
    config = read_json(job.source / "adapter_config.json")
    module = KINDS.get(str(config.get("peft_type")))
    if module is None:
        raise AdapterError(
            f"{job.source} cannot be converted",
            f"it is of the type {config.get('peft_type')!r}",
            f"Supported are {', '.join(KINDS)}; others can be merged with PEFT and converted "
            "as a model.",
        )
    if module != "lora":
        check_options(job.source, config)
    report: AdapterReport = import_module(f".{module}", __name__).convert(job, config, progress)
    return report
