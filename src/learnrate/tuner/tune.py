"""tune(): a probe or a range test, trials, a plan."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from learnrate import checks
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.trainable import (
    NOISE_BATCHES,
    Trainable,
    first_finite,
    require_trainable,
    restored,
    scores,
    updates_per_epoch,
)
from learnrate.tuner.budget import Spending
from learnrate.tuner.choice import Candidate, choose
from learnrate.tuner.estimate import estimate
from learnrate.tuner.families import Families, Family, Run, bind
from learnrate.tuner.no_answer import require_finite, require_learned, require_sound, require_trials
from learnrate.tuner.plan import Plan
from learnrate.tuner.request import HIGH, LOW, Request, trial_length
from learnrate.tuner.runner import Runner
from learnrate.tuner.search import Limits, next_trials
from learnrate.tuner.side_by_side import SideBySide, TrialExecutor, check_executor, first_loss_of
from learnrate.tuner.survey import OnCurve, Progress, Survey, survey
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import rungs

NO_CLOCK = "how many trials fit into a time depends on the workers, so the choice would not be the same"


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
    executor: TrialExecutor | None = None,
) -> Plan:
    """Choose a schedule for a training run: a probe, trials at a few LRs, a plan.

    A probe shows the scale of the LR (see `probe`); where there is no probe for the optimizer, or it gives no answer, a
    range test does. Short trials follow, a factor of two apart in LR: the search goes on in the direction in which they get
    better, and stops when the next trial is expected to cost more than it saves. Where the loss has hardly begun to fall in
    these trials, or lower LRs have not left a plateau, it makes longer ones. From these trials to the whole run the best LR
    is assumed to drift by `trainable.traits.lr_drift`. All trials start from the same state and see the same data, and use
    the schedule of the whole run, shortened to their length. docs/choice.md reports how well this chooses on real tasks,
    and what it costs.

    Args:
        trainable: What is trained; afterwards it is in the same state as before.
        updates: Length of the whole training run in updates (optimizer steps).
        family: The kind of schedule: "warmup_cosine" (the default: 10 % linear warm-up, cosine to 0), "one_cycle", "wsd",
            "triangular2" (whole cycles between bounds; half a cycle has 2 to 10 epochs), or a function from a max_lr to a
            schedule. Several names, or functions by name, are compared, each at its own best LR.
        budget: The most that tuning may cost: a share of one training run, or a text such as "500 updates", "25%" or "90
            seconds". By default 60 % of a run of 300 to 1,500 updates, 20 % of one of 5,000, 7 % of one of 20,000, 2 % of
            one of 100,000. Never exceeded; a search that is certain earlier costs less.
        low: The lowest LR to try, and the first one of a range test.
        high: The highest LR to try, and the last one of a range test.
        curve: A range test that was run before, from the same start; its updates count as spent.
        progress: Called after every update with ("probe", "range test" or "trials", updates made, updates planned); with an
            executor after every trial.
        on_curve: Called with a range test and its bounds as soon as it has ended, also by an interrupt; not called if there
            is none, or if a `curve` is given.
        executor: What trains the trials, side by side: one of `learnrate.study.executors`, such as `Processes(2)`, or any
            object with `submit(function, *arguments)` that returns a future. Trials and plan are the same as without it:
            while a trial is in progress, other workers train those that may be wanted next. The trainable must be one that a
            recipe has just made, or picklable. Probe and range test, and trials that train as one batch, run here.

    Returns:
        The plan.

    Raises:
        ArgumentError: if a number breaks its rule, a name is unknown, or the budget is too small.
        ArgumentTypeError: if an argument is of the wrong type.
        NoAnswerError: if every LR diverges, none learns within the budget, a batch gives no finite loss at any LR, or the
            budget leaves no trials for one of several families.
        Exception: what a worker raised.

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
    check_executor(executor)
    request = Request.of(updates=updates, family=family, budget=budget, low=low, high=high, curve=curve)
    if executor is not None and request.budget.is_timed:
        checks.refuse("budget", "a share of one training run or a number of updates with an executor", budget, NO_CLOCK)
    updates_per_epoch(trainable)  # an error in it ends the call now, not after the range test
    return within(restored(trainable), lambda state: _plan(trainable, state, request, progress, on_curve, executor))


def _plan(
    trainable: Trainable,
    state: Any,
    request: Request,
    progress: Progress | None,
    on_curve: OnCurve | None,
    executor: TrialExecutor | None,
) -> Plan:
    given = 0 if request.curve is None else len(request.curve)
    spending = Spending(request.budget, given, given, agree=trainable.agree)
    evaluation = scores(trainable.evaluate())
    before = survey(trainable, state, request, spending, first_finite(evaluation), progress, on_curve)
    # The length of an epoch may be known after the first epoch only.
    epoch = updates_per_epoch(trainable) or (before.curve.updates_per_epoch if before.curve is not None else None)
    run = Run(request.updates, epoch, before.bounds.base_lr if before.bounds else None)
    on_update = None if progress is None else partial(progress, "trials")
    runner = Runner(trainable, state, spending, before.start, request.updates, on_update)
    runner.unscored += bool(evaluation) and before.start.score is None
    families = {name: bind(builder, run) for name, builder in request.families.items()}
    limits = _limits(before, runner, len(families))
    with _by_executor(runner, executor, before.first_loss):
        candidates = _search(runner, families, limits, before.late_probe is not None)
    metric = next(iter(evaluation), "score")
    allowed = request.low, request.high
    choice = choose(candidates, runner, run, trainable.traits.lr_drift, before, allowed, metric)
    kind, batch = trainable.traits.kind, trainable.batch_size()
    return Plan.of(choice, before, run, optimizer=kind, batch=batch, noise_scale=runner.noise_scale)


def _by_executor(runner: Runner, executor: TrialExecutor | None, first_loss: float | None) -> AbstractContextManager[None]:
    """The time in which an executor trains the trials."""
    if executor is None:
        return nullcontext()
    trainable = runner.trainable
    if first_loss is None:
        trainable.restore(runner.state)
        first_loss = first_loss_of(trainable, LOW)
    trainable.restore(runner.state)  # a training without a recipe travels as it is
    runner.side_by_side = SideBySide.of(executor, trainable, first_loss)
    return runner.side_by_side.ended()


def _limits(before: Survey, runner: Runner, families: int) -> Limits:
    beginning, horizon = before.beginning, runner.horizon
    updates = trial_length(runner.spending.total() - runner.spending.given, horizon, families)
    # The trials of several families have one length, which the budget covers for all of them.
    longest = math.floor(THRESHOLDS.longest_trial * horizon) if families == 1 else updates
    if before.start.late and families == 1:
        for_trials = runner.spending.remaining() - NOISE_BATCHES
        updates = longest = max(updates, min(longest, for_trials // THRESHOLDS.slow_trials))
    return Limits(
        first=beginning.first,
        lowest=beginning.lowest,
        highest=beginning.highest,
        updates=updates,
        longest=longest,
        horizon=horizon,
        stride=beginning.stride,
        upwards=beginning.upwards,
        is_certain=before.probed is not None,
        probe_fall=before.probe_fall,
        batched=runner.can_batch(),
    )


def _search(runner: Runner, families: Mapping[str, Family], limits: Limits, by_probe: bool) -> list[Candidate]:
    """The search for each family. Each one begins at the LR of the first one, with trials as long as its longest.

    Args:
        runner: Trains the trials.
        families: The families by name.
        limits: The bounds of the search.
        by_probe: Whether a probe decides where the trials of the only family show nothing.

    Raises:
        NoAnswerError: if every LR diverges, none learns, or the budget leaves no trials for a family.
    """
    start, spending = runner.start, runner.spending
    candidates: list[Candidate] = []
    for name, family in families.items():
        others = len(families) - len(candidates) - 1
        reserve = others * THRESHOLDS.trials_of_family * limits.updates
        trials, stop = runner.search(partial(next_trials, start=start, limits=limits), family, name, reserve)
        if candidates:
            require_trials(name, trials)
        require_sound(trials, start, limits.lowest, spending, limits.horizon)
        require_finite(trials)
        if not by_probe or len(families) > 1:
            require_learned(trials, start, limits.highest)
        candidates.append(Candidate(name, family, tuple(trials), stop.reason))
        if len(candidates) == 1 < len(families):
            updates = max(trial.updates for trial in trials)
            # Trials of one length compare best without drift, and only such families compare at all.
            best = estimate(rungs(trials), start, updates)
            limits = replace(
                limits, first=best.log2_lr, updates=updates, longest=updates, stride=1.0, upwards=True, is_certain=True
            )
    return candidates
