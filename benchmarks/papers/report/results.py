"""The records of the experiments, as comparisons: everything that the page and its pictures show of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.papers import records
from benchmarks.papers.experiment import Entry
from benchmarks.papers.experiments import EXPERIMENTS
from learnrate.study import Comparison, Difference, Outcome, difference
from learnrate.study.results import of_record


@dataclass(frozen=True)
class Measured:
    """An experiment as it was run at one scale.

    Attributes:
        name: Of the experiment.
        scale: Factor on every length.
        comparison: Its arms with their trainings.
        on_gpu: Whether its trainings were made side by side on a GPU.
    """

    name: str
    scale: float
    comparison: Comparison
    on_gpu: bool = False

    @property
    def title(self) -> str:
        """Where it was run, for the head of a column."""
        return f"scale {self.scale:g}" + (", GPU" if self.on_gpu else "")

    @property
    def seeds(self) -> int:
        """The most trainings of an arm."""
        return max((len(arm.trainings) for arm in self.comparison), default=0)

    @property
    def complete(self) -> bool:
        """Whether each arm has as many trainings as any other, and no arm of the experiment is missing."""
        names = set(EXPERIMENTS[self.name].by_name(self.scale))
        numbers = {len(arm.trainings) for arm in self.comparison}
        return len(numbers) == 1 and {arm.name for arm in self.comparison} >= names

    def arm(self, name: str) -> Outcome | None:
        """An arm that has been trained; None if it has not."""
        return next((arm for arm in self.comparison if arm.name == name and arm.trainings), None)

    def difference(self, first: str, second: str) -> Difference | None:
        """Accuracy of one arm minus that of another, over the seeds of both; None where there are none."""
        arms = self.arm(first), self.arm(second)
        return None if arms[0] is None or arms[1] is None else between(arms[0], arms[1])


def between(first: Outcome, second: Outcome) -> Difference | None:
    """Accuracy of one arm minus that of another, over the seeds of both; None if they have none in common."""
    ours, theirs = first.by_seed(), second.by_seed()
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    scores = [[trainings[seed].score for seed in seeds] for trainings in (ours, theirs)]
    return difference(*scores, names=(first.name, second.name) if first.name != second.name else ("first", "second"))


@dataclass(frozen=True)
class Results:
    """All experiments that have been run.

    Attributes:
        measured: The experiments by name; each at its scales, the largest first.
        folder: Where the records are.
    """

    measured: Mapping[str, tuple[Measured, ...]]
    folder: Path = records.RESULTS

    def of(self, name: str) -> tuple[Measured, ...]:
        """An experiment at each of its scales."""
        return self.measured.get(name, ())

    def best(self, name: str) -> Measured | None:
        """An experiment at the largest scale at which it is complete; if there is none, at its largest scale."""
        rows = self.of(name)
        return next((row for row in rows if row.complete), rows[0] if rows else None)


def read(folder: Path = records.RESULTS) -> Results:
    """The records of a folder."""
    return Results({name: rows for name in EXPERIMENTS if (rows := tuple(_measured(name, folder)))}, folder)


def _measured(name: str, folder: Path) -> Iterable[Measured]:
    for scale in records.scales(name, folder):
        for on_gpu in (False, True):
            record = records.read(name, scale, folder, on_gpu)
            comparison = None if record is None else of_record(record)
            if comparison is not None and any(arm.trainings for arm in comparison):
                yield Measured(name, scale, comparison, on_gpu)


def entries(measured: Measured) -> dict[str, Entry]:
    """The rows of an experiment by name, with the paper's figures."""
    return EXPERIMENTS[measured.name].by_name(measured.scale)
