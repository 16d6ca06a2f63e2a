"""tune(): range test, trials, plan."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from learnrate import checks
from learnrate.finder import Bounds, Curve, NoAnswer, range_test
from learnrate.finder.levels import difference_noise
from learnrate.interrupts import within
from learnrate.trainable import Trainable, first_finite, require_trainable, restored, scores, updates_per_epoch
from learnrate.tuner.budget import Spending
from learnrate.tuner.choice import Candidate, choose
from learnrate.tuner.families import Families, Family, Run, bind
from learnrate.tuner.no_answer import require_finite, require_learned, require_level, require_refined, require_sound
from learnrate.tuner.plan import Plan
from learnrate.tuner.request import HIGH, LOW, Request, start_losses
from learnrate.tuner.runner import Runner
from learnrate.tuner.search import (
    Limits,
    coarse_length,
    next_coarse,
    next_refinement,
    refinement_length,
    search_range,
)
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Start

Progress = Callable[[str, int, int], None]
"""Called with ("range test" or "trials", updates made, updates planned)."""

OnCurve = Callable[[Curve, Bounds | NoAnswer], object]
"""Called with a range test and its bounds."""

RANGE_TEST_TIME = 1 / 4
"""Share of a time budget after which the range test ends."""


def tune(
    trainable: Trainable,
    *,
    updates: int,
    family: Families | None = None,
    budget: float | str | None = None,
    low: float = LOW,
    high: float = HIGH,
    curve: Curve | None = None,
    progress: Progress | None = None,
    on_curve: OnCurve | None = None,
) -> Plan:
    """Choose a schedule for a training run: a range test, trials at a few LRs, a plan.

    The range test shows where to look. Short trials, a factor of four apart in LR, locate the best LR roughly (the coarse
    search); four or more longer trials, about a factor of two apart, locate it more exactly (the refinement). From these
    trials to the whole run the best LR is assumed to drift by `trainable.traits.lr_drift`. All trials start from the same
    state and see the same data, and use the schedule of the whole run, shortened to their length. docs/choice.md reports how
    well this chooses on real tasks, and what it costs.

    Args:
        trainable: What is trained; afterwards it is in the same state as before.
        updates: Length of the whole training run in updates (optimizer steps).
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2" (whole cycles between bounds; half a cycle has 2 to 10 epochs), or a function from a max_lr to a
            schedule. Several names, or functions by name, are compared, each at its own best LR.
        budget: What tuning may cost: a share of one training run, or a text such as "500 updates", "25%" or "90 seconds". By
            default a whole run if it has up to 1,200 updates, a quarter of one of 5,000, a tenth of one of 20,000. Never
            exceeded.
        low: First LR of the range test.
        high: Last LR of the range test.
        curve: A range test that was run before, from the same start; its updates count as spent.
        progress: Called after every update with ("range test" or "trials", updates made, updates planned).
        on_curve: Called with the range test and its bounds as soon as it has ended, also by an interrupt; not called if a
            `curve` is given.

    Returns:
        The plan.

    Raises:
        ArgumentError: if a number breaks its rule, a name is unknown, or the budget is too small.
        ArgumentTypeError: if an argument is of the wrong type.
        NoAnswerError: if every LR diverges, none learns within the budget, a batch gives no finite loss at any LR, or the
            budget leaves no trials for one of several families.

    Example:
        >>> import learnrate as lr
        >>> class Quadratic(lr.Trainable):
        ...     weight = 3.0
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        >>> plan = lr.tune(Quadratic(), updates=100)
        >>> 0.05 < plan.max_lr < 1.0, plan.cost <= 1.0
        (True, True)
    """
    require_trainable("trainable", trainable)
    checks.function_or_none("progress", progress, "(what, updates made, updates planned)")
    checks.function_or_none("on_curve", on_curve, "of the range test and its bounds")
    request = Request.of(updates=updates, family=family, budget=budget, low=low, high=high, curve=curve)
    updates_per_epoch(trainable)  # an error in it ends the call now, not after the range test
    return within(restored(trainable), lambda state: _plan(trainable, state, request, progress, on_curve))


def _plan(trainable: Trainable, state: Any, request: Request, progress: Progress | None, on_curve: OnCurve | None) -> Plan:
    given = 0 if request.curve is None else len(request.curve)
    spending = Spending(request.budget, given, given, agree=trainable.agree)
    evaluation = scores(trainable.evaluate())
    curve = request.curve
    if curve is None:
        curve = _range_test(trainable, request, spending, progress)
        bounds = curve.bounds()
        if on_curve is not None:
            with spending.pause():
                on_curve(curve, bounds)
        if curve.ended == "interrupted":
            raise KeyboardInterrupt
    else:
        bounds = curve.bounds()
    start = start_of(curve, first_finite(evaluation), trainable.traits.unbounded_steps)
    epoch = updates_per_epoch(trainable) or curve.updates_per_epoch  # it may be known after the first epoch only
    run = Run(request.updates, epoch, bounds.base_lr if bounds else None)
    on_update = None if progress is None else partial(progress, "trials")
    runner = Runner(trainable, state, spending, start, request.updates, on_update)
    runner.unscored += bool(evaluation) and start.score is None
    first, lowest, highest = search_range(curve, bounds, request.high)
    limits = Limits(
        first=first,
        lowest=lowest,
        highest=highest,
        coarse_updates=coarse_length(spending.total(), request.updates),
        horizon=request.updates,
        falls_from=math.log2(bounds.base_lr) if bounds else math.inf,
        lr_drift=trainable.traits.lr_drift,
    )
    families = {name: bind(builder, run) for name, builder in request.families.items()}
    candidates = _search(runner, families, limits)
    choice = choose(candidates, runner, run, limits.lr_drift, metric=next(iter(evaluation), "score"))
    return Plan.of(choice, curve, bounds, run)


def _range_test(trainable: Trainable, request: Request, spending: Spending, progress: Progress | None) -> Curve:
    def on_update(updates: int, planned: int) -> None:
        spending.spent = updates
        if progress is not None:
            progress("range test", updates, planned)

    return range_test(
        trainable,
        low=request.low,
        high=request.high,
        updates=request.range_test_updates,
        time_limit=RANGE_TEST_TIME * request.budget.seconds if request.budget.is_timed else None,
        restore=False,
        progress=on_update,
    )


def start_of(curve: Curve, score: float | None, unbounded_steps: bool = False) -> Start:
    """The model before any training, as the first, very small LRs of a range test show it.

    Raises:
        NoAnswerError: if too few of their losses are finite.
    """
    require_level(curve)
    first = start_losses(curve)
    first = first[np.isfinite(first)]
    # A few losses show the level, but not the noise; more of them do, because differences cancel a trend.
    more = curve.losses[: max(2 * THRESHOLDS.start_losses, len(start_losses(curve)))]
    noise = difference_noise(more[np.isfinite(more)])
    # The standard error of a median is that of the mean, times the root of pi / 2.
    error = math.sqrt(math.pi / 2 / len(first)) * noise
    return Start(float(np.median(first)), noise, score, error, unbounded_steps)


def _search(runner: Runner, families: dict[str, Family], limits: Limits) -> list[Candidate]:
    """The coarse search, with the first family for all, and the refinement of each family, in trials of one length.

    Raises:
        NoAnswerError: if every LR diverges, none learns, or the budget leaves no trials for a family.
    """
    name, family = next(iter(families.items()))
    start, spending = runner.start, runner.spending
    # Where families are compared, each of them needs its refinement, however far the coarse search would go.
    shortest = THRESHOLDS.refinement_trials * (THRESHOLDS.shortest_trial + 1)
    reserve = len(families) * shortest if len(families) > 1 else 0
    coarse = runner.search(partial(next_coarse, start=start, limits=limits), family, name, reserve=reserve)
    require_sound(coarse, start, limits.lowest, spending, limits.horizon)
    updates = refinement_length(spending.remaining(), limits.horizon, len(families), limits.coarse_updates)
    candidates = []
    for place, (name, family) in enumerate(families.items()):
        trials = coarse
        if updates:
            limits = replace(limits, refinement_updates=updates, batched=not runner.not_batchable)
            others = len(families) - place - 1
            reserve = others * spending.remaining() // (others + 1)
            propose = partial(next_refinement, start=start, limits=limits)
            trials = runner.search(propose, family, name, before=coarse, reserve=reserve)
            require_finite(trials)
        if len(families) > 1:
            require_refined(name, trials)
        require_learned(trials, start, limits.highest)
        candidates.append(Candidate(name, family, tuple(trials)))
    return candidates
