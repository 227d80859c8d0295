"""An expert's recipe: one TOML file read into frozen dataclasses, with what other bases need."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from expert.errors import NotFoundError, UsageError
from expert.train.evaluation.judges import MEASURES
from expert.train.tasks import BUILDERS

Section = TypeVar("Section")
TASK_NAME = re.compile(r"[\w-]+")
KINDS = ("lora", "dora", "ia3", "soft-prompt")
ABOVE_ZERO = frozenset((
    "longest", "validation", "validation_tokens", "variants", "rank", "alpha", "minutes", "rate",
    "tokens_a_batch", "batches_a_step", "patience", "log_steps", "max_tokens", "beta", "top",
))  # fmt: skip
"""Settings, of whichever section, that nothing works with at zero."""
SEEDS = 1 << 63
"""Torch takes no larger seed."""


@dataclass(frozen=True)
class Data:
    """How rows become sequences."""

    longest: int
    """Tokens of a conversation; longer ones are left out."""
    validation: int
    """One training group in so many is kept for the validation loss."""
    validation_tokens: int
    """How much of them each validation reads."""
    limit: int = 0
    """At most so many conversations of a task; 0 takes all."""


@dataclass(frozen=True)
class Task:
    """One source of examples: a task of the public data, or a file of one's own."""

    share: float
    """Its part of the tokens, relative to the others."""
    variants: int = 1
    """How many random variants of each row are made."""
    file: str = ""
    """Rows of one's own, beside the recipe or below the data folder; empty: public ones."""
    heldout: str = ""
    """Rows of one's own that are measured on and never trained on."""
    metric: str = ""
    """How answers to them are judged."""


@dataclass(frozen=True)
class Adapter:
    """What is trained. Sources: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rsLoRA), Greenewald et
    al. 2025 (activated LoRA), Liu et al. 2024 (DoRA), Liu et al. 2022 (IA3), Lester et al. 2021
    (soft prompts).
    """

    kind: Literal["lora", "dora", "ia3", "soft-prompt"] = "lora"
    rank: int = 32
    """Of a LoRA; DoRA and IA3 are approximated at this rank; rows of a soft prompt."""
    alpha: float = 32.0
    rslora: bool = False
    activation: Literal["prompt", "answer"] = "prompt"
    """`answer`: the adapter acts from the tokens that open the answer (activated LoRA)."""


@dataclass(frozen=True)
class Training:
    """Steps and the learning rate; `warmup` and `decay` are shares of the budget."""

    seed: int
    minutes: float
    rate: float
    tokens_a_batch: int
    batches_a_step: int
    warmup: float = 0.03
    decay: float = 0.6
    weight_decay: float = 0.0
    validate_seconds: float = 60.0
    patience: int = 5
    """Validations without a better loss before the run stops early."""
    save_seconds: float = 60.0
    log_steps: int = 10
    sweep: tuple[float, ...] = ()
    """Factors on `rate` that `--sweep` tries."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured when the expert is ready."""

    tasks: tuple[str, ...]
    rows: int = 200
    shots: int = 4
    """Examples in the prompt of the few-shot base."""
    max_tokens: int = 160


@dataclass(frozen=True)
class Preferences:
    """Pairs of answers, one of them preferred, that `expert train dpo` learns from."""

    files: tuple[str, ...]
    """JSON Lines beside the recipe or below the data folder, `.jsonl` or `.jsonl.zst`."""
    beta: float = 0.1
    """How dear it is to move away from the base: the temperature of the preference loss."""


@dataclass(frozen=True)
class Distillation:
    """How `expert train distill` learns from a teacher's probabilities."""

    top: int = 20
    """The teacher's likeliest tokens kept at each position; the rest is one outcome more."""
    weight: float = 1.0
    """Of the teacher's probabilities in the loss; what is left goes to the data's own tokens."""


@dataclass(frozen=True)
class Recipe:
    """All settings of a run."""

    name: str
    data: Data
    tasks: dict[str, Task]
    adapter: Adapter
    training: Training
    evaluation: Evaluation
    bases: dict[str, dict[str, Any]]
    """Other settings for other bases: `width` says which, `adapter` and `training` what."""
    preferences: Preferences | None = None
    distillation: Distillation = Distillation()

    @property
    def public(self) -> bool:
        """Whether any of its tasks is one of the public data."""
        named = (*self.tasks, *self.evaluation.tasks)
        return any(name not in self.tasks or not self.tasks[name].file for name in named)

    def for_base(self, width: int) -> Recipe:
        """Return the recipe with the settings for a base whose embeddings are so wide."""
        for settings in self.bases.values():
            if settings["width"] == width:
                return replace(
                    self,
                    adapter=replace(self.adapter, **settings.get("adapter", {})),
                    training=replace(self.training, **settings.get("training", {})),
                )
        return self


def read_recipe(path: Path) -> Recipe:
    """Read an expert's recipe.

    Raises:
        NotFoundError: there is no such file.
        UsageError: a setting is missing, unknown or of the wrong kind.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        pairs = values.pop("preferences", None)
        recipe = Recipe(
            name=values.pop("name"),
            data=section(Data, values.pop("data"), "data"),
            tasks={
                name: section(Task, task, f"tasks.{name}")
                for name, task in table(values.pop("tasks", {}), "tasks").items()
            },
            adapter=section(Adapter, values.pop("adapter", {}), "adapter"),
            training=section(Training, values.pop("training"), "training"),
            evaluation=section(Evaluation, values.pop("evaluation"), "evaluation"),
            bases={
                name: base_settings(base, f"bases.{name}")
                for name, base in table(values.pop("bases", {}), "bases").items()
            },
            preferences=None if pairs is None else section(Preferences, pairs, "preferences"),
            distillation=section(Distillation, values.pop("distillation", {}), "distillation"),
        )
        check(recipe, values)
    except OSError as error:
        raise NotFoundError(
            f"The recipe {path} cannot be read.", f"{error.strerror}.", "Check the path."
        ) from error
    except KeyError as error:
        raise refusal(path, f"{error.args[0]!r} is missing") from error
    except RecursionError as error:
        raise refusal(path, "it is nested too deeply") from error
    except ValueError as error:
        raise refusal(path, str(error)) from error
    return recipe


def table(value: Any, name: str) -> dict[str, Any]:
    """Return a value that has to be a table of TOML.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"[{name}] is a table of settings, not {value!r}")
    return value


def section(kind: type[Section], values: Any, name: str) -> Section:
    """Return a section as its dataclass, every value of the type that its field declares.

    Raises:
        ValueError: it says what is wrong.
    """
    try:
        return kind(**settings(kind, values, name))
    except TypeError as error:
        raise ValueError(f"[{name}] {error}") from error


def settings(kind: type[Section], values: Any, name: str) -> dict[str, Any]:
    """Return some settings of a section, each of the type that its field declares.

    Raises:
        ValueError: one is unknown, of another type or out of range.
    """
    declared = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]  # sections are dataclasses
    made = {}
    for key, value in table(values, name).items():
        if key not in declared:
            raise ValueError(f"[{name}] has no setting {key!r}; it has {', '.join(declared)}")
        if not fits(value, declared[key]):
            raise ValueError(f"[{name}] {key} is {value!r}, expected {declared[key]}")
        if key in ABOVE_ZERO and value == 0:
            raise ValueError(f"[{name}] {key} is above zero")
        made[key] = tuple(value) if isinstance(value, list) else value
    return made


def base_settings(values: Any, name: str) -> dict[str, Any]:
    """Return what another base has otherwise: `width`, and parts of `adapter` and `training`.

    Raises:
        ValueError: it says what is wrong.
    """
    left = dict(table(values, name))
    width = left.pop("width", None)
    if width is None or not fits(width, "int"):
        raise ValueError(f"[{name}] needs the width of the base's embeddings")
    made = {
        part: settings(kind, left.pop(part), f"{name}.{part}")
        for part, kind in (("adapter", Adapter), ("training", Training))
        if part in left
    }
    if left:
        raise ValueError(f"[{name}] has width, adapter and training, and no {', '.join(left)}")
    return {"width": width, **made}


def fits(value: Any, declared: str) -> bool:
    """Tell whether a TOML value is of a field's type; numbers are finite and not below zero."""
    if declared in ("int", "float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        known = number and math.isfinite(value) and value >= 0
        return known and (declared == "float" or isinstance(value, int))
    if declared == "bool":
        return isinstance(value, bool)
    if declared.startswith("tuple"):
        item = "str" if "str" in declared else "float"
        return isinstance(value, list) and all(fits(each, item) for each in value)
    return isinstance(value, str)


def check(recipe: Recipe, unknown: dict[str, Any]) -> None:
    """Refuse what no section alone can see.

    Raises:
        ValueError: it says what.
    """
    if unknown:
        raise ValueError(f"there is no setting {', '.join(map(repr, unknown))}")
    if not recipe.tasks and recipe.preferences is None:
        raise ValueError("[tasks] names none")
    if not isinstance(recipe.name, str):
        raise ValueError(f"name is {recipe.name!r}, expected str")
    check_tasks(recipe)
    for each in (recipe, *(recipe.for_base(base["width"]) for base in recipe.bases.values())):
        check_adapter(each.adapter)
        check_training(each.training)
    pairs, taught = recipe.preferences, recipe.distillation
    if pairs is not None and not pairs.files:
        raise ValueError("[preferences] files names some")
    if taught.weight > 1:
        raise ValueError("[distillation] weight is at most 1")


def check_adapter(adapter: Adapter) -> None:
    """Refuse an adapter that there is not.

    Raises:
        ValueError: it says why.
    """
    if adapter.kind not in KINDS or adapter.activation not in ("prompt", "answer"):
        raise ValueError(
            f"[adapter] kind is one of {', '.join(KINDS)}; activation prompt or answer"
        )
    if adapter.activation == "answer" and adapter.kind != "lora":
        raise ValueError(f"[adapter] only a lora can start at the answer, not {adapter.kind}")


def check_training(training: Training) -> None:
    """Refuse numbers of a training that are out of range together.

    Raises:
        ValueError: it says which.
    """
    if training.warmup > 1 or training.decay > 1:
        raise ValueError("[training] warmup and decay are shares of the budget, at most 1")
    if training.seed >= SEEDS:
        raise ValueError(f"[training] seed is below {SEEDS}")
    if not all(training.sweep):
        raise ValueError("[training] sweep holds factors above zero")


def check_tasks(recipe: Recipe) -> None:
    """Refuse tasks that no data can be found or judged for.

    Raises:
        ValueError: it says which and why.
    """
    own = {name: task for name, task in recipe.tasks.items() if task.file}
    for name in (*recipe.tasks, *recipe.evaluation.tasks):
        if name not in BUILDERS and name not in own:
            known = ", ".join(BUILDERS)
            raise ValueError(
                f"there is no task {name!r}; there are {known}, and [tasks.NAME] with a file"
            )
    if recipe.tasks and not any(task.share for task in recipe.tasks.values()):
        raise ValueError("[tasks] no task has a share above zero")
    for name, task in recipe.tasks.items():
        if task.file:
            check_own(name, task, measured=name in recipe.evaluation.tasks)
        elif task.heldout or task.metric:
            raise ValueError(f"[tasks.{name}] heldout and metric are for a file of one's own")


def check_own(name: str, task: Task, *, measured: bool) -> None:
    """Refuse settings of a task with a file that contradict each other.

    Raises:
        ValueError: it says which.
    """
    if name in BUILDERS:
        raise ValueError(f"[tasks.{name}] {name} is a task of the public data; take another name")
    if not TASK_NAME.fullmatch(name):
        raise ValueError(f"[tasks.{name}] a name has letters, digits, - and _ alone")
    if task.variants != 1:
        raise ValueError(f"[tasks.{name}] rows of a file have no variants")
    if bool(task.heldout) != bool(task.metric):
        raise ValueError(f"[tasks.{name}] heldout and metric go together")
    if task.metric and task.metric not in MEASURES:
        known = ", ".join(MEASURES)
        raise ValueError(f"[tasks.{name}] there is no metric {task.metric!r}; there are {known}")
    if measured and not task.heldout:
        raise ValueError(f"[evaluation] measures {name!r}, so [tasks.{name}] needs heldout rows")


def refusal(path: Path, why: str) -> UsageError:
    """Return the error of a recipe that cannot be used."""
    return UsageError(f"The recipe {path} cannot be used.", f"{why}.", "Correct it.")
