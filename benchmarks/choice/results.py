"""All that the page and its pictures tell, from the records alone."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from benchmarks.choice.about import About, about, names
from benchmarks.choice.methods import ours, tuning_free
from benchmarks.choice.oracle import Oracle, known
from benchmarks.choice.score import SEEDS, Outcome, Summary, gathered, summaries
from benchmarks.choice.store import RESULTS, Records

NEAR = 1.0
"""Points below the best within which an LR of the grid is as good as any."""

LENGTHS = (2000, 10_000)
"""Updates that part the tasks by the length of a training."""

OURS, USUAL, FINDERS, SEARCHES, FREE = "learnrate", "the usual LR", "finders", "searches", "LR-free optimizers"
"""Kinds of methods."""


def kind(method: str) -> str:
    """What a method is, by its name."""
    if method in ours.BUDGETS:
        return OURS
    if method in tuning_free.KINDS:
        return FREE
    if method == "usual":
        return USUAL
    return SEARCHES if method.startswith("Optuna") else FINDERS


@dataclass(frozen=True)
class TaskResult:
    """One task.

    Attributes:
        name: Its name.
        about: Its description.
        oracle: Its grid; empty where none has been made.
        outcomes: Of each method, by seed, as far as they go.
    """

    name: str
    about: About
    oracle: Oracle
    outcomes: dict[str, tuple[Outcome, ...]]

    @property
    def near(self) -> list[float]:
        """LRs of the grid that are as good as any."""
        return [lr for lr, mean in zip(self.oracle.lrs, self.oracle.means, strict=True) if mean >= self.oracle.best - NEAR]


@dataclass(frozen=True)
class Results:
    """All tasks.

    Attributes:
        held: The records of each task.
        seeds: That are scored.
    """

    held: dict[str, Records]
    seeds: Sequence[int] = SEEDS

    @cached_property
    def known(self) -> tuple[Summary, ...]:
        """Each method, as far as the records go."""
        return tuple(sorted(gathered(self.held, self.seeds), key=lambda one: one.method))

    @cached_property
    def finished(self) -> tuple[Summary, ...]:
        """Methods with every task and seed, best mean first."""
        return tuple(summaries(self.held, self.seeds))

    @property
    def unfinished(self) -> tuple[Summary, ...]:
        """The others, the furthest first."""
        whole = {one.method for one in self.finished}
        return tuple(sorted((one for one in self.known if one.method not in whole), key=lambda one: -len(one.outcomes)))

    @property
    def all(self) -> int:
        """Outcomes of a method that has finished."""
        return len(self.held) * len(self.seeds)

    @cached_property
    def tasks(self) -> tuple[TaskResult, ...]:
        """By length, then by name."""
        found = []
        for name, records in self.held.items():
            of = {one.method: tuple(one.of_task(name)) for one in self.known}
            found.append(TaskResult(name, about(name), known(records, about(name)), {m: o for m, o in of.items() if o}))
        return tuple(sorted(found, key=lambda task: (task.about.updates, task.name)))

    def of_length(self) -> list[list[TaskResult]]:
        """The tasks, parted by the length of their trainings; no empty part."""
        ends = (0, *LENGTHS, float("inf"))
        parts = ([task for task in self.tasks if low < task.about.updates <= high] for low, high in pairwise(ends))
        return [part for part in parts if part]

    def summary(self, method: str, tasks: Sequence[TaskResult]) -> Summary | None:
        """A method on some of the tasks; None unless it has finished them."""
        found = tuple(outcome for task in tasks for outcome in task.outcomes.get(method, ()))
        return Summary(method, found) if len(found) == len(tasks) * len(self.seeds) else None

    def intervals(self, method: str) -> list[tuple[bool, float]]:
        """Of each choice of a method that tells an interval: whether it holds the best LR of the grid, and its octaves."""
        found = []
        for task in self.tasks:
            for (name, seed), choice in sorted(self.held[task.name].choices.items()):
                if name == method and seed in self.seeds and choice.interval is not None and task.oracle.lrs:
                    low, high = choice.interval
                    found.append((low <= task.oracle.best_lr <= high, math.log2(high / low)))
        return found

    @property
    def machines(self) -> list[str]:
        """Processors that the records were made on."""
        return sorted({f"{one['processor']} ({one['cores']} cores, one thread a training)" for one in self._headers})

    @property
    def versions(self) -> list[str]:
        """Of what all trainings need."""
        packages = ("Python", "torch", "numpy", "scikit-learn")
        return [f"{name} {' and '.join(sorted({str(one[name]) for one in self._headers}))}" for name in packages]

    @property
    def made_by(self) -> dict[str, list[str]]:
        """Versions of each method: of its package and, after a plus sign, a hash of the code that calls it."""
        found: dict[str, set[str]] = {}
        for records in self.held.values():
            for choice in records.choices.values():
                found.setdefault(choice.method, set()).add(choice.version)
            for run in records.free.values():
                found.setdefault(run.optimizer, set()).add(run.version)
        return {method: sorted(versions) for method, versions in sorted(found.items())}

    @property
    def trainings(self) -> int:
        """Whole trainings in the records."""
        return sum(len(records.runs) + len(records.free) for records in self.held.values())

    @property
    def updates(self) -> int:
        """Updates in the records: of the trainings, and of choosing."""
        made = sum(run.made for records in self.held.values() for run in (*records.runs.values(), *records.free.values()))
        # Choices that read the same sweep share its updates, and the names of such choices begin with the same word.
        spent = {
            (name, method.split()[0] if method.startswith("fastai") else method, seed): choice.spent
            for name, records in self.held.items()
            for (method, seed), choice in records.choices.items()
        }
        return made + sum(spent.values())

    @property
    def digest(self) -> str:
        """Changes with what is drawn: a picture that bears it was drawn from these records."""
        drawn = [(task.name, task.about, task.oracle, sorted(task.outcomes.items())) for task in self.tasks]
        return hashlib.sha256(repr(drawn).encode()).hexdigest()[:12]

    @property
    def _headers(self) -> list[dict[str, object]]:
        return [header for records in self.held.values() for header in records.headers]


def read(folder: Path = RESULTS) -> Results:
    """The records of all tasks."""
    return Results({name: Records(name, folder) for name in names()})
