"""Exponents from the records: how the best LR changes with the set-up, and what carrying an LR gains over keeping it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean

import numpy as np

from benchmarks.carry.oracle import curve_of, is_complete
from benchmarks.carry.problems import PROBLEMS, Half
from benchmarks.carry.setups import VARIATIONS, Optimizer, SetUp, bases
from benchmarks.carry.store import Records
from benchmarks.carry.training import UPDATES
from learnrate.tuner.carry import DRIFT_SPAN, OPPOSITE_DRIFT, RULES, Change, Tuned, changes
from learnrate.tuner.thresholds import THRESHOLDS

MOST = 20.0
"""Points that a regret counts at most: how bad a diverged run is does not matter."""

OUTSIDE = 4.0
"""Points by which the metric is assumed to fall with each step of the grid beyond its ends, which are below the best."""

NORMAL = (-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64)
"""Ten equally likely values of a standard normal variable."""

STEP = 1 / 16
"""Distance of the LRs among which one is chosen, as log2."""

EQUAL = 0.02
"""Points of regret that make no difference."""

POWERS = np.linspace(-2, 2, 81)
"""Powers that are compared."""

AS_TUNER = "a quarter, 10 batches"
"""The measurement of the noise scale that the tuner makes."""

Shift = Callable[["Case"], float]
"""A rule: from a case to the change of log2 of the LR."""


@dataclass(frozen=True)
class Curve:
    """The mean metric of a set-up by log2 of the LR."""

    points: dict[int, float]

    @cached_property
    def best_log2_lr(self) -> float:
        """The LR with the lowest expected regret if log2 of the LR is uncertain by the tuner's `spread`: what it chooses.

        On a flat curve this is the middle of the top, and near the stability edge it keeps a distance.
        """
        candidates = np.arange(min(self.points), max(self.points) + STEP, STEP)
        expected = [mean(self.regret(log2_lr + THRESHOLDS.spread * normal) for normal in NORMAL) for log2_lr in candidates]
        return float(np.median(candidates[np.array(expected) <= min(expected) + EQUAL]))

    def regret(self, log2_lr: float) -> float:
        """Points below the best of the curve, linear between the LRs of the grid; beyond them the last one falls on."""
        lrs, values = np.array(list(self.points)), np.array(list(self.points.values()))
        outside = max(lrs[0] - log2_lr, log2_lr - lrs[-1], 0.0)
        below = max(values) - np.interp(log2_lr, lrs, values) + outside * OUTSIDE
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
    measured = {setup for setup in {setup for setup, _, _ in records.runs} if is_complete(records, setup)}
    curves = {setup: Curve(curve_of(records, setup)) for setup in measured}
    return [Case(base, target, curves[base], curves[target]) for base, target in pairs if {base, target} <= measured]


def keep(case: Case) -> float:
    """The LR stays what it is."""
    return 0.0


def mean_regret(those: Sequence[Case], shift: Shift) -> float:
    """In points."""
    return mean(case.regret(shift) for case in those)


def pairs() -> Iterator[tuple[SetUp, SetUp]]:
    """What is carried to what: the base set-ups to their variations, and short trainings to longer ones at every batch."""
    for base in bases():
        yield from ((base, replace(base, **variation)) for variation in VARIATIONS)
        for batch in (1 / 4, 16):
            yield replace(base, batch=batch, updates=1 / 4), replace(base, batch=batch)


def half_of(those: Sequence[Case], half: Half) -> list[Case]:
    """The cases of the problems for the fit, or of those for the report."""
    return [case for case in those if PROBLEMS[case.base.problem].half == half]


def changed_alone(those: Sequence[Case], optimizer: Optimizer, name: str) -> list[Case]:
    """The cases in which nothing else changes."""
    return [case for case in those if case.base.optimizer == optimizer and case.changed == (name,)]


def power_of_least_regret(those: Sequence[Case], size: Callable[[Case], float]) -> tuple[float, float]:
    """The power of the rule with the lowest mean regret, and that regret; of nearly equal ones the middle.

    Args:
        those: The cases.
        size: Doublings that the power applies to.
    """
    regrets = [mean_regret(those, lambda case, power=power: power * size(case)) for power in POWERS]
    nearly = [power for power, regret in zip(POWERS, regrets, strict=True) if regret <= min(regrets) + EQUAL]
    return float(np.median(nearly)), min(regrets)


def power_of_shifts(those: Sequence[Case], size: Callable[[Case], float]) -> float:
    """The power of the rule with the smallest squared distance to how far the best LRs moved."""
    sizes = [size(case) for case in those]
    return sum(a * case.moved for a, case in zip(sizes, those, strict=True)) / sum(a * a for a in sizes)


def noise_scale_of(records: Records, base: SetUp) -> float:
    """The noise scale of a problem as the tuner measures it, the mean of the logarithms over the seeds."""
    scales = [noise[AS_TUNER] for (setup, _), noise in records.noise.items() if setup == base.base]
    return math.exp(mean(math.log(scale) for scale in scales if scale))


def sizes(records: Records, name: str) -> Callable[[Case], float]:
    """The doublings that the power of a rule applies to.

    For the batch those below the noise scale; for the length all, weighted by where the batch lies.
    """

    def of_batch(case: Case) -> float:
        noise, problem = noise_scale_of(records, case.base), PROBLEMS[case.base.problem]
        small, large = (min(problem.batch * setup.batch, noise) for setup in (case.base, case.target))
        return math.log2(large / small)

    def of_updates(case: Case) -> float:
        batch = PROBLEMS[case.base.problem].batch * case.target.batch
        below = math.log2(noise_scale_of(records, case.base) / batch) / DRIFT_SPAN
        return min(max(below, -OPPOSITE_DRIFT), 1.0) * case.log2_ratio("updates")

    return {"batch": of_batch, "updates": of_updates}.get(name, lambda case: case.log2_ratio(name))


def diverged_log2_lrs(records: Records, setup: SetUp) -> list[int]:
    """The LRs at which a run diverged."""
    return [log2_lr for (other, log2_lr, _), points in records.runs.items() if other == setup and points is None]


def has_rules(case: Case) -> bool:
    """Whether learnrate carries it."""
    return all(name in RULES[case.base.optimizer] for name in case.changed)


def scatter(those: Sequence[Case], shift: Shift, name: str) -> float:
    """Root mean square of what the best LRs moved beyond a rule, in doublings, where a number changes by a factor of 4.

    With the ratio it is taken to grow as a random walk of doublings.
    """
    return math.sqrt(mean((case.moved - shift(case)) ** 2 / (abs(case.log2_ratio(name)) / 2) for case in those))


def rule(records: Records) -> Shift:
    """The rules of learnrate."""
    return lambda case: sum(change.log2_factor for change in changes_of(records, case))


def is_within(records: Records, case: Case) -> bool:
    """Whether the best LR lies within the factor by which an interval is widened, of the one that is carried."""
    changed = changes_of(records, case)
    carried = sum(change.log2_factor for change in changed)
    return abs(case.moved - carried) <= math.hypot(*(change.deviation for change in changed))


def changes_of(records: Records, case: Case) -> list[Change]:
    """What the rules of learnrate say of a case."""
    base, target, problem = case.base, case.target, PROBLEMS[case.base.problem]
    tuned = Tuned(
        lr=2.0**case.base_curve.best_log2_lr,
        optimizer=base.optimizer,
        updates=round(UPDATES * base.updates),
        batch=round(problem.batch * base.batch),
        noise_scale=noise_scale_of(records, base),
        diverged_at=2.0 ** min(diverged_log2_lrs(records, base), default=math.inf),
    )
    return list(
        changes(
            tuned,
            batch=round(problem.batch * target.batch),
            width=target.width / base.width,
            depth=target.depth / base.depth,
            updates=round(UPDATES * target.updates),
        )
    )
