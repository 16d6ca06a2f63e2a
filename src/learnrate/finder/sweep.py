"""The settings of a range test, checked before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learnrate import checks
from learnrate.finder.smoothing import Floats
from learnrate.finder.stops import StopFunction, StopRule, watching
from learnrate.schedules import Schedule, exponential, linear
from learnrate.schedules.base import known_length
from learnrate.updates import Progress

LOW = 1e-7
HIGH = 10.0
UPDATES = 100
"""The usual range and length: twelve updates a decade over eight decades."""

MIN_UPDATES = 10
"""A shorter sweep has too few losses to measure their noise."""

MOST_UPDATES = 10_000_000
"""A longer sweep would need gigabytes for its curve."""

Stop = StopRule | StopFunction | Sequence[StopRule | StopFunction] | None
"""What ends a sweep early: a rule, a function, several of them, or nothing but a loss that is not finite."""


@dataclass(frozen=True)
class Sweep:
    """The settings of a range test.

    Attributes:
        lrs: The LR of each update.
        stop: What ends it early.
        time_limit: Seconds after which it ends; None for no limit.
        evaluate_every: Number of updates between two evaluations; None for no evaluation.
        progress: Called after every update.
    """

    lrs: Floats
    stop: Stop
    time_limit: float | None = None
    evaluate_every: int | None = None
    progress: Progress | None = None


def sweep_of(
    low: float | None,
    high: float | None,
    updates: int | None,
    schedule: str | Schedule,
    stop: Stop,
    time_limit: float | None,
    evaluate_every: int | None,
    progress: Progress | None,
) -> Sweep:
    """The arguments of `range_test`, checked.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong kind.
    """
    if isinstance(schedule, Schedule):
        if low is not None or high is not None:
            checks.refuse("schedule", "given without low and high, which it replaces", schedule, "leave out low and high")
        lrs = _lrs_of_schedule(schedule, updates)
    else:
        lrs = _lrs_of_range(low, high, updates, schedule)
    checks.function_or_none("progress", progress, "(updates made, updates planned)")
    if time_limit is not None:
        time_limit = checks.positive("time_limit", time_limit)
    if evaluate_every is not None:
        evaluate_every = checks.whole("evaluate_every", evaluate_every, at_least=1)
    watching(stop, len(lrs))  # refuses what is not a rule
    return Sweep(lrs, stop, time_limit, evaluate_every, progress)


def _lrs_of_range(low: float | None, high: float | None, updates: int | None, shape: str) -> Floats:
    ramp = {"exponential": exponential, "linear": linear}[checks.choice("schedule", shape, ("exponential", "linear"))]
    low = LOW if low is None else low
    # An exponential sweep cannot leave 0; a linear one starts there in the paper.
    low = checks.positive_single("low", low) if shape == "exponential" else checks.rate("low", low)
    high = checks.positive_single("high", HIGH if high is None else high)
    checks.ordered("low", low, "high", high)
    if high < 2 * low:
        checks.refuse("high", f"at least twice low = {low!r}", high, "a narrower range shows nothing")
    length = checks.whole("updates", UPDATES if updates is None else updates, MIN_UPDATES, MOST_UPDATES)
    return np.asarray(ramp(low, high, length - 1)(np.arange(length)), dtype=np.float64)


def _lrs_of_schedule(schedule: Schedule, updates: int | None) -> Floats:
    if updates is None:
        length = known_length(schedule)
        if length is None:
            checks.refuse("schedule", "finite if updates is not given", schedule, "give updates")
        updates = length + 1  # the last update uses the end value, which a finite schedule holds
    updates = checks.whole("updates", updates, MIN_UPDATES, MOST_UPDATES)
    lrs = np.asarray(schedule.resolve(updates)(np.arange(updates)), dtype=np.float64)
    if not (lrs[0] >= 0 and np.all(lrs[1:] > 0) and np.all(np.diff(lrs) >= 0) and lrs[-1] >= 2 * lrs[0]):
        rule = "above 0 after its first update, never falling, and at its end at least twice its start"
        checks.refuse("schedule", rule, schedule)
    checks.positive_single("the end of schedule", float(lrs[-1]))
    return lrs
