"""The arms of a comparison in their order, each beside the one with the best mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnrate.study.statistics.difference import Difference

if TYPE_CHECKING:
    from learnrate.study.comparison import Comparison
    from learnrate.study.outcome import Outcome


@dataclass(frozen=True)
class Row:
    """An arm beside the one with the best mean, which has no difference.

    Attributes:
        arm: The arm.
        difference: Between the two, in the order of the comparison; None for the best arm itself.
        mean: Of this arm minus the best.
        interval: For it; infinite where nothing is known.
        probability: That the best arm is better than this one.
    """

    arm: Outcome
    difference: Difference | None = None
    mean: float = 0.0
    interval: tuple[float, float] = (-math.inf, math.inf)
    probability: float = math.nan


def ranked(comparison: Comparison) -> tuple[Row, ...]:
    """The arms with trainings, the best mean first. Which of several equal ones comes first is their order."""
    arms = comparison.ranking()
    if not arms:
        return ()
    leader = arms[0].name
    between = {frozenset((pair.first, pair.second)): pair for pair in comparison.differences()}
    return (Row(arms[0]), *(_row(arm, between[frozenset((leader, arm.name))]) for arm in arms[1:]))


def _row(arm: Outcome, difference: Difference) -> Row:
    low, high = difference.interval
    if difference.first == arm.name:
        return Row(arm, difference, difference.mean, (low, high), 1 - difference.probability)
    return Row(arm, difference, -difference.mean, (-high, -low), difference.probability)
