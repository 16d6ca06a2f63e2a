"""The LR for another batch size, width, depth or length of training, by rules that were measured."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnrate import checks
from learnrate.checks import check_fields, checked, frozen
from learnrate.errors import ArgumentError, NoAnswerError
from learnrate.finder.bounds import two_digits
from learnrate.schedules import Schedule
from learnrate.traits import OptimizerKind
from learnrate.tuner.families import NAMED, Run

if TYPE_CHECKING:
    from learnrate.tuner.plan import Plan


@dataclass(frozen=True)
class Rule:
    """The best LR is proportional to a power of a number of the set-up.

    Attributes:
        power: The power.
        spread: Standard deviation of log2 of the best LR around the rule, where the number changes by a factor of 4.
        most: Largest factor, up or down, at which the rule was measured.
    """

    power: float
    spread: float
    most: float

    def deviation(self, ratio: float) -> float:
        """Standard deviation of log2 of the best LR at this ratio: that of a random walk of doublings."""
        return self.spread * math.sqrt(abs(math.log2(ratio)) / 2)


RULES: Mapping[OptimizerKind, Mapping[str, Rule]] = {
    "adam": {
        "batch": Rule(0.5, 0.8, 16),
        "width": Rule(-0.75, 0.8, 4),
        "depth": Rule(-0.5, 0.75, 4),
        "updates": Rule(-0.3, 0.8, 4),
    },
    "sgd": {
        "batch": Rule(0.7, 0.75, 16),
        "width": Rule(-0.25, 1.15, 4),
        "updates": Rule(0.0, 1.0, 4),
    },
}
"""Chosen on one half of the problems of benchmarks/carry; docs/carry.md reports how well they carry on the other half.

The power of the width for Adam lies between that of the fit, -1, and that of eight public tables of MLPs, -0.5; that of the
depth is the published one for residual blocks, and near the fit. That of the batch for SGD is the lowest of those that are
equally good, 0.7 to 1, because an LR that is too high diverges. The LR of SGD does not change with the length, because on
the problems for the fit any drift lost against none. Spreads are the larger ones of both halves. SGD has no rule for the
depth: the one that was fitted lost against keeping the LR."""

DRIFT_SPAN = 2.0
"""Doublings of the batch below the noise scale over which the power of the length comes to its full size."""

OPPOSITE_DRIFT = 0.5
"""Share of that power which the length has at most above the noise scale, with the opposite sign."""

NEAR = 2.0
"""Factor on the batch, up or down, for which the noise scale need not be known: the LR then errs by at most this factor."""

EDGE_DISTANCE = 2.0
"""Factor that a growing batch keeps to the lowest LR at which a trial diverged."""

NAMES = {"adam": "Adam", "sgd": "SGD"}


@frozen
class Carried:
    """An LR that was tuned for one set-up, carried to another one by rules.

    Attributes:
        lr: The LR; for a schedule its peak.
        interval: The lowest and the highest LR at which the new run is expected to learn nearly as much: that of the plan,
            carried too, and wider by the scatter of the best LRs around the rules. Open where that of the plan is.
        schedule: The schedule of the new run, of the family of the plan; None if the length changes and the family is a
            function of the user, which a plan does not keep.
        updates: Length of the new run.
        reasons: The rules and their numbers, in sentences.
    """

    lr: float = checked(checks.positive)
    interval: tuple[float, float] = checked(checks.interval)
    schedule: Schedule | None = checked(checks.optional(checks.instance(Schedule, "a schedule")))
    updates: int = checked(checks.length)
    reasons: tuple[str, ...] = checked(checks.several(checks.text))

    def __post_init__(self) -> None:
        check_fields(self)

    def __float__(self) -> float:
        return self.lr

    def __repr__(self) -> str:
        low, high = self.interval
        lines = [f"Carried(lr={self.lr:.2g}, interval {low:.2g} to {high:.2g}, {self.updates} updates)", *self.reasons]
        return "\n  ".join(lines)


@dataclass(frozen=True)
class Change:
    """What one number of the set-up does to the LR.

    Attributes:
        log2_factor: Change of log2 of the best LR.
        deviation: Standard deviation of log2 of the best LR around that.
        reason: The rule and its numbers, in one sentence.
    """

    log2_factor: float
    deviation: float
    reason: str


@dataclass(frozen=True)
class Tuned:
    """The set-up of an LR that was tuned.

    Attributes:
        lr: The LR.
        optimizer: The kind of its optimizer.
        updates: Length of the run.
        batch: Examples in an update; None if it is not known.
        noise_scale: See `learnrate.Plan`.
        diverged_at: The lowest LR at which a trial diverged; infinite if none did.
    """

    lr: float
    optimizer: OptimizerKind
    updates: int
    batch: int | None = None
    noise_scale: float | None = None
    diverged_at: float = math.inf

    @property
    def log2_room(self) -> float:
        """By how many doublings the LR may grow because of the batch, and stay at a distance from where trials diverged.

        The stability edge follows from the curvature of the loss, which the batch does not change.
        """
        return max(0.0, math.log2(self.diverged_at / EDGE_DISTANCE / self.lr))


def carry(plan: "Plan", *, batch: int | None, width: float, depth: float, updates: int | None) -> Carried:
    """Carry the LR of a plan to another set-up; see `Plan.carry`."""
    if plan.optimizer is None:
        raise NoAnswerError(
            "there are rules for Adam, AdamW, and SGD without clipping, and this plan is for another optimizer or does not "
            "know which one it is for.",
            "Tune the new training.",
        )
    diverged_at = min((trial.max_lr for trial in plan.trials if trial.diverged), default=math.inf)
    tuned = Tuned(plan.max_lr, plan.optimizer, plan.updates, plan.batch, plan.noise_scale, diverged_at)
    updates = plan.updates if updates is None else checks.length("updates", updates)
    changed = list(changes(tuned, batch=batch, width=width, depth=depth, updates=updates))
    if not changed:
        raise ArgumentError(
            f"carry must be given what changes, received batch={batch}, width={width:g}, depth={depth:g}, "
            f"updates={updates}, as it is in the plan: use plan.max_lr"
        )
    deviation = math.hypot(*(change.deviation for change in changed))
    lr = checks.positive_single("the carried LR", two_digits(plan.max_lr * 2.0 ** sum(c.log2_factor for c in changed)))
    factor = lr / plan.max_lr
    low, high = plan.interval
    schedule, missing = _schedule(plan, factor, lr, batch, updates)
    return Carried(
        lr=lr,
        interval=(_two_digits(low * factor / 2**deviation), _two_digits(high * factor * 2**deviation)),
        schedule=schedule,
        updates=updates,
        reasons=(*(change.reason for change in changed), _of_interval(deviation), *missing),
    )


def changes(
    tuned: Tuned, *, batch: int | None = None, width: float = 1.0, depth: float = 1.0, updates: int | None = None
) -> Iterator[Change]:
    """What each number of a new set-up that differs does to the LR; arguments as those of `Plan.carry`.

    Raises:
        ArgumentError: if a change is larger than what was measured, or there is no rule for it.
        NoAnswerError: if the batch changes, and it or the noise scale is not known.

    Example:
        >>> tuned = Tuned(0.01, "adam", updates=1000, batch=32, noise_scale=100.0)
        >>> [change] = changes(tuned, batch=64)
        >>> round(2**change.log2_factor, 2)
        1.41
    """
    if batch is not None and checks.length("batch", batch) != tuned.batch:
        yield _of_batch(tuned, batch)
    for name, ratio in {"width": checks.positive("width", width), "depth": checks.positive("depth", depth)}.items():
        if ratio != 1:
            yield _of_ratio(tuned, name, ratio, ratio, f"{name.capitalize()} times {ratio:g}")
    if updates is not None and updates != tuned.updates:
        yield _of_updates(tuned, tuned.batch if batch is None else batch, updates)


def _of_updates(tuned: Tuned, batch: int | None, updates: int) -> Change:
    """The drift with the length: down while noise limits the LR, which a longer run averages out at a lower LR; else up."""
    rule, ratio = RULES[tuned.optimizer]["updates"], checks.length("updates", updates) / tuned.updates
    _require_measured("updates", rule, ratio, updates)
    deviation = rule.deviation(ratio)
    if batch is None or tuned.noise_scale is None:
        power, why = rule.power / 2, "in the mean, because the noise scale is not known"
        deviation = math.hypot(deviation, power * math.log2(ratio))
    else:
        below = math.log2(max(tuned.noise_scale, 1.0) / batch) / DRIFT_SPAN
        power = rule.power * min(max(below, -OPPOSITE_DRIFT), 1.0)
        why = f"at a batch of {batch} with a noise scale of {_two_digits(tuned.noise_scale):g}"
    log2_factor = power * math.log2(ratio)
    what = f"{tuned.updates} to {updates} updates: {_power(tuned, power, 'length')}" + (f", {why}" if rule.power else "")
    return Change(log2_factor, deviation, f"{what}: {_factor(log2_factor)}.")


def _of_batch(tuned: Tuned, batch: int) -> Change:
    """The LR grows with the batch as long as the noise of the gradient, and not the gradient, limits it."""
    rule = RULES[tuned.optimizer]["batch"]
    if tuned.batch is None:
        raise NoAnswerError(
            f"the plan does not know its own batch size, to compare with {batch}.",
            "Tune with a training that has `batch_size`, as torch has if all tensors of a batch have the examples in their "
            "first dimension.",
        )
    ratio = batch / tuned.batch
    _require_measured("batch", rule, ratio, batch)
    what, noise = f"Batch {tuned.batch} to {batch}", tuned.noise_scale
    if noise is None:
        if not 1 / NEAR <= ratio <= NEAR:
            raise NoAnswerError(
                f"batch may change by at most a factor of {NEAR:g} while the noise scale of the gradient is not known, "
                f"received {batch} for a plan of {tuned.batch}: above the noise scale a larger batch needs no higher LR.",
                "Tune with a training that has `noise_scale`, in runs of 286 updates or more, and with trials one by one "
                "(together=False).",
            )
        log2_factor = min(rule.power * math.log2(ratio) / 2, tuned.log2_room)
        power = f"the power {rule.power:g} of the batch"
        reason = f"{what}: half of the change by {power}, because the noise scale is not known"
        return Change(log2_factor, math.hypot(rule.deviation(ratio), log2_factor), f"{reason}: {_factor(log2_factor)}.")
    below = [math.log2(min(size, max(noise, 1.0))) for size in (tuned.batch, batch)]
    by_rule = rule.power * (below[1] - below[0])
    log2_factor = min(by_rule, tuned.log2_room)
    power = _power(tuned, rule.power, "batch")
    reason = f"{what}: {power} up to the noise scale ({_two_digits(noise):g} examples), and not above it"
    if log2_factor < by_rule:
        reason += (
            f", nor nearer than a factor of {EDGE_DISTANCE:g} to the LR {tuned.diverged_at:.2g}, at which a trial diverged"
        )
    return Change(log2_factor, rule.deviation(ratio), f"{reason}: {_factor(log2_factor)}.")


def _of_ratio(tuned: Tuned, name: str, ratio: float, value: float, what: str) -> Change:
    rule = RULES[tuned.optimizer].get(name)
    if rule is None:
        remedy = "the rule that was fitted lost against keeping the LR (docs/carry.md): tune the new net"
        checks.refuse(name, f"1 for {NAMES[tuned.optimizer]}", value, remedy)
    _require_measured(name, rule, ratio, value)
    log2_factor = rule.power * math.log2(ratio)
    return Change(log2_factor, rule.deviation(ratio), f"{what}: {_power(tuned, rule.power, name)}: {_factor(log2_factor)}.")


def _require_measured(name: str, rule: Rule, ratio: float, value: float) -> None:
    """Refuse a change that is larger than those that were measured."""
    if not 1 / rule.most <= ratio <= rule.most:
        checks.refuse(
            name,
            f"within a factor of {rule.most:g} of the plan, as far as its rule was measured",
            value,
            f"it is {ratio:.3g} times that of the plan: tune a training that is nearer, or the new one",
        )


def _power(tuned: Tuned, power: float, number: str) -> str:
    best = f"the best LR of {NAMES[tuned.optimizer]}"
    return (
        f"{best} changes with the power {power:.2g} of the {number}"
        if power
        else f"{best} does not change with the {number}"
    )


def _factor(log2_factor: float) -> str:
    return f"a factor of {2.0**log2_factor:.2g}"


def _of_interval(deviation: float) -> str:
    return f"The interval is wider by a factor of {2.0**deviation:.2g} on either side: the scatter of measured trainings."


def _two_digits(value: float) -> float:
    """An end of an interval, which may be open: 0 or infinite."""
    return two_digits(value) if value and math.isfinite(value) else value


def _schedule(
    plan: "Plan", factor: float, lr: float, batch: int | None, updates: int
) -> tuple[Schedule | None, tuple[str, ...]]:
    """The schedule of the new run; if there is none, the reason in a sentence."""
    base_lr = plan.bounds.base_lr * factor if plan.bounds else None
    epoch = plan.updates_per_epoch
    if epoch is not None and plan.batch is not None and batch is not None:
        epoch = max(1, round(epoch * plan.batch / batch))
    if _is_named(plan):
        return NAMED[plan.family](lr, Run(updates, epoch, base_lr)), ()
    if updates == plan.updates:
        return plan.schedule * factor, ()
    return None, (
        f"There is no schedule of {updates} updates, because the family {plan.family!r} is a function that the plan "
        f"does not keep: call it with max_lr {lr:g}.",
    )


def _is_named(plan: "Plan") -> bool:
    """Whether the schedule is of a named family; a function of the user may have the same name."""
    if plan.family == "triangular2":
        return plan.step_size is not None
    return plan.family in NAMED and NAMED[plan.family](plan.max_lr, Run(plan.updates)) == plan.schedule
