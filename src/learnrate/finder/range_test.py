"""The LR range test: a short training in which the LR rises from update to update while the loss is recorded."""

from collections.abc import Callable
from typing import Any, Literal

from learnrate import checks
from learnrate.errors import ArgumentTypeError
from learnrate.finder.curve import Curve
from learnrate.finder.recording import record
from learnrate.finder.stops import diverged
from learnrate.finder.sweep import Stop, sweep_of
from learnrate.interrupts import within
from learnrate.schedules import Schedule
from learnrate.trainable import Step, Trainable, require_trainable, restored
from learnrate.updates import Progress


def range_test(
    trainable: Trainable | Callable[[float], Any],
    *,
    low: float | None = None,
    high: float | None = None,
    updates: int | None = None,
    schedule: Literal["exponential", "linear"] | Schedule = "exponential",
    stop: Stop = diverged(),  # noqa: B008 - frozen and without state
    time_limit: float | None = None,
    evaluate_every: int | None = None,
    restore: bool = True,
    progress: Progress | None = None,
) -> Curve:
    """Run an LR range test of any training.

    The LR of update i is low ** (1 - p) * high ** p with p = i / (updates - 1), the exponential form that fastai's `lr_find`
    made usual; or low + (high - low) * p with `schedule="linear"`, the test as Smith published it (arXiv 1506.01186, section
    3.3); or any schedule that does not fall.

    A loss that is not finite is put down to its batch if the loss was not rising before it and the next one is finite: the
    sweep goes on, the curve keeps the loss, which rules leave out, and a note names the update. Otherwise it ends the sweep.

    The sweep also ends early when a stop rule says so (by default when the loss diverges: see
    `learnrate.stops`), when the time is over, and at Ctrl-C. In each case the curve so far is returned, and its notes say
    why.

    Args:
        trainable: A `learnrate.Trainable`, which is restored at the end; or a function that makes one update at the LR given
            and returns the loss that the update saw, or a mapping with the key "loss" and further metrics. What a function
            changes is not restored.
        low: LR of the first update, above 0; 1e-7 by default.
        high: LR of the last update, at least twice `low`; 10 by default.
        updates: Length of the sweep in updates, at least 10; 100 by default.
        schedule: "exponential", "linear", or a schedule, which replaces `low` and `high`, and `updates` if it has a length.
        stop: A rule of `learnrate.stops`, a function (lrs, losses so far) -> reason (str) or True or None, several of them,
            or None. They receive finite losses only.
        time_limit: Seconds.
        evaluate_every: Number of updates between two calls of `trainable.evaluate`, whose numbers become metrics of the
            curve (a plain number becomes "score"), NaN in between. None for no evaluation.
        restore: False leaves the trainable as the sweep left it.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The curve; its notes say where and why the sweep ended early.

    Raises:
        ArgumentError: if an LR is not above 0 and finite, the LRs are swapped, the schedule falls, `updates` is below 10.
        ArgumentTypeError: if an argument is of the wrong kind.
        LossError: if an update returns no scalar, or no loss is finite at the first updates.
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
    trainable = _trainable_of(trainable, evaluate_every)
    sweep = sweep_of(low, high, updates, schedule, stop, time_limit, evaluate_every, progress)
    checks.flag("restore", restore)
    if not restore or isinstance(trainable, Step):
        return record(trainable, sweep)
    return within(restored(trainable), lambda _: record(trainable, sweep))


def _trainable_of(trainable: object, evaluate_every: int | None) -> Trainable:
    """A function as a `Trainable`, and what is one as it is."""
    if isinstance(trainable, type) or hasattr(trainable, "update"):
        require_trainable("trainable", trainable)
        return trainable  # type: ignore[return-value]
    if not callable(trainable):
        checks.refuse_type("trainable", "a learnrate.Trainable, or a function from an LR to a loss", trainable)
    if evaluate_every is not None:
        raise ArgumentTypeError(
            "evaluate_every must be None for a function, which has no evaluation: give a learnrate.Trainable with "
            "evaluate(), or return the metric beside the loss"
        )
    return Step(trainable)
