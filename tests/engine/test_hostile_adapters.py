"""Two hundred hostile adapters and more: each a typed error, and no process dies."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from peft import PromptTuningConfig

from expert_converters.kinds import AdapterJob, convert_adapter
from expert_converters.kinds.control_vector import write_control_vector
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, peft_adapter
from support.hostile_adapters import Attack, attacks
from support.peft_kinds import peft_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

# Checks every file as the engine does, attaches what is allowed, computes, and tells after each.
WORKER = """
import json, sys
from pathlib import Path
from expert.engine.adapter_file import read_adapter
from expert.engine.adapter_set import BASE, AdapterSet
from expert.engine.context import Context, Slice
from expert.engine.generation import Job
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.errors import ExpertError

def attempt(path):
    try:
        file = read_adapter(Path(path), model.header)
        experts = ((file, 1.0),)
        context.forget(0, 0)
        context.attach(pool.attached(AdapterSet.of(experts)))
        (rows,) = context.step([Slice(0, 0, Job([3, 9, 27], experts=experts).sequence, 1)])
        read_logits(context, rows[0])
    except ExpertError as error:
        return type(error).__name__ if error.what and error.why else "no reason given"
    finally:
        context.attach(pool.attached(BASE))
    return "attached"

with Model(Path(sys.argv[1])) as model:
    pool = AdapterPool(model)
    with Context(model, ContextOptions(size=64)) as context:
        for line in sys.stdin:
            print(json.dumps([line.strip(), attempt(line.strip())]), flush=True)
        pool.close()
print("alive")
"""


def outcomes(base: Path, made: list[Attack]) -> dict[Path, str]:
    """Return what became of each file in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(base)],
        input="".join(f"{attack.path}\n" for attack in made),
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[-1]) == (0, "alive"), (made[len(lines) - 1].name, done.stderr)
    return {Path(path): outcome for path, outcome in map(json.loads, lines[:-1])}


def judge(base: Path, made: list[Attack]) -> Counter[str]:
    """Check every outcome, and count them."""
    found = outcomes(base, made)
    assert len(found) == len(made)
    for attack in made:
        allowed = {"VerificationError", "WrongBaseError"}
        if not attack.harmful:
            allowed.add("attached")
        assert found[attack.path] in allowed, (attack.name, found[attack.path])
    return Counter(found.values())


def test_hostile_loras(tiny_path: Path, tmp_path: Path) -> None:
    """At least 200 are refused with a typed error; only what is harmless is attached."""
    shape = AdapterShape(rank=32, alpha=32, alora_invocation_tokens=(5, 6))
    source = peft_adapter(tmp_path / "peft", shape=shape)
    good = convert_lora(LoraJob(source, tiny_path, tmp_path / "good.gguf"))
    (tmp_path / "made").mkdir()
    made = list(attacks(good, tmp_path / "made"))
    counted = judge(tiny_path, [*made, Attack("untouched", good, False)])
    assert counted["VerificationError"] + counted["WrongBaseError"] >= 200
    assert counted["attached"] >= 1


def test_hostile_soft_prompts_and_control_vectors(
    tiny_path: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The other kinds of adapters are attacked in the same ways."""
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    folder = peft_folder(tiny_checkpoint, tmp_path / "peft", config)
    soft = convert_adapter(AdapterJob(folder, tiny_path, tmp_path / "soft.gguf")).path
    direction = np.ones(64, np.float32)
    vector = write_control_vector({1: direction}, "qwen3", tmp_path / "vector.gguf")
    for good in (soft, vector):
        (tmp_path / good.stem).mkdir()
        made = list(attacks(good, tmp_path / good.stem))
        counted = judge(tiny_path, [*made, Attack("untouched", good, False)])
        assert counted["VerificationError"] >= 40
        assert counted["attached"] >= 1
