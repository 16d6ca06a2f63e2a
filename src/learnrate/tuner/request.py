"""The arguments of `tune`, checked once: nothing that runs later checks them again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.finder.smoothing import Floats
from learnrate.tuner import budget as budgets
from learnrate.tuner import families
from learnrate.tuner.budget import Budget
from learnrate.tuner.families import Builder, Families
from learnrate.tuner.search import coarse_length
from learnrate.tuner.thresholds import THRESHOLDS

LOW, HIGH = 1e-6, 100.0
"""LRs of the range test: it only shows where trials should begin, and plain SGD on sparse inputs needs LRs above 10."""

SMALLEST_BUDGET = 40
"""Updates: half of them for a range test, half for trials."""


@dataclass(frozen=True)
class Request:
    """What `tune` was asked for.

    Attributes:
        updates: Length of the training run.
        families: Builders of schedules by name.
        budget: What tuning may cost.
        low: First LR of the range test.
        high: Last LR of the range test.
        range_test_updates: Length of the range test; 0 if there is a curve.
        curve: A range test that was run before; None if there is none.
    """

    updates: int
    families: Mapping[str, Builder]
    budget: Budget
    low: float = LOW
    high: float = HIGH
    range_test_updates: int = 0
    curve: Curve | None = None

    @classmethod
    def of(
        cls,
        *,
        updates: int,
        family: Families | None = None,
        budget: float | str | None = None,
        low: float = LOW,
        high: float = HIGH,
        curve: Curve | None = None,
    ) -> "Request":
        """Check the arguments of `tune`; see there.

        Raises:
            ArgumentError: if a number breaks its rule, a name is unknown, or the budget is too small.
            ArgumentTypeError: if an argument is of the wrong type.

        Example:
            >>> request = Request.of(updates=1000, budget="50%")
            >>> list(request.families), request.budget.updates, request.range_test_updates
            (['warmup_cosine'], 500, 40)
        """
        if curve is not None and not isinstance(curve, Curve):
            checks.refuse_type("curve", "a Curve", curve)
        updates = checks.whole("updates", updates, at_least=2, at_most=checks.LONGEST)
        low, high = checks.positive_single("low", low), checks.positive_single("high", high)
        checks.ordered("low", low, "high", high)
        builders = families.read(family, updates)
        allowed = budgets.read(budget, updates)
        if curve is None:
            length = range_test_length(allowed.updates)
        else:
            length = 0
            _require_room_after(curve, allowed.updates)
        _require_room_for(len(builders), allowed.updates, 0 if curve is None else len(curve), updates)
        return cls(updates, builders, allowed, low, high, length, curve)


def range_test_length(budget: int) -> int:
    """Updates of the range test: 100 if that is at most a tenth of the budget, fewer if the budget is small.

    Raises:
        ArgumentError: if the budget does not cover a range test and trials.
    """
    if budget < SMALLEST_BUDGET:
        raise ArgumentError(
            f"budget must cover at least {SMALLEST_BUDGET} updates (a range test and trials), received {budget} updates: "
            "give a longer training (updates) or a larger share of it (budget)"
        )
    return 100 if budget >= 1000 else 60 if budget >= 600 else max(20, min(40, budget // 5))


def start_losses(curve: Curve) -> Floats:
    """The losses of a range test at its first, very small LRs: those of the model before any training."""
    return curve.losses[: max(THRESHOLDS.start_losses, len(curve) // 4)]


def _require_room_after(curve: Curve, budget: int) -> None:
    """Refuse a curve whose updates leave no budget for trials, or whose losses do not show the start."""
    least = SMALLEST_BUDGET // 2
    if budget - len(curve) < least:
        raise ArgumentError(
            f"budget must cover the {len(curve)} updates of curve and at least {least} for trials, received {budget} "
            "updates: give a larger share of the training (budget), or a shorter curve"
        )
    finite = int(np.isfinite(start_losses(curve)).sum())
    if finite < THRESHOLDS.finite_losses:
        raise ArgumentError(
            f"curve must have {THRESHOLDS.finite_losses} finite losses among its first updates, received {finite}: "
            "run the range test again"
        )


def _require_room_for(count: int, budget: int, given: int, horizon: int) -> None:
    """Refuse, before anything is trained, more families than the budget or the run has room for.

    Args:
        count: Number of families.
        budget: Updates.
        given: Updates of a curve that was run before; 0 if there is none.
        horizon: Length of the run.
    """
    if count == 1:
        return
    shortest = THRESHOLDS.shortest_trial + 1  # their length must differ from that of the coarse trials
    if math.floor(THRESHOLDS.longest_trial * horizon) < shortest:
        least = math.ceil(shortest / THRESHOLDS.longest_trial)
        checks.refuse("updates", f"at least {least} if several families are compared", horizon)

    def needed(budget: int) -> int:
        coarse = 3 * max(THRESHOLDS.shortest_trial, coarse_length(budget, horizon))
        return (given or range_test_length(budget)) + coarse + count * THRESHOLDS.refinement_trials * shortest

    if needed(budget) > budget:
        least = next(more for more in range(budget, 100 * count + budget + given) if needed(more) <= more)
        raise ArgumentError(
            f"budget must cover at least {least} updates to compare {count} families, it covers {budget}: give a larger "
            "share of the training (budget), a longer training (updates), or fewer families"
        )
