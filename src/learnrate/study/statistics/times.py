"""Updates, and seconds, until a metric reaches a target; a training that does not reach it is a censored observation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError

Unit = Literal["updates", "seconds"]


@dataclass(frozen=True)
class TimeToTarget:
    """When one training reached a target.

    Attributes:
        reached: Whether it did.
        updates: Updates at the first checkpoint at which the target was reached. If none: at the last checkpoint, or
            infinity if the training has diverged, because then it never reaches the target.
        seconds: The same in seconds; None if they were not measured.
        not_at: The checkpoint before that, in updates, at which the target was not reached; 0 if there is none.
    """

    reached: bool
    updates: float
    seconds: float | None = None
    not_at: int = 0

    def describe(self) -> str:
        """The time in one sentence."""
        if self.reached:
            seconds = "" if self.seconds is None else f", {self.seconds:,.3g} seconds"
            return f"reached at {self.updates:,.0f} updates{seconds} (not yet at {self.not_at:,})"
        if math.isinf(self.updates):
            return f"never reached: diverged after {self.not_at:,} updates"
        return f"not reached by {self.updates:,.0f} updates"

    def __str__(self) -> str:
        return self.describe()

    def bounds(self, unit: Unit = "updates") -> tuple[float, float]:
        """The bounds of the time: equal if the target was reached.

        Args:
            unit: "updates" or "seconds".

        Returns:
            The lowest and the highest time that is possible.

        Raises:
            ArgumentError: if the unit is another word, or seconds were not measured.

        Example:
            >>> TimeToTarget(True, 400).bounds(), TimeToTarget(False, 1000).bounds()
            ((400.0, 400.0), (1000.0, inf))
        """
        checks.choice("unit", unit, ("updates", "seconds"))
        time = self.updates if unit == "updates" else self.seconds
        if time is None:
            raise ArgumentError("unit must be 'updates' if no seconds were measured, received 'seconds'")
        return float(time), float(time) if self.reached else math.inf


def time_to_target(
    checkpoints: Sequence[int],
    scores: Sequence[float],
    target: float,
    *,
    seconds: Sequence[float] | None = None,
    higher_is_better: bool = True,
    diverged: bool = False,
) -> TimeToTarget:
    """When one training reached a target, at its first checkpoint as good as the target.

    Args:
        checkpoints: Updates made before each measurement, in ascending order.
        scores: The metric measured there. One that is not finite has not reached anything.
        target: The metric to reach.
        seconds: Seconds since the start of the training at each checkpoint.
        higher_is_better: False for losses.
        diverged: Whether the training ended early because its loss was not finite. It is then known never to reach the
            target, while a training that ends as planned might have if it had been longer.

    Returns:
        The time, or how long the training went without success.

    Raises:
        ArgumentError: if there is no checkpoint, the sequences do not fit together, the target is not finite, or it is
            reached before the first update.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> print(time_to_target([100, 200, 300], [0.5, 0.7, 0.8], target=0.7))
        reached at 200 updates (not yet at 100)
        >>> print(time_to_target([100, 200, 300], [0.5, 0.7, 0.8], target=0.9))
        not reached by 300 updates
    """
    target = checks.finite("target", target)
    for name, value in (("higher_is_better", higher_is_better), ("diverged", diverged)):
        checks.flag(name, value)
    counts = [
        checks.whole(f"checkpoints[{index}]", count, at_least=0)
        for index, count in enumerate(checks.several(lambda _, count: count, "integers")("checkpoints", checkpoints))
    ]
    measured = checks.several(checks.number, "numbers")("scores", scores)
    clock = None if seconds is None else checks.several(_duration, "numbers")("seconds", seconds)
    for name, values in (("scores", measured), ("seconds", clock)):
        if values is not None and len(values) != len(counts):
            raise ArgumentError(f"{name} must be one for each of the {len(counts)} checkpoints, received {len(values)}")
    if not counts:
        raise ArgumentError("checkpoints must be at least one, received none: evaluate during the training")
    for name, series in (("checkpoints", counts), ("seconds", clock or ())):
        if any(later < earlier for earlier, later in pairwise(series)):
            raise ArgumentError(f"{name} must be in ascending order, received {checks.shown(series)}")
    for index, score in enumerate(measured):
        if math.isfinite(score) and (score >= target if higher_is_better else score <= target):
            if counts[index] == 0:
                checks.refuse(
                    "target", "worse than nothing before the first update", target, "choose one that is harder to reach"
                )
            return TimeToTarget(True, counts[index], clock[index] if clock else None, counts[index - 1] if index else 0)
    if diverged:
        return TimeToTarget(False, math.inf, math.inf if clock else None, counts[-1])
    return TimeToTarget(False, counts[-1], clock[-1] if clock else None, counts[-1])


def _duration(name: str, value: object) -> float:
    checked = checks.finite(name, value)
    if checked < 0:
        checks.refuse(name, "at least 0", value, "count them from the start of the training")
    return checked


def target_score(target: float | str, final_scores: Mapping[str, Sequence[float]]) -> float:
    """The target as a number: itself, or the mean final score of an arm.

    About half of the trainings of that arm end below its mean. Their times are censored at the length of the training,
    unless an earlier evaluation reached it.

    Args:
        target: A number, or the name of an arm.
        final_scores: The score at the end of every training, by arm.

    Returns:
        The number.

    Raises:
        ArgumentError: if no arm has the name, or its mean is not finite.
        ArgumentTypeError: if the target is neither a number nor a text.

    Example:
        >>> target_score("fixed", {"fixed": [0.8, 0.82], "triangular2": [0.81, 0.83]})
        0.81
    """
    if not isinstance(target, str):
        return checks.finite("target", target)
    checks.instance(Mapping, "a mapping from the names of arms to scores")("final_scores", final_scores)
    if target not in final_scores:
        checks.refuse("target", "a number or one of " + ", ".join(map(repr, final_scores)), target)
    scores = checks.several(checks.number, "numbers")(f"final_scores[{target!r}]", final_scores[target])
    mean = float(np.mean(scores)) if scores else math.nan
    if not math.isfinite(mean):
        checks.refuse("target", "an arm whose final scores are all finite", target, "give a number instead")
    return mean
