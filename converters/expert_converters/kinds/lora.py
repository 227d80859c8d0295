"""LoRA and its variants that PEFT keeps under one type: rsLoRA, aLoRA, PiSSA and DoRA."""

from __future__ import annotations

from typing import Any

from ..lora import LoraJob, convert_lora
from . import dora
from .job import AdapterJob, AdapterReport, Progress


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Convert a plain LoRA, or hand DoRA on."""
    if config.get("use_dora"):
        return dora.convert(job, config, progress)
    plain = LoraJob(job.source, job.base, job.target, job.type, job.name)
    return AdapterReport(convert_lora(plain, progress), "lora", "lora")
