"""The description of a task, read from its file without its data: the page about the records needs no data sets."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TASKS = Path(__file__).parent / "tasks"


@dataclass(frozen=True)
class About:
    """A task's description.

    Attributes:
        about: Model, data and optimizer, in a few words.
        updates: Length of a training run.
        metric: Name of the metric.
    """

    about: str
    updates: int
    metric: str = "accuracy"


def names() -> list[str]:
    """The names of all tasks."""
    return sorted(path.stem for path in TASKS.glob("*.py") if path.stem != "__init__")


@cache
def about(name: str) -> About:
    """The description of a task: the constants in the only call of `Task` in its file.

    Building the task would load its data, and a description elsewhere would be a second copy.
    """
    tree = ast.parse((TASKS / f"{name}.py").read_text())
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Task"
    )
    fields = About.__dataclass_fields__
    return About(**{key.arg: ast.literal_eval(key.value) for key in call.keywords if key.arg in fields})
