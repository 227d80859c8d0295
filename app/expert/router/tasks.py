"""Parameters by task: what an expert's manifest asks for, else what the kind of request needs."""

from dataclasses import fields, replace

from expert.router.types import Task
from expert.types import Parameters

EXACT = Parameters(temperature=0.0)
"""Where one answer is right: code, commands, data."""
BY_TASK: dict[Task, Parameters] = {
    "chat": Parameters(temperature=0.7, top_p=0.95),
    "creative": Parameters(temperature=0.8, top_p=0.95),
    "translate": Parameters(temperature=0.3),
    "summarise": Parameters(temperature=0.3),
    "convert": EXACT,
    "extract": EXACT,
    "fix": EXACT,
}
"""Other tasks leave the choice to what the model file recommends."""


def parameters(task: Task, expert: Parameters | None) -> Parameters:
    """Return the parameters of a task; those that the leading *expert* states come first."""
    if expert is None:
        return BY_TASK.get(task, Parameters())
    stated = {
        field.name: value
        for field in fields(expert)
        if (value := getattr(expert, field.name)) not in (None, ())
    }
    return replace(EXACT, **stated)
