"""Exponents from the records: how the best LR changes with the set-up, and what carrying an LR gains over keeping it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

import numpy as np

from benchmarks.carry.oracle import curve_of
from benchmarks.carry.setups import SetUp
from benchmarks.carry.store import Records

MOST = 20.0
"""Points that a regret counts at most: how bad a diverged run is does not matter."""

TOP = 4.0
"""Points below the best within which the curve of a set-up is a parabola of log2 of the LR."""

Shift = Callable[["Case"], float]
"""A rule: from a case to the change of log2 of the LR."""


@dataclass(frozen=True)
class Curve:
    """The mean metric of a set-up by log2 of the LR."""

    points: dict[int, float]

    @cached_property
    def best_log2_lr(self) -> float:
        """The top of the parabola through the points near the best one; the best one itself if it has no top there."""
        top = max(self.points.values())
        near = {log2_lr: value for log2_lr, value in self.points.items() if value >= top - TOP}
        best = max(self.points, key=self.points.__getitem__)
        if len(near) < 3:
            return float(best)
        bend, slope, _ = np.polyfit(list(near), list(near.values()), 2)
        if bend >= 0:
            return float(best)
        return float(np.clip(-slope / (2 * bend), min(near), max(near)))

    def regret(self, log2_lr: float) -> float:
        """Points below the best of the curve, linear between the LRs of the grid; beyond them the last one falls on."""
        lrs, values = np.array(list(self.points)), np.array(list(self.points.values()))
        outside = max(lrs[0] - log2_lr, log2_lr - lrs[-1], 0.0)
        below = max(values) - np.interp(log2_lr, lrs, values) + outside * TOP
        return float(np.clip(below, 0.0, MOST))


@dataclass(frozen=True)
class Case:
    """An LR that was tuned at one set-up and is carried to another one."""

    base: SetUp
    target: SetUp
    base_curve: Curve
    target_curve: Curve

    @property
    def changed(self) -> tuple[str, ...]:
        """What differs."""
        return tuple(
            name for name in ("batch", "width", "depth", "updates") if getattr(self.base, name) != getattr(self.target, name)
        )

    def log2_ratio(self, name: str) -> float:
        """How much larger it is, in doublings."""
        return math.log2(getattr(self.target, name) / getattr(self.base, name))

    @property
    def moved(self) -> float:
        """How far the best LR moves, in doublings."""
        return self.target_curve.best_log2_lr - self.base_curve.best_log2_lr

    def regret(self, shift: Shift) -> float:
        """The regret at the target."""
        return self.target_curve.regret(self.base_curve.best_log2_lr + shift(self))


def cases(records: Records, pairs: Sequence[tuple[SetUp, SetUp]]) -> list[Case]:
    """The pairs that are measured."""
    measured = {setup for setup, _, _ in records.runs}
    curves = {setup: Curve(curve_of(records, setup)) for setup in measured}
    return [Case(base, target, curves[base], curves[target]) for base, target in pairs if {base, target} <= measured]


def keep(case: Case) -> float:
    """The LR stays what it is."""
    return 0.0


def mean_regret(those: Sequence[Case], shift: Shift) -> float:
    """In points."""
    return mean(case.regret(shift) for case in those)
