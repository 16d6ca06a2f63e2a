"""How many times shorter the times of one arm to a target are than those of another, with censored trainings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learnrate import checks
from learnrate.amounts import plural
from learnrate.errors import ArgumentError
from learnrate.study.statistics import paired
from learnrate.study.statistics.survival import Bounds, median_interval
from learnrate.study.statistics.times import TimeToTarget, Unit

LARGEST_EXPONENT = 700.0
"""The largest float is exp(709.8)."""


@dataclass(frozen=True)
class Speedup:
    """How many times fewer updates, or seconds, one arm needs to reach a target than another.

    Attributes:
        first: Name of the arm that is asked about.
        second: Name of the arm that it is compared with.
        pairs: Number of seeds.
        censored: Number of seeds with which at least one of the two did not reach the target.
        ratio: Time of the second over time of the first. If all have reached the target, both ends are the geometric mean
            over the seeds. Otherwise they are the bounds of the median ratio.
        interval: For the ratio; (0, inf) where nothing is known.
        coverage: Least probability that the interval contains the true ratio.
        level: Coverage that was wanted.
        unit: "updates" or "seconds".
    """

    first: str
    second: str
    pairs: int
    censored: int
    ratio: Bounds
    interval: Bounds
    coverage: float
    level: float = 0.95
    unit: Unit = "updates"

    @property
    def sure(self) -> bool:
        """Whether the interval excludes a ratio of 1 and has the coverage that was wanted."""
        low, high = self.interval
        return self.coverage >= self.level and not low <= 1 <= high

    def describe(self) -> str:
        """The ratio in one sentence."""
        low, high = self.ratio
        missed = f"; with {self.censored} of them a training did not reach the target" if self.censored else ""
        over = f"{plural(self.pairs, 'seed')}{missed}"
        if math.isinf(low) or high == 0:
            reached, diverged = (self.first, self.second) if high > 0 else (self.second, self.first)
            evidence = f"({over}{self._shown()})"
            return f"with the median seed {diverged} diverged before the target, and {reached} reached it {evidence}"
        if low == high == 1:
            times = "as many"
        elif low > 1:
            times = f"{'' if low == high else 'at least '}{low:.3g} times fewer"
        elif high < 1:
            times = f"{'' if low == high else 'at least '}{1 / high:.3g} times more"
        else:
            return (
                f"the ratio of the {self.unit} of {self.second} to those of {self.first} is {_between(low, high)} ({over})"
            )
        than = "as" if times == "as many" else "than"
        return f"{self.first} needs {times} {self.unit} {than} {self.second} ({over}{self._shown()})"

    def _shown(self) -> str:
        low, high = self.interval
        if low == 0 and math.isinf(high):
            return ""
        level = math.floor(1000 * self.coverage + 1e-9) / 10
        return f"; {level:g} % interval of the ratio: {low:.3g} to {'no upper end' if math.isinf(high) else f'{high:.3g}'}"

    def __str__(self) -> str:
        return self.describe()


def speedup(
    first: Sequence[TimeToTarget],
    second: Sequence[TimeToTarget],
    *,
    names: tuple[str, str] = ("first", "second"),
    unit: Unit = "updates",
    level: float = 0.95,
) -> Speedup:
    """How many times fewer updates the first arm needs than the second, seed by seed.

    If every training has reached the target, it is the geometric mean of the ratios, with the t interval of their
    logarithms, or, if they are all equal because the checkpoints are coarse, the interval of the median. Otherwise each
    ratio is known between two bounds: a first arm that needed 1,000 updates, where the second had not reached the target
    after 5,000, is at least 5 times faster. Then it is the median of the ratios, between the median of the lower bounds
    and that of the upper bounds, and its interval lies between order statistics of these bounds.
    The trainings of the two arms may have been planned with different lengths.

    Args:
        first: Times of the arm that is asked about, one a seed.
        second: Times of the other arm with the same seeds, in the same order.
        names: Their names.
        unit: "updates" or "seconds".
        level: Coverage that is wanted. With censored trainings and fewer than six seeds 95 % cannot be reached.

    Returns:
        The ratio and its interval.

    Raises:
        ArgumentError: if the numbers of times differ or are 0, or an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> ours = [TimeToTarget(True, 1000), TimeToTarget(True, 1200), TimeToTarget(True, 800)]
        >>> theirs = [TimeToTarget(True, 3000), TimeToTarget(False, 5000), TimeToTarget(False, 5000)]
        >>> compared = speedup(ours, theirs, names=("triangular2", "fixed"))
        >>> compared.ratio, compared.interval, compared.coverage
        ((4.17, inf), (3.0, inf), 0.75)
    """
    is_time = checks.several(checks.instance(TimeToTarget, "a TimeToTarget"), "TimeToTarget")
    ours, theirs = is_time("first", first), is_time("second", second)
    if len(ours) != len(theirs) or not ours:
        raise ArgumentError(f"first and second must be times with the same seeds, received {len(ours)} and {len(theirs)}")
    level = checks.fraction("level", level)
    pair = checks.several(checks.text)("names", names)
    if len(pair) != 2 or pair[0] == pair[1]:
        checks.refuse("names", "two different names", names)
    if any(time.reached and time.bounds(unit)[0] <= 0 for time in (*ours, *theirs)):
        raise ArgumentError(f"the {unit} to the target must be above 0, received 0: there is no ratio of them")
    bounds = [_ratio(ours.bounds(unit), theirs.bounds(unit)) for ours, theirs in zip(ours, theirs, strict=True)]
    censored = sum(not (a.reached and b.reached) for a, b in zip(ours, theirs, strict=True))
    if censored:
        interval, coverage = median_interval(bounds, level)
        return Speedup(*pair, len(bounds), censored, _median_bounds(bounds), interval, coverage, level, unit)
    logarithms = [math.log(low) for low, _ in bounds]
    ends = paired.difference(logarithms, [0.0] * len(logarithms), level=level).interval
    mean = math.exp(float(np.mean(logarithms)))
    low, high = (math.inf if end > LARGEST_EXPONENT else math.exp(end) for end in ends)
    coverage = level
    if math.isinf(ends[0]):  # no spread: the checkpoints are coarse, or there is a single seed
        (low, high), coverage = median_interval(bounds, level)
    return Speedup(*pair, len(bounds), 0, (mean, mean), (low, high), coverage, level, unit)


def _between(low: float, high: float) -> str:
    """Bounds of a ratio, from 0 to infinity, in words."""
    if low == 0:
        return "not known" if math.isinf(high) else f"at most {high:.3g}"
    return f"at least {low:.3g}" if math.isinf(high) else f"between {low:.3g} and {high:.3g}"


def _ratio(ours: Bounds, theirs: Bounds) -> Bounds:
    """Between which numbers their time over our time lies."""
    if math.isinf(ours[0]) and math.isinf(theirs[1]):
        return 0.0, math.inf  # we never reach it, and they may not either
    low = 0.0 if math.isinf(ours[1]) else theirs[0] / ours[1]
    return low, math.inf if ours[0] == 0 else theirs[1] / ours[0]


def _median_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """Bounds of the median of the ratios. Of an even number it is the geometric mean of the two in the middle."""
    lows, highs = sorted(low for low, _ in bounds), sorted(high for _, high in bounds)
    (low, next_low), (high, next_high) = ((ends[(len(ends) - 1) // 2], ends[len(ends) // 2]) for ends in (lows, highs))
    return (
        math.sqrt(low) * math.sqrt(next_low) if low > 0 and math.isfinite(next_low) else low,
        math.sqrt(high) * math.sqrt(next_high) if high > 0 and math.isfinite(next_high) else next_high,
    )
