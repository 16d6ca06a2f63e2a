"""The median of times of which some are censored, because the training did not reach the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.study.statistics.times import TimeToTarget, Unit

Bounds = tuple[float, float]


@dataclass(frozen=True)
class MedianTime:
    """The median time to reach a target, over the trainings of one arm.

    Attributes:
        runs: Number of trainings.
        reached: Number of those that reached the target.
        median: By Kaplan and Meier; infinite if fewer than half have reached it.
        interval: For the median; (0, inf) where nothing is known.
        coverage: Least probability that the interval contains the true median. With fewer than six runs no interval
            reaches 95 %; then the interval is the whole range of the times, with its coverage here.
        unit: "updates" or "seconds".
    """

    runs: int
    reached: int
    median: float
    interval: Bounds
    coverage: float
    unit: Unit = "updates"

    def describe(self) -> str:
        """The median in one sentence."""
        count = f"reached by {self.reached} of {self.runs} runs"
        if math.isinf(self.median):
            return f"{count}, too few for a median{self._shown()}"
        return f"{count}, in a median of {self.median:,.6g} {self.unit}{self._shown()}"

    def _shown(self) -> str:
        low, high = self.interval
        if math.isinf(high) and (low == 0 or math.isinf(low)):
            return ""
        level = math.floor(1000 * self.coverage + 1e-9) / 10  # never more than it is
        upper = "no upper end" if math.isinf(high) else f"{high:,.6g}"
        return f" ({level:g} % interval: {low:,.6g} to {upper})"

    def __str__(self) -> str:
        return self.describe()


def median_time(times: Sequence[TimeToTarget], unit: Unit = "updates", level: float = 0.95) -> MedianTime:
    """The median time to reach a target, with trainings that did not reach it.

    The median is the first time at which the Kaplan-Meier estimate of the share that has not reached the target yet is at
    most one half. The interval lies between two order statistics, and its coverage is a binomial probability for any number
    of runs and any distribution; the usual intervals (Brookmeyer and Crowley) use a normal approximation, which needs more
    than five runs. The lower end assumes that every censored run reached the target when it ended, the upper end that it
    never does, so that the interval also holds if runs of one arm have different lengths.

    Args:
        times: One for each training.
        unit: "updates" or "seconds".
        level: Coverage that is wanted, for example 0.95.

    Returns:
        The median and its interval.

    Raises:
        ArgumentError: if there is no time, or an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Sources: Kaplan and Meier, Nonparametric estimation from incomplete observations, Journal of the American Statistical
    Association 53 (1958); David and Nagaraja, Order Statistics (2003), 7.1, for the interval.

    Example:
        >>> runs = [TimeToTarget(True, 400), TimeToTarget(True, 500), TimeToTarget(False, 1000)]
        >>> print(median_time(runs))
        reached by 2 of 3 runs, in a median of 500 updates (75 % interval: 400 to no upper end)
    """
    level = checks.fraction("level", level)
    checked = checks.several(checks.instance(TimeToTarget, "a TimeToTarget"), "TimeToTarget")("times", times)
    if not checked:
        raise ArgumentError("times must be at least one, received none")
    bounds = [time.bounds(unit) for time in checked]
    interval, coverage = median_interval(bounds, level)
    reached = sum(time.reached for time in checked)
    return MedianTime(len(checked), reached, _kaplan_meier_median(bounds), interval, coverage, unit)


def shares_reached(bounds: Sequence[Bounds]) -> list[tuple[float, float]]:
    """The estimated share of trainings that has reached the target, at each time at which it rises (Kaplan and Meier).

    Args:
        bounds: Between which numbers the time of each training lies: two equal ones if it has reached the target.
    """
    shares, remaining = [], 1.0
    for time in sorted({low for low, high in bounds if low == high and math.isfinite(low)}):
        at_risk = sum(low >= time for low, _ in bounds)  # one that is censored at this time is still at risk in it
        reached = sum(low == high == time for low, high in bounds)
        remaining *= 1 - reached / at_risk
        shares.append((time, 1 - remaining))
    return shares


def _kaplan_meier_median(bounds: Sequence[Bounds]) -> float:
    """The first time at which the estimated share that has reached the target is at least one half."""
    # Products of rounded factors may give a little less than an exact half.
    return next((time for time, share in shares_reached(bounds) if share >= 0.5 - 1e-12), math.inf)


def median_interval(bounds: Sequence[Bounds], level: float) -> tuple[Bounds, float]:
    """The narrowest interval between order statistics that reaches the level, or the widest; and its coverage."""
    lows, highs = sorted(low for low, _ in bounds), sorted(high for _, high in bounds)
    n = len(bounds)
    if n == 1:
        return (0.0, math.inf), 1.0
    rank, outside = 1, 2 / 2**n
    while rank < n // 2:
        wider = outside + 2 * math.comb(n, rank) / 2**n
        if 1 - wider < level:
            break
        rank, outside = rank + 1, wider
    return (lows[rank - 1], highs[n - rank]), 1 - outside
