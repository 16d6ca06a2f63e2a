"""The oracle: training runs on a factor-2 grid of LRs, which cost more than any method may spend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from benchmarks.choice.about import About
from benchmarks.choice.store import Records
from benchmarks.choice.task import Task
from benchmarks.choice.training import Run, train

SEEDS = (0, 1, 2)

LOWEST, HIGHEST = -24, 14
"""Exponents of 2 between which the grid may grow."""

ENOUGH = 3.0
"""A side of the grid is explored when the metric is this number of points below the best."""

LEAST = 3
"""Minimum number of grid steps on each side of the best."""

MOST = 7
"""Maximum number of grid steps below the best, even if the metric does not fall."""


@dataclass(frozen=True)
class Oracle:
    """The metric on the grid.

    Attributes:
        lrs: The grid, rising.
        means: Mean metric over the seeds at each LR, in points.
        scores: The metric of each seed at each LR.
    """

    lrs: tuple[float, ...]
    means: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def best(self) -> float:
        """The best mean."""
        return max(self.means)

    def at(self, lr: float) -> float:
        """The mean metric at an LR: linear in log2 between LRs of the grid; outside of it, that of the nearest end.

        A metric below 0 counts as 0, as in a regret.
        """
        means = [mean(max(0.0, score) for score in scores) for scores in self.scores]
        return float(np.interp(math.log2(lr), np.log2(self.lrs), means))

    @property
    def best_lr(self) -> float:
        """The LR with the best mean, the lowest if there are several."""
        return self.lrs[self.means.index(self.best)]


def training_run(records: Records, task: Task, max_lr: float, seed: int, updates: int | None = None) -> Run:
    """A training run, from the records if it was made before."""
    key = (max_lr, seed, updates or task.updates)
    if key not in records.runs:
        records.add(train(records.task, task, max_lr, seed, updates))
    return records.runs[key]


def explore(records: Records, task: Task, seeds: Sequence[int] = SEEDS) -> Oracle:
    """Extend the grid from the usual LR to both sides until both are worse."""
    means: dict[int, float] = {}

    def explore_at(exponent: int) -> None:
        if exponent not in means:
            runs = [training_run(records, task, 2.0**exponent, seed) for seed in seeds]
            means[exponent] = mean(run.test for run in runs)

    usual = task.optimizer(task.model()).param_groups[0]["lr"]
    explore_at(round(math.log2(usual)))
    while True:
        best = max(means, key=lambda exponent: means[exponent])
        low, high = min(means), max(means)
        if high < HIGHEST and (high - best < LEAST or means[high] > means[best] - ENOUGH):
            explore_at(high + 1)
        elif low > LOWEST and best - low < MOST and (best - low < LEAST or means[low] > means[best] - ENOUGH):
            explore_at(low - 1)
        else:
            return recorded_oracle(records, task, seeds)


def recorded_oracle(records: Records, task: Task | About, seeds: Sequence[int] = SEEDS) -> Oracle:
    """The oracle from the records alone: LRs of the grid that have a training run with every seed."""
    runs_at = {
        2.0**exponent: [records.runs.get((2.0**exponent, seed, task.updates)) for seed in seeds]
        for exponent in range(LOWEST, HIGHEST + 1)
    }
    scores = {lr: tuple(run.test for run in runs if run) for lr, runs in runs_at.items() if all(runs)}
    return Oracle(tuple(scores), tuple(mean(metrics) for metrics in scores.values()), tuple(scores.values()))
