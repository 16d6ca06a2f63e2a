"""What a task's file says of it, read without its data: a page about the records needs no data sets."""

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
        updates: Length of a training.
        metric: What is measured.
    """

    about: str
    updates: int
    metric: str = "accuracy"


def names() -> list[str]:
    """Of all tasks."""
    return sorted(path.stem for path in TASKS.glob("*.py") if path.stem != "__init__")


@cache
def about(name: str) -> About:
    """The description of a task: constants of the one call of `Task` in its file.

    Building the task would load its data, and storing the description elsewhere would write it twice.
    """
    tree = ast.parse((TASKS / f"{name}.py").read_text())
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Task"
    )
    fields = About.__dataclass_fields__
    return About(**{key.arg: ast.literal_eval(key.value) for key in call.keywords if key.arg in fields})
