"""The metric of a set-up against the LR, on a factor-2 grid that grows until both sides of the best LR are known."""

import math
from statistics import mean

from benchmarks.carry.setups import SetUp
from benchmarks.carry.store import Records
from benchmarks.carry.training import points

SEEDS = 2
"""Training runs at each LR."""

BASE_SEEDS = 4
"""The same of a base set-up, whose LR is carried to all of its variations."""

FIRST = {"adam": -8, "sgd": -5}
"""log2 of the first LR of a base set-up."""

NEIGHBOURS, STEEP = 2, 3.0
"""A side of the best LR is known at two steps of the grid, or at one where the metric is three points lower."""

WORST = -100.0
"""Points of a run that diverged: regrets are capped, so that it does not matter how bad it is."""

GRID = range(-20, 9)


def measure(records: Records, setup: SetUp, first: int) -> dict[int, float]:
    """Make the runs that are missing; the mean metric in points by log2 of the LR."""
    seeds = seeds_of(setup)
    for log2_lr in (first, first - 1, first + 1, *curve_of(records, setup)):
        _runs(records, setup, log2_lr, seeds)
    while True:
        curve = curve_of(records, setup)
        best = max(curve, key=curve.__getitem__)
        missing = [log2_lr for log2_lr in (_next(curve, best, -1), _next(curve, best, 1)) if log2_lr is not None]
        if not missing:
            return curve
        for log2_lr in missing:
            _runs(records, setup, log2_lr, seeds)


def curve_of(records: Records, setup: SetUp) -> dict[int, float]:
    """The mean metric in points by log2 of the LR, as far as it is recorded."""
    by_lr: dict[int, list[float]] = {}
    for (other, log2_lr, _), value in records.runs.items():
        if other == setup:
            by_lr.setdefault(log2_lr, []).append(WORST if value is None else value)
    return {log2_lr: mean(values) for log2_lr, values in sorted(by_lr.items())}


def seeds_of(setup: SetUp) -> int:
    """Training runs at each LR of a set-up."""
    return BASE_SEEDS if setup == setup.base else SEEDS


def is_complete(records: Records, setup: SetUp) -> bool:
    """Whether all runs of a set-up are recorded."""
    curve = curve_of(records, setup)
    best = max(curve, key=curve.__getitem__)
    is_recorded = all((setup, log2_lr, seed) in records.runs for log2_lr in curve for seed in range(seeds_of(setup)))
    return is_recorded and _next(curve, best, -1) is None and _next(curve, best, 1) is None


def top_log2_lr(curve: dict[int, float]) -> float:
    """Where the metric is highest: the top of the parabola through the best LR of the grid and its neighbours."""
    best = max(curve, key=curve.__getitem__)
    low, top, high = (curve.get(best + step, -math.inf) for step in (-1, 0, 1))
    # Beyond three points of regret the shape of the curve is another one: divergence, say, has no slope.
    low, high = max(low, top - STEEP), max(high, top - STEEP)
    bend = 2 * top - low - high
    return best + ((high - low) / (2 * bend) if bend > 0 else 0.0)


def _next(curve: dict[int, float], best: int, side: int) -> int | None:
    """The next LR on a side of the best one; None if enough is known there."""
    for step in range(1, NEIGHBOURS + 1):
        log2_lr = best + side * step
        if log2_lr not in GRID:
            return None
        if log2_lr not in curve:
            return log2_lr
        if curve[log2_lr] <= curve[best] - STEEP:
            return None
    return None


def _runs(records: Records, setup: SetUp, log2_lr: int, seeds: int) -> None:
    for seed in range(seeds):
        if (setup, log2_lr, seed) not in records.runs:
            records.add_run(setup, log2_lr, seed, points(setup, 2.0**log2_lr, seed))
