"""The content of the page and its figures, from the records alone."""

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from benchmarks.choice.about import About, about, names
from benchmarks.choice.halves import DESIGN, LATER, REPORT, Half
from benchmarks.choice.methods import ours
from benchmarks.choice.methods.peers import FREE as OPTIMIZERS
from benchmarks.choice.oracle import Oracle, recorded_oracle
from benchmarks.choice.score import SEEDS, Outcome, Summary, finished, floor, summaries
from benchmarks.choice.store import RESULTS, Records

NEAR = 1.0
"""An LR of the grid is good if its mean is at most this number of points below the best."""

LENGTHS = (2000, 10_000)
"""Limits between groups of tasks, in updates of a training run."""

OURS, FORMER, USUAL = "learnrate", "learnrate before", "the usual LR"
FINDERS, SEARCHES, FREE = "finders", "searches", "LR-free optimizers"
"""The kinds of methods."""


def kind(method: str) -> str:
    """The kind of a method, by its name."""
    if method in ours.BUDGETS or method == ours.PROBE:
        return OURS
    if method in ours.FORMER:
        return FORMER
    if method in OPTIMIZERS:
        return FREE
    if method == "usual":
        return USUAL
    return SEARCHES if method.startswith("Optuna") else FINDERS


@dataclass(frozen=True)
class TaskResult:
    """The results of one task.

    Attributes:
        name: Name of the task.
        about: Its description.
        oracle: Its grid; empty if there are no records.
        outcomes: The recorded outcomes of each method, by seed.
    """

    name: str
    about: About
    oracle: Oracle
    outcomes: dict[str, tuple[Outcome, ...]]

    @property
    def near(self) -> list[float]:
        """The good LRs of the grid."""
        return [lr for lr, mean in zip(self.oracle.lrs, self.oracle.means, strict=True) if mean >= self.oracle.best - NEAR]


@dataclass(frozen=True)
class Results:
    """The results of all tasks.

    Attributes:
        records_of: The records of each task.
        seeds: The seeds that count.
    """

    records_of: dict[str, Records]
    seeds: Sequence[int] = SEEDS

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """The recorded results of each method."""
        return tuple(sorted(summaries(self.records_of, self.seeds), key=lambda summary: summary.method))

    @cached_property
    def finished(self) -> tuple[Summary, ...]:
        """Methods with every task and seed, best mean first."""
        return tuple(finished(self.records_of, self.seeds))

    @property
    def unfinished(self) -> tuple[Summary, ...]:
        """The other methods, those with most outcomes first."""
        complete = {summary.method for summary in self.finished}
        partial = [summary for summary in self.summaries if summary.method not in complete]
        return tuple(sorted(partial, key=lambda summary: -len(summary.outcomes)))

    def half(self, name: Half) -> "Results":
        """The tasks of one half."""
        return self.of(DESIGN if name == "design" else REPORT)

    def of(self, tasks: Collection[str]) -> "Results":
        """Some of the tasks."""
        return Results({task: records for task, records in self.records_of.items() if task in tasks}, self.seeds)

    @property
    def compared(self) -> "Results":
        """The tasks of the first version, on which every method has trained; all tasks if there are no others."""
        first = self.of([task for task in self.records_of if task not in LATER])
        return first if first.finished else self

    @cached_property
    def floor(self) -> Summary | None:
        """What choosing by validation data among all LRs of the grid loses."""
        return floor(self.records_of)

    @property
    def all(self) -> int:
        """Number of outcomes of a finished method."""
        return len(self.records_of) * len(self.seeds)

    @cached_property
    def tasks(self) -> tuple[TaskResult, ...]:
        """The tasks by length, then by name."""
        tasks = []
        for name, records in self.records_of.items():
            outcomes = {summary.method: tuple(summary.of_task(name)) for summary in self.summaries}
            recorded = {method: of_task for method, of_task in outcomes.items() if of_task}
            tasks.append(TaskResult(name, about(name), recorded_oracle(records, about(name)), recorded))
        return tuple(sorted(tasks, key=lambda task: (task.about.updates, task.name)))

    def by_length(self) -> list[list[TaskResult]]:
        """The tasks in groups by the length of their training runs, without empty groups."""
        limits = (0, *LENGTHS, float("inf"))
        groups = ([task for task in self.tasks if low < task.about.updates <= high] for low, high in pairwise(limits))
        return [group for group in groups if group]

    def summary(self, method: str, tasks: Sequence[TaskResult]) -> Summary | None:
        """A method on some of the tasks; None if it has not finished them."""
        outcomes = tuple(outcome for task in tasks for outcome in task.outcomes.get(method, ()))
        return Summary(method, outcomes) if len(outcomes) == len(tasks) * len(self.seeds) else None

    def intervals(self, method: str) -> list[tuple[bool, float]]:
        """For each interval of a method: whether it contains the best LR of the grid, and the log2 of its width.

        The width of an interval that is open on one side is infinite.
        """
        intervals = []
        for task in self.tasks:
            for (name, seed), choice in sorted(self.records_of[task.name].choices.items()):
                if name == method and seed in self.seeds and choice.interval is not None and task.oracle.lrs:
                    low, high = choice.interval
                    intervals.append((low <= task.oracle.best_lr <= high, math.log2(high / low) if low else math.inf))
        return intervals

    @property
    def machines(self) -> list[str]:
        """The processors of the records."""
        return sorted({f"{header['processor']} ({header['cores']} cores, one thread used)" for header in self._headers})

    @property
    def versions(self) -> list[str]:
        """The versions of the packages that all training runs need."""
        packages = ("Python", "torch", "numpy", "scikit-learn")
        return [f"{name} {' and '.join(sorted({str(header[name]) for header in self._headers}))}" for name in packages]

    @property
    def method_versions(self) -> dict[str, list[str]]:
        """Versions of each method: that of its package and, after a plus sign, a hash of the code that calls it."""
        versions_of: dict[str, set[str]] = {}
        for records in self.records_of.values():
            for choice in records.choices.values():
                versions_of.setdefault(choice.method, set()).add(choice.version)
            for run in records.free.values():
                versions_of.setdefault(run.optimizer, set()).add(run.version)
        return {method: sorted(versions) for method, versions in sorted(versions_of.items())}

    @property
    def own_hours(self) -> float | None:
        """Processor time of all our choices and of the training runs at them, in hours; None if it is not recorded.

        A training run takes as long as the updates of a choice on the same task, on average.
        """
        seconds = 0.0
        for name, records in self.records_of.items():
            own = [
                choice for choice in records.choices.values() if kind(choice.method) == OURS and choice.seed in self.seeds
            ]
            times = [choice.seconds for choice in own if choice.seconds is not None]
            updates = sum(choice.spent for choice in own)
            if not times or len(times) < len(own) or not updates:
                return None
            answers = {(choice.lr, choice.seed) for choice in own if choice.lr is not None}
            seconds += sum(times) * (1 + len(answers) * about(name).updates / updates)
        return seconds / 3600

    @property
    def trainings(self) -> int:
        """Number of training runs in the records."""
        return sum(len(records.runs) + len(records.free) for records in self.records_of.values())

    @property
    def updates(self) -> int:
        """Number of updates in the records: of the training runs and of the choices."""
        training = sum(
            run.made for records in self.records_of.values() for run in (*records.runs.values(), *records.free.values())
        )
        # The rules of fastai share the updates of one sweep.
        spent = {
            (name, method.split()[0] if method.startswith("fastai") else method, seed): choice.spent
            for name, records in self.records_of.items()
            for (method, seed), choice in records.choices.items()
        }
        return training + sum(spent.values())

    @property
    def digest(self) -> str:
        """A hash of the data in the figures, which tells whether a figure shows these records."""
        drawn = [(task.name, task.about, task.oracle, sorted(task.outcomes.items())) for task in self.tasks]
        return hashlib.sha256(repr(drawn).encode()).hexdigest()[:12]

    @property
    def _headers(self) -> list[dict[str, object]]:
        return [header for records in self.records_of.values() for header in records.headers]


def read(folder: Path = RESULTS) -> Results:
    """The records of all tasks."""
    return Results({name: Records(name, folder) for name in names()})
