"""An expert's recipe: one TOML file read into frozen dataclasses, with what other bases need."""

from __future__ import annotations

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
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        pairs = values.pop("preferences", None)
        recipe = Recipe(
            name=values.pop("name"),
            data=section(Data, values.pop("data"), "data"),
            tasks={
                name: section(Task, task, f"tasks.{name}")
                for name, task in values.pop("tasks", {}).items()
            },
            adapter=section(Adapter, values.pop("adapter", {}), "adapter"),
            training=section(Training, values.pop("training"), "training"),
            evaluation=section(Evaluation, values.pop("evaluation"), "evaluation"),
            bases=values.pop("bases", {}),
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
    except ValueError as error:
        raise refusal(path, str(error)) from error
    return recipe


def section(kind: type[Section], values: dict[str, Any], name: str) -> Section:
    """Return a section as its dataclass, every value of the type that its field declares."""
    declared = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]  # sections are dataclasses
    made = {}
    for key, value in values.items():
        if key not in declared:
            raise ValueError(f"[{name}] has no setting {key!r}; it has {', '.join(declared)}")
        if not fits(value, declared[key]):
            raise ValueError(f"[{name}] {key} is {value!r}, expected {declared[key]}")
        made[key] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**made)
    except TypeError as error:
        raise ValueError(f"[{name}] {error}") from error


def fits(value: Any, declared: str) -> bool:
    """Tell whether a TOML value is of a field's type."""
    if declared in ("int", "float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and value >= 0 and (declared == "float" or isinstance(value, int))
    if declared == "bool":
        return isinstance(value, bool)
    if declared.startswith("tuple"):
        wanted = str if "str" in declared else (int, float)
        return isinstance(value, list) and all(isinstance(item, wanted) for item in value)
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
    check_tasks(recipe)
    for name, settings in recipe.bases.items():
        for part, kind in (("adapter", Adapter), ("training", Training)):
            known = {field.name for field in fields(kind)}
            if wrong := set(settings.get(part, {})) - known:
                raise ValueError(f"[bases.{name}.{part}] has no setting {', '.join(sorted(wrong))}")
        if not isinstance(settings.get("width"), int):
            raise ValueError(f"[bases.{name}] needs the width of the base's embeddings")
    adapter = recipe.adapter
    if adapter.kind not in KINDS or adapter.activation not in ("prompt", "answer"):
        raise ValueError(
            f"[adapter] kind is one of {', '.join(KINDS)}; activation prompt or answer"
        )
    if adapter.activation == "answer" and adapter.kind != "lora":
        raise ValueError(f"[adapter] only a lora can start at the answer, not {adapter.kind}")
    pairs, taught = recipe.preferences, recipe.distillation
    if pairs is not None and (not pairs.files or pairs.beta <= 0):
        raise ValueError("[preferences] files names some, and beta is above zero")
    if taught.top < 1 or taught.weight > 1:
        raise ValueError("[distillation] top is above zero, and weight at most 1")
    if adapter.rank < 1 or adapter.alpha <= 0 or recipe.training.batches_a_step < 1:
        raise ValueError("rank, alpha and batches_a_step are above zero")


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
