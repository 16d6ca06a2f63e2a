"""What an experiment is: rows of a table of a paper, and what each of them trains."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import learnrate as lr
from benchmarks.papers.policies import Row


@dataclass(frozen=True)
class Entry:
    """A row, and what it trains.

    Attributes:
        row: Its schedule and the paper's figures.
        recipe: Creates its recipe; None for that of the experiment.
        family: Name of a family of `learnrate.tune`, whose LR is chosen here instead of the schedule of the row.
    """

    row: Row
    recipe: Callable[[], Any] | None = None
    family: str | None = None

    def arm(self) -> lr.Arm:
        """The row as an arm of a comparison."""
        recipe = None if self.recipe is None else self.recipe()
        return lr.Arm(self.family or self.row.schedule, recipe=recipe, updates=self.row.updates)


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        title: What it shows.
        source: The paper, with table or figure.
        entries: From SCALE, the factor on every length, to the rows.
        recipe: Creates what is trained.
        evaluate_every: Updates between two evaluations at full length.
        seeds: Trainings of each arm.
        tune_each: Whether each arm is trained at the LR that `learnrate.tune` chooses for it.
        target: The arm whose mean final accuracy the others are to reach; None where the paper does not ask for it.
        notes: What differs from the paper.
    """

    title: str
    source: str
    entries: Callable[[float], Iterable[Entry]]
    recipe: Callable[[], Any]
    evaluate_every: int
    seeds: int = 3
    tune_each: bool = False
    target: str | None = None
    notes: tuple[str, ...] = ()

    def evaluations_every(self, scale: float) -> int:
        """Updates between two evaluations.

        Their number falls with the square root of the scale: an evaluation takes the same time at every scale, and with the
        same number of evaluations in a fifth of the updates they would take a third of the time of cifar10_full.
        """
        return max(1, round(self.evaluate_every * math.sqrt(scale)))

    def by_name(self, scale: float) -> dict[str, Entry]:
        """The rows by name.

        Raises:
            ArgumentError: if so small a scale leaves no schedule.
        """
        try:
            return {entry.row.name: entry for entry in self.entries(scale)}
        except lr.errors.ArgumentError as error:
            raise lr.errors.ArgumentError(
                f"the scale must leave each part an update, received {scale:g}: {error}"
            ) from error


def plain(rows: Callable[..., Iterable[Row]], *arguments: Any) -> Callable[[float], Iterable[Entry]]:
    """The rows of a table that all train the same recipe."""
    return partial(_entries, rows, arguments)


def _entries(rows: Callable[..., Iterable[Row]], arguments: tuple[Any, ...], scale: float) -> Iterable[Entry]:
    return [Entry(row) for row in rows(*arguments, scale=scale)]
