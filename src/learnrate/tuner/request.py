"""The arguments of `tune`, checked once: nothing that runs later checks them again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.tuner import budget as budgets
from learnrate.tuner import families
from learnrate.tuner.budget import Budget
from learnrate.tuner.families import Builder, Families
from learnrate.tuner.probe import FEWEST, SHORTEST
from learnrate.tuner.probe import usual as usual_probe
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import start_losses

LOW = 1e-6
HIGH = 100.0
"""LRs among which the search looks: plain SGD on sparse inputs needs LRs above 10."""

SMALLEST_BUDGET = 40
"""Updates: half of them for a probe or a range test, half for trials."""


@dataclass(frozen=True)
class Request:
    """What `tune` was asked for.

    Attributes:
        updates: Length of the training run.
        families: Builders of schedules by name.
        budget: What tuning may cost.
        low: The lowest LR to try.
        high: The highest LR to try.
        start_updates: Updates at a very small LR, which show the loss at the start.
        probe_updates: Most updates of the probe.
        range_test_updates: Length of the range test, if one is needed.
        curve: A range test that was run before; None if there is none.
    """

    updates: int
    families: Mapping[str, Builder]
    budget: Budget
    low: float = LOW
    high: float = HIGH
    start_updates: int = 0
    probe_updates: int = 0
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
            >>> list(request.families), request.budget.updates, request.probe_updates, request.range_test_updates
            (['warmup_cosine'], 500, 100, 50)
        """
        if curve is not None and not isinstance(curve, Curve):
            checks.refuse_type("curve", "a Curve", curve)
        updates = checks.whole("updates", updates, at_least=2, at_most=checks.LONGEST)
        low, high = checks.positive_single("low", low), checks.positive_single("high", high)
        checks.ordered("low", low, "high", high)
        if high < 2 * low:
            checks.refuse("high", f"at least twice low = {low!r}", high, "a narrower range shows nothing")
        builders = families.read(family, updates)
        allowed = budgets.read(budget, updates)
        if curve is not None:
            _require_room_after(curve, allowed.updates)
        elif allowed.updates < SMALLEST_BUDGET:
            raise ArgumentError(
                f"budget must cover at least {SMALLEST_BUDGET} updates (a probe or a range test, and trials), received "
                f"{allowed.updates} updates, of a training of {updates}: give budget='{SMALLEST_BUDGET} updates' or more, "
                "or train for longer"
            )
        _require_room_for(len(builders), allowed.updates, 0 if curve is None else len(curve), updates)
        most = allowed.updates
        lengths = start_length(most), probe_length(most, updates), range_test_length(most)
        return cls(updates, builders, allowed, low, high, *lengths, curve)


def probe_length(budget: int, updates: int) -> int:
    """Updates of the probe: its usual length, or less where that is more than a fifth of the budget.

    A longer run does not need a longer probe: trials follow it, which are more exact than a probe of any length.
    """
    return max(FEWEST, min(usual_probe(updates), budget // 5, max(SHORTEST, budget // 10)))


def start_length(budget: int) -> int:
    """Updates at a very small LR, which show the loss at the start: ten, or fewer if the budget is small."""
    return max(THRESHOLDS.start_losses, min(10, budget // 15))


def range_test_length(budget: int) -> int:
    """Updates of the range test: a tenth of the budget, at least 20 and at most 100."""
    return max(20, min(100, budget // 10))


def trial_length(budget: int, horizon: int, families: int = 1) -> int:
    """Updates of a trial, for a budget and a run of these lengths."""
    trials = THRESHOLDS.trials_in_budget + (families - 1) * THRESHOLDS.trials_of_family
    affordable = min(math.floor(budget / trials), math.floor(THRESHOLDS.longest_trial * horizon))
    return min(max(THRESHOLDS.shortest_trial, affordable), horizon)


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
    shortest = THRESHOLDS.shortest_trial
    if math.floor(THRESHOLDS.longest_trial * horizon) < shortest:
        least = math.ceil(shortest / THRESHOLDS.longest_trial)
        checks.refuse("updates", f"at least {least} if several families are compared", horizon)

    def needed(budget: int) -> int:
        probe = probe_length(budget, horizon)
        before = probe + (given + start_length(budget) if given else range_test_length(budget))
        return before + count * THRESHOLDS.trials_of_family * shortest

    if needed(budget) > budget:
        least = next(more for more in range(budget, 100 * count + budget + given) if needed(more) <= more)
        raise ArgumentError(
            f"budget must cover at least {least} updates to compare {count} families, it covers {budget}: give a larger "
            "share of the training (budget), a longer training (updates), or fewer families"
        )
