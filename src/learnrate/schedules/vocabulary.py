"""Every schedule by its name: the closed vocabulary of `parse`, of the JSON form and of the documentation."""

from collections.abc import Callable, Mapping

from learnrate.schedules import arithmetic, catalogue, chain, combine
from learnrate.schedules.base import Schedule

NAMES = tuple(sorted(name for name in vars(catalogue) if not name.startswith("_")))
"""Names of all schedules that are written as a call."""

SCHEDULES: Mapping[str, type[Schedule]] = {
    name: schedule for name in NAMES if isinstance(schedule := getattr(catalogue, name), type)
}
"""Classes of schedules."""

RUNS: Mapping[str, Callable[..., Schedule]] = {name: getattr(catalogue, name) for name in NAMES if name not in SCHEDULES}
"""Functions that return a composition of schedules."""

METHODS = ("clip", "mirrored", "rebase", "repeat", "shift", "staircase")
"""Methods of a schedule that return a schedule."""

COMBINED: Mapping[str, type[Schedule]] = {
    name: getattr(module, name) for module in (arithmetic, chain, combine) for name in module.__all__
}
"""Classes of the schedules that the operators and methods return. Only the JSON form names them."""
