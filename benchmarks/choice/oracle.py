"""The oracle: whole trainings on a factor-2 grid of LRs, which no method can afford."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.choice.about import About
from benchmarks.choice.store import Records
from benchmarks.choice.task import Task
from benchmarks.choice.training import Run, train

SEEDS = (0, 1, 2)

LOWEST, HIGHEST = -24, 14
"""Exponents of 2 between which the grid may grow."""

ENOUGH = 3.0
"""Points below the best at which a side of the grid counts as explored."""

LEAST = 3
"""Grid steps on each side of the best that are looked at in any case."""

MOST = 7
"""Grid steps below the best after which the lower side is left, however flat."""


@dataclass(frozen=True)
class Oracle:
    """What the grid tells.

    Attributes:
        lrs: The grid, rising.
        means: Mean metric of the seeds at each, in points.
        scores: Each seed's metric at each.
    """

    lrs: tuple[float, ...]
    means: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def best(self) -> float:
        """The best mean."""
        return max(self.means)

    @property
    def best_lr(self) -> float:
        """Where it is; the lowest of equals."""
        return self.lrs[self.means.index(self.best)]


def trained(records: Records, task: Task, max_lr: float, seed: int, updates: int | None = None) -> Run:
    """A training from the records, or made now."""
    key = (max_lr, seed, updates or task.updates)
    if key not in records.runs:
        records.add(train(records.task, task, max_lr, seed, updates))
    return records.runs[key]


def explore(records: Records, task: Task, seeds: Sequence[int] = SEEDS) -> Oracle:
    """Grow the grid from the usual LR to both sides until both are seen to be worse."""
    found: dict[int, float] = {}

    def at(exponent: int) -> float:
        if exponent not in found:
            runs = [trained(records, task, 2.0**exponent, seed) for seed in seeds]
            found[exponent] = mean(run.test for run in runs)
        return found[exponent]

    usual = task.optimizer(task.model()).param_groups[0]["lr"]
    at(round(math.log2(usual)))
    while True:
        best = max(found, key=lambda exponent: found[exponent])
        low, high = min(found), max(found)
        if high < HIGHEST and (high - best < LEAST or found[high] > found[best] - ENOUGH):
            at(high + 1)
        elif low > LOWEST and best - low < MOST and (best - low < LEAST or found[low] > found[best] - ENOUGH):
            at(low - 1)
        else:
            return known(records, task, seeds)


def known(records: Records, task: Task | About, seeds: Sequence[int] = SEEDS) -> Oracle:
    """The oracle as far as the records go: LRs of the grid at which every seed has trained."""
    at = {
        2.0**exponent: [records.runs.get((2.0**exponent, seed, task.updates)) for seed in seeds]
        for exponent in range(LOWEST, HIGHEST + 1)
    }
    scores = {lr: tuple(run.test for run in runs if run) for lr, runs in at.items() if all(runs)}
    return Oracle(tuple(scores), tuple(mean(one) for one in scores.values()), tuple(scores.values()))
