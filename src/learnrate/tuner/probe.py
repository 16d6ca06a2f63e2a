"""An LR from one short training whose step size is estimated on the way, and scaled to the whole run."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate import checks, html, records
from learnrate.checks import check_fields, checked, frozen
from learnrate.errors import NoAnswerError
from learnrate.finder import arrays
from learnrate.finder.bounds import two_digits
from learnrate.finder.levels import difference_noise, level
from learnrate.finder.smoothing import Floats
from learnrate.interrupts import within
from learnrate.records import Fields
from learnrate.trainable import Metrics, NotProbedError, ProbeMethod, Probing, Trainable, require_trainable, restored
from learnrate.tuner import budget as budgets
from learnrate.tuner.budget import Budget, Spending
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.updates import Check, Progress, StopReason, UpdateLoop, raise_if_interrupted

SHARE, SHORTEST, LARGEST_SHARE = 1 / 20, 100, 1 / 8
"""A probe takes a twentieth of the training run; at least 100 updates, as far as they are at most an eighth of it. In fewer
updates the step size does not reach its size."""

FEWEST = 20
"""Updates from which an estimate is taken at all."""

CERTAIN = 3.0
"""Standard errors by which the loss must have fallen."""

LONGER = "Give a longer probe (a budget in updates), or use tune."
"""The remedy where the loss fell by too little."""


@dataclass(frozen=True)
class Method:
    """From the step sizes of a probe to the LR of a training run with 10 % warm-up and a cosine to 0.

    Attributes:
        what: What the step sizes are, for the reason.
        read: From the step sizes to the one that counts.
        factor: From that one to the peak of the schedule. Fitted on one half of the tasks of benchmarks/choice; for
            optimizers that none of these tasks uses, on the records of benchmarks/probe_optimizers.py.
        spread: The interval goes from the LR divided by this to the LR times this.
        slow_spread: The same for the upper end where the loss fell by less than a tenth; None if there is no answer then.
        source: Where the step sizes come from.
        scaled: What the scale of the probing is for, if it is not 1.
    """

    what: str
    read: Callable[[Floats], Any]
    factor: float
    spread: float
    slow_spread: float | None
    source: str
    scaled: str = "for its momentum"


PRODIGY = "Prodigy, arXiv 2306.06101"

METHODS: dict[ProbeMethod, Method] = {
    "prodigy": Method("distance to the solution", np.max, 2.7, 4.0, 16.0, PRODIGY),
    "prodigy-radam": Method("distance to the solution", np.max, 2.0, 6.0, None, PRODIGY, "for its rectification"),
    "prodigy-adagrad": Method("distance to the solution", np.max, 0.9, 6.0, None, PRODIGY, "for the sum that it divides by"),
    "prodigy-adafactor": Method("relative distance to the solution", np.max, 1.6, 6.0, None, PRODIGY),
    "prodigy-muon": Method("distance to the solution", np.max, 0.21, 6.0, None, PRODIGY),
    "prodigy-mixed": Method("distance to the solution", np.max, 3.4, 6.0, None, PRODIGY),
    "dowg": Method("median step size", np.median, 1.4, 6.0, None, "DoWG, arXiv 2305.16284"),
}


@frozen
class Probe:
    """The LR that a probe found, and why.

    Attributes:
        lr: The LR for the training run, the peak of its schedule.
        interval: (low, high). On the tasks of docs/choice.md it contains the best LR in nine of ten probes; for AdaGrad and
            RAdam in eight of ten.
        reason: How the LR follows from the probe.
        method: A key of `METHODS`: "prodigy" or "dowg", for example.
        updates: Number of updates that the probe made.
        losses: The loss of each; float64, read-only.
        steps: The LR of each; the same shape.
        notes: What a reader should know: batches that were left out, where the batches were started again.
    """

    lr: float = checked(checks.positive)
    interval: tuple[float, float] = checked(checks.interval)
    reason: str = checked(checks.text)
    method: str = checked(checks.one_of(*METHODS))
    updates: int = checked(checks.length)
    losses: Floats = field(repr=False, compare=False, default_factory=lambda: np.empty(0))
    steps: Floats = field(repr=False, compare=False, default_factory=lambda: np.empty(0))
    notes: tuple[str, ...] = checked(checks.several(checks.text), default=())

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.interval[0] <= self.lr <= self.interval[1]:
            checks.refuse("lr", f"within the interval {self.interval}", self.lr)
        for name in ("losses", "steps"):
            object.__setattr__(self, name, arrays.floats(name, getattr(self, name)))

    def as_record(self) -> dict[str, Any]:
        """The probe in the form that JSON can hold."""
        floats = {name: [*map(records.encode_float, getattr(self, name).tolist())] for name in ("losses", "steps")}
        return {
            "lr": self.lr,
            "interval": [*self.interval],
            "reason": self.reason,
            "method": self.method,
            "updates": self.updates,
            **floats,
            "notes": [*self.notes],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Probe":
        """The inverse of `as_record`."""
        content = Fields(record)
        floats = {name: content.read(name, checks.several(records.decode_float)) for name in ("losses", "steps")}
        return cls(
            lr=content["lr"],
            interval=content.read("interval", records.decode_interval),
            reason=content["reason"],
            method=content["method"],
            updates=content["updates"],
            **{name: np.array(values) for name, values in floats.items()},
            notes=content.read("notes", checks.several(checks.text)),
        )

    def __repr__(self) -> str:
        low, high = self.interval
        return f"Probe(lr={self.lr:.2g}, interval {low:.2g} to {high:.2g}, {self.updates} updates)\n  {self.reason}"

    def _repr_html_(self) -> str:
        low, high = self.interval
        rows = [("lr", f"{self.lr:.2g}"), ("interval", f"{low:.2g} to {high:.2g}"), ("updates", str(self.updates))]
        return html.notebook("Probe", rows, sections={"": [self.reason]})


def usual(updates: int) -> int:
    """The usual length of a probe for a training run of this length, in updates.

    Example:
        >>> [usual(updates) for updates in (100, 400, 800, 2000, 20_000)]
        [20, 50, 100, 100, 1000]
    """
    return max(FEWEST, math.floor(SHARE * updates), min(SHORTEST, math.floor(LARGEST_SHARE * updates)))


def probe(
    trainable: Trainable, *, updates: int, budget: float | str | None = None, progress: Progress | None = None
) -> Probe:
    """Find an LR by one short training that finds its own step sizes.

    Each update takes a step size that follows from the gradients and weights so far; the size that the steps arrive at gives
    the LR of the whole run. A probe costs little and is less exact than `tune`: docs/choice.md compares them.

    Args:
        trainable: What is trained; afterwards it is in the same state as before.
        updates: Length of the whole training run in updates (optimizer steps).
        budget: What the probe may cost: a share of one training run, or a text such as "100 updates", "5%" or "20 seconds";
            a time can only make it shorter. By default a twentieth of the run; at least 100 updates, as far as that is at
            most an eighth of the run; never fewer than 20 updates.
        progress: Called after every update with (updates made, updates planned).

    Returns:
        The LR, its interval and the reason.

    Raises:
        ArgumentError: if a number breaks its rule, or the budget is below 20 updates.
        ArgumentTypeError: if an argument is of the wrong type.
        NoAnswerError: if the optimizer has no probe, the loss did not fall, or the step size did not grow.
        ExhaustedError: if the batches run out and cannot be started again.
    """
    require_trainable("trainable", trainable)
    checks.function_or_none("progress", progress, "(updates made, updates planned)")
    updates = checks.whole("updates", updates, at_least=FEWEST, at_most=checks.LONGEST)
    allowed = _allowed(budget, updates)
    try:
        return within(_probing(trainable), lambda probing: _probed(trainable, probing, updates, allowed, progress))
    except NotProbedError as error:
        raise NoAnswerError(f"{error}.", "Use tune, which tries LRs.") from error


@contextmanager
def _probing(trainable: Trainable) -> Iterator[Probing]:
    """The trainable without an LR; at the end it is as it was, also after Ctrl-C."""
    with restored(trainable), trainable.probing() as probing:
        yield probing


def _allowed(budget: float | str | None, updates: int) -> Budget:
    if budget is None:
        return Budget(usual(updates))
    allowed = budgets.read(budget, updates)
    if allowed.is_timed:
        return Budget(usual(updates), allowed.seconds)
    if allowed.updates < FEWEST:
        checks.refuse("budget", f"at least {FEWEST} updates", budget, "give a larger share of the training")
    return allowed


@dataclass(frozen=True)
class Measurement:
    """What a probe measured.

    Attributes:
        method: See `Probing`.
        scale: See `Probing`; for the length of the whole training run.
        maximize: See `Probing`.
        losses: The loss of each update.
        steps: The LR of each update.
        ended: Why it ended before its last update; None if it did not.
        notes: See `Trainable.notes`.
    """

    method: ProbeMethod
    scale: float
    maximize: bool
    losses: Floats
    steps: Floats
    ended: StopReason | None
    notes: tuple[str, ...]


def _probed(trainable: Trainable, probing: Probing, updates: int, allowed: Budget, progress: Progress | None) -> Probe:
    spending = Spending(allowed, agree=trainable.agree)
    before = spending.out_of_time if allowed.is_timed else None
    return answer(measure(trainable, probing, updates, allowed.updates, before, progress))


def measure(
    trainable: Trainable,
    probing: Probing,
    horizon: int,
    updates: int,
    before: Check | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Make the updates of a probe, from the present state of the trainable.

    Args:
        trainable: What is trained.
        probing: The same, inside of its context.
        horizon: Length of the whole training run in updates.
        updates: Most updates of the probe.
        before: Checked before every update; a reason ends the probe.
        progress: Called after every update with (updates made, updates planned).
    """
    checks.choice("method of probing", probing.method, tuple(METHODS))
    checks.flag("maximize of probing", probing.maximize)
    scale = checks.finite("scale() of probing", probing.scale(horizon))
    losses: list[float] = []
    steps: list[float] = []

    def watch(lr: float, metrics: Metrics) -> StopReason | None:
        loss = metrics["loss"]
        losses.append(loss)
        return None if math.isfinite(loss) else StopReason("not finite", f"the loss became {loss}")

    def on_update(made: int) -> None:
        steps.append(checks.number("lr() of probing", probing.lr()))
        if progress is not None:
            progress(made, updates)

    loop = UpdateLoop(_Driven(trainable, probing), watch, before, on_update)  # type: ignore[arg-type]
    ended = loop.run([0.0] * updates)
    raise_if_interrupted(ended)
    taken, notes = np.array(steps[: len(losses)]), tuple(trainable.notes(len(losses)))
    return Measurement(probing.method, scale, probing.maximize, np.array(losses), taken, ended, notes)


class _Driven:
    """A trainable as `UpdateLoop` sees it, whose updates find their LR themselves."""

    def __init__(self, trainable: Trainable, probing: Probing) -> None:
        self.reading, self.agree, self.read = trainable.reading, trainable.agree, trainable.read
        self._probing = probing

    def update(self, lr: float) -> Any:
        """Make an update, whatever the LR."""
        return self._probing.update()


def answer(measurement: Measurement) -> Probe:
    """What follows from the losses and step sizes of a probe.

    Raises:
        NoAnswerError: if the loss did not fall, or the probe ended too early.
    """
    lr = scaled_lr(measurement)
    rules, scale = METHODS[measurement.method], measurement.scale
    updates, step = len(measurement.losses), float(rules.read(measurement.steps))
    fall = Fall.of(measurement)
    change, changed = ("rise", "rose") if measurement.maximize else ("fall", "fell")
    if not fall.is_clear:
        raise NoAnswerError(
            f"the loss did not {change} clearly in a probe of {updates} updates: by {fall.by:.2g}, with a standard error of "
            f"{fall.error:.2g}.",
            LONGER,
        )
    if not fall.shows_learning and rules.slow_spread is None:
        raise NoAnswerError(
            f"the loss {changed} by {100 * fall.share:.2g} % in a probe of {updates} updates; the step size shows the scale "
            "of the LR only when that is a tenth.",
            LONGER,
        )
    upwards = rules.spread if fall.shows_learning or rules.slow_spread is None else rules.slow_spread
    ends = (two_digits(lr / rules.spread), two_digits(lr * upwards))
    factor = f"{rules.factor:g}" + (f" x {scale:.2g} ({rules.scaled})" if scale != 1 else "")
    text = f"The {rules.what} is {step:.2g} after {updates} updates ({rules.source}); the LR is {factor} times that"
    if not fall.shows_learning:
        text += f", and the best LR may be much higher, because the loss {changed} by {100 * fall.share:.2g} % only"
    return Probe(lr, ends, f"{text}.", measurement.method, updates, measurement.losses, measurement.steps, measurement.notes)


def scaled_lr(measurement: Measurement) -> float:
    """The LR that follows from the step sizes, whether or not the loss fell: where it did not, the best LR is higher.

    Raises:
        NoAnswerError: if the probe ended too early, or the step size did not grow.
    """
    rules, scale, steps = METHODS[measurement.method], measurement.scale, measurement.steps
    updates, ended = len(measurement.losses), measurement.ended
    if ended is not None and ended.ended == "not finite":
        remedy = "Check this batch and the model, or use tune."
        raise NoAnswerError(f"{ended.text} at update {updates - 1} of the probe.", remedy)
    if updates < FEWEST:
        raise NoAnswerError(f"the probe made {updates} updates, and needs {FEWEST}.", "Give a larger budget.")
    if np.max(steps) <= steps[0]:
        raise NoAnswerError(
            f"the step size did not grow from {steps[0]:.2g} in {updates} updates.",
            "Steps of this size may be below the precision of the weights: use tune.",
        )
    step = float(rules.read(steps))
    lr = two_digits(scale * rules.factor * step)
    if not 0 < lr <= checks.LARGEST_LR:
        raise NoAnswerError(f"the LR would be {lr:.2g}: {scale:.2g} x {rules.factor:g} x {step:.2g}.", "Use tune.")
    return lr


@dataclass(frozen=True)
class Fall:
    """How far the loss fell in a probe, or rose if it is to rise.

    Attributes:
        by: The difference between its level at the start and the mean of its last fifth.
        error: Standard error of this difference.
        start: The level at the start.
    """

    by: float
    error: float
    start: float

    @classmethod
    def of(cls, measurement: Measurement) -> "Fall":
        """The fall in this probe."""
        losses, sign = measurement.losses, -1 if measurement.maximize else 1
        start, last = level(losses), losses[-max(1, len(losses) // 5) :]
        # The standard error of a median of a tenth of the losses, and of a mean of a fifth of them.
        error = difference_noise(losses) * math.sqrt(math.pi / 2 / max(3, len(losses) // 10) + 1 / len(last))
        return cls(sign * (start - float(np.mean(last))), error, start)

    @property
    def share(self) -> float:
        """The fall as a share of the start."""
        return self.by / abs(self.start) if self.start else math.inf

    @property
    def is_clear(self) -> bool:
        """Whether the fall exceeds chance."""
        return self.by > CERTAIN * self.error

    @property
    def shows_learning(self) -> bool:
        """Whether the fall is also large enough to show that learning has begun."""
        return self.is_clear and self.share >= THRESHOLDS.slow_fall
