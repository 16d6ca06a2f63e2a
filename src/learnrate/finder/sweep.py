"""The range test: a short run in which the LR rises update by update while the loss is recorded."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentTypeError
from learnrate.finder.curve import Curve
from learnrate.finder.recording import Evaluate, Host, Progress, Step, Sweep, record, scalars
from learnrate.finder.smoothing import Floats
from learnrate.finder.stops import Own, Stop, diverged, watching
from learnrate.schedules import Schedule, exponential, linear
from learnrate.schedules.base import known_length

LOW, HIGH, UPDATES = 1e-7, 10.0, 100
"""The usual range and length: twelve updates a decade over eight decades."""

MIN_UPDATES = 10
"""A shorter sweep leaves no noise to measure the loss against."""


def range_test(
    step: Step,
    *,
    low: float | None = None,
    high: float | None = None,
    updates: int | None = None,
    schedule: Literal["exponential", "linear"] | Schedule = "exponential",
    stop: Stop | Own | Sequence[Stop | Own] | None = diverged(),  # noqa: B008 - frozen and without state
    time_limit: float | None = None,
    evaluate: Evaluate | None = None,
    evaluate_every: int = 1,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test with any training loop.

    The LR of update i is low ** (1 - p) * high ** p with p = i / (updates - 1), the exponential form that fastai's `lr_find`
    made usual; or low + (high - low) * p with `schedule="linear"`, the test as Smith published it (arXiv 1506.01186, section
    3.3); or any schedule that does not fall.

    The sweep ends early when the loss is no longer finite, when a stop rule says so (by default when the loss diverges: see
    `learnrate.stops`), when the time is over, and at Ctrl-C. Each time the curve so far is returned and its notes say so.

    What `step` changes is not restored here; `learnrate.torch.range_test` does that too.

    Args:
        step: Makes one update at the LR given and returns the loss that it saw, or a mapping with the key "loss" and further
            metrics. A number, or an array or tensor with one element.
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update, at least twice `low`; 10 by default.
        updates: Length of the sweep in updates, at least 10; 100 by default.
        schedule: "exponential", "linear", or a schedule, which takes the place of `low` and `high`, and of `updates` if
            it has a length.
        stop: A rule of `learnrate.stops`, a function (lrs, losses so far) -> reason (str) or True or None, several of them,
            or None. A loss that is not finite always ends the sweep.
        time_limit: Seconds.
        evaluate: Measures what a loss does not tell, the accuracy on held-out data say: returns a number (recorded as
            "score") or a mapping of names to numbers.
        evaluate_every: Updates between two evaluations; in between the metric is NaN.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The curve; its notes say where and why the sweep ended early.

    Raises:
        ArgumentError: if an LR is not above 0 and finite, the LRs are swapped, the schedule falls, `updates` is below 10.
        ArgumentTypeError: if an argument is of the wrong kind.
        LossError: if `step` returns no scalar, or a loss that is not finite at the very first update.
        KeyboardInterrupt: at Ctrl-C before the first update was made.

    Example:
        >>> weight = 1.0
        >>> def step(lr):
        ...     global weight
        ...     loss = weight**2
        ...     weight -= lr * 2 * weight
        ...     return loss
        >>> curve = range_test(step)
        >>> len(curve) < 100, curve.notes
        (True, ('the loss diverged at LR 8.3, update 98 of 100',))
    """
    if not callable(step):
        raise ArgumentTypeError(f"step must be a function from an LR to a loss, received {step!r}")
    plan = planned(low, high, updates, schedule, stop, time_limit, evaluate, evaluate_every, progress)
    return record(step, plan, Host(lambda values, lrs: [scalars(*pair) for pair in zip(values, lrs, strict=True)]), progress)


def planned(
    low: float | None,
    high: float | None,
    updates: int | None,
    schedule: str | Schedule,
    stop: Stop | Own | Sequence[Stop | Own] | None,
    time_limit: float | None,
    evaluate: Evaluate | None,
    evaluate_every: int,
    progress: Progress | None,
) -> Sweep:
    """The arguments of a range test, checked.

    Raises:
        ArgumentError: if one breaks its rule.
        ArgumentTypeError: if one is of the wrong kind.
    """
    if isinstance(schedule, Schedule):
        if low is not None or high is not None:
            checks.refuse("schedule", "without low and high, which it takes the place of", schedule, "leave them away")
        lrs = _of_schedule(schedule, updates)
    else:
        shape = {"exponential": exponential, "linear": linear}[
            checks.choice("schedule", schedule, ("exponential", "linear"))
        ]
        low = checks.positive("low", LOW if low is None else low)
        high = checks.positive("high", HIGH if high is None else high)
        checks.ordered("low", low, "high", high)
        if high < 2 * low:
            checks.refuse("high", f"at least twice low = {low!r}", high, "a narrower range shows nothing")
        length = checks.whole("updates", UPDATES if updates is None else updates, at_least=MIN_UPDATES)
        lrs = np.asarray(shape(low, high, length - 1)(np.arange(length)), dtype=np.float64)
    if progress is not None and not callable(progress):
        raise ArgumentTypeError(f"progress must be a function (updates made, updates planned), received {progress!r}")
    if time_limit is not None:
        time_limit = checks.positive("time_limit", time_limit)
    if evaluate is not None and not callable(evaluate):
        raise ArgumentTypeError(f"evaluate must be a function that returns a number, received {evaluate!r}")
    every = checks.whole("evaluate_every", evaluate_every, at_least=1)
    watching(stop, len(lrs))  # refuses what is no rule now, not in mid-sweep
    return Sweep(lrs, stop, time_limit, evaluate, every)


def _of_schedule(schedule: Schedule, updates: int | None) -> Floats:
    if updates is None:
        length = known_length(schedule)
        if length is None:
            checks.refuse("schedule", "finite where updates is not given", schedule, "give updates")
        updates = length + 1  # the last update has the end value, which a finite schedule holds
    updates = checks.whole("updates", updates, at_least=MIN_UPDATES)
    lrs = np.asarray(schedule.resolve(updates)(np.arange(updates)), dtype=np.float64)
    if not (np.all(lrs > 0) and np.all(np.diff(lrs) >= 0) and lrs[-1] >= 2 * lrs[0]):
        checks.refuse("schedule", "above 0, never falling, and twice as high at the end as at the start", schedule)
    return lrs
