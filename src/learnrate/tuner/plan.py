"""The answer of the tuner: a schedule with its bounds, its cost, and its reasons."""

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, get_args

from learnrate import checks, html, records
from learnrate.checks import check_fields, checked, frozen
from learnrate.errors import MissingExtraError
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.records import Fields, nested
from learnrate.schedules import Schedule, parse
from learnrate.schedules.base import known_length
from learnrate.schedules.figure import schedule_svg
from learnrate.traits import OptimizerKind
from learnrate.tuner.carry import Carried, carry
from learnrate.tuner.choice import Choice
from learnrate.tuner.families import Run
from learnrate.tuner.probe import Probe
from learnrate.tuner.reasons import Reasons, reasons_of
from learnrate.tuner.survey import Survey
from learnrate.tuner.trials import Rung, Trial, rungs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_FOR_CARRYING = ("optimizer", "batch", "updates_per_epoch", "noise_scale")
"""Fields that records of older plans do not have."""


def _resolved(name: str, value: object) -> Schedule:
    schedule = checks.instance(Schedule, "a schedule")(name, value)
    known_length(schedule)  # raises if a length depends on the run
    return schedule


def _at_least_one_trial(name: str, value: object) -> tuple[Trial, ...]:
    trials = checks.several(checks.instance(Trial, "a Trial"))(name, value)
    if not trials:
        checks.refuse(name, "at least one trial", value)
    return trials


def _optimizer(name: str, value: Any) -> OptimizerKind | None:
    kind: OptimizerKind | None = checks.optional(checks.one_of(*get_args(OptimizerKind)))(name, value)  # type: ignore[assignment]
    return kind


def _noise_scale(name: str, value: object) -> float:
    scale = checks.finite(name, value)
    if scale < 0:
        checks.refuse(name, "at least 0", value)
    return scale


@frozen
class Plan:
    """A schedule for a whole run, with the evidence for it.

    Attributes:
        schedule: The schedule; `schedule.length` is where to stop if the run should end with a cycle.
        max_lr: Its peak.
        interval: The lowest and the highest peak at which a run is expected to learn nearly as much: see the reasons. The
            lowest is 0 if no LR below the best one was tried, the highest is infinite if no LR above it was: then no trial
            shows where the interval ends.
        family: The kind of schedule.
        probe: The probe; None if there is none for the optimizer, or it gave no answer: see the reasons.
        curve: The range test; None if the probe made it needless.
        bounds: What the range test shows, `NoAnswer` if that is too little; None if there was none.
        step_size: Half a cycle in updates; None if the schedule is not triangular2.
        cycles: Number of cycles; None likewise.
        updates: Length of the training run.
        spent: Updates that tuning made.
        reasons: Why, in sentences by section: `print(plan.reasons)`, `plan.reasons.choice`.
        trials: All trials, in their order.
        optimizer: The kind of the optimizer; None if there are no rules for it (see `OptimizerTraits.kind`).
        batch: Examples in an update; None if it is not known.
        updates_per_epoch: None if it is not known.
        noise_scale: The noise scale of the gradient at the end of a trial, in examples (see `Trainable.noise_scale`); None
            if it is not known.
    """

    schedule: Schedule = checked(_resolved)
    max_lr: float = checked(checks.positive)
    interval: tuple[float, float] = checked(checks.interval)
    family: str = checked(checks.text)
    probe: Probe | None = checked(checks.optional(checks.instance(Probe, "a Probe")))
    curve: Curve | None = checked(checks.optional(checks.instance(Curve, "a Curve")))
    bounds: Bounds | NoAnswer | None = checked(checks.optional(checks.instance(Bounds | NoAnswer, "Bounds or NoAnswer")))
    step_size: int | None = checked(checks.optional(checks.length))
    cycles: int | None = checked(checks.optional(checks.length))
    updates: int = checked(checks.length)
    spent: int = checked(partial(checks.whole, at_least=0, at_most=checks.LONGEST))
    reasons: Reasons = checked(checks.instance(Reasons, "Reasons"))
    trials: tuple[Trial, ...] = checked(_at_least_one_trial)
    optimizer: OptimizerKind | None = checked(_optimizer, default=None)
    batch: int | None = checked(checks.optional(checks.length), default=None)
    updates_per_epoch: int | None = checked(checks.optional(checks.length), default=None)
    noise_scale: float | None = checked(checks.optional(_noise_scale), default=None)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def of(
        cls,
        choice: Choice,
        survey: Survey,
        run: Run,
        *,
        optimizer: OptimizerKind | None = None,
        batch: int | None = None,
        noise_scale: float | None = None,
    ) -> "Plan":
        """The plan of a choice."""
        estimate, cycling = choice.estimate, choice.cycling
        return cls(
            schedule=choice.schedule,
            max_lr=estimate.lr,
            interval=choice.interval,
            family=choice.family,
            probe=survey.probe,
            curve=survey.curve,
            bounds=survey.bounds,
            step_size=cycling.step_size if cycling else None,
            cycles=cycling.cycles if cycling else None,
            updates=run.updates,
            spent=choice.cost.spent,
            reasons=reasons_of(choice, survey, run),
            trials=choice.trials,
            optimizer=optimizer,
            batch=batch,
            updates_per_epoch=run.updates_per_epoch,
            noise_scale=noise_scale,
        )

    @property
    def length(self) -> int:
        """Number of updates to train for: the length of the schedule, or of the training run if it has no end."""
        return known_length(self.schedule) or self.updates

    @property
    def cost(self) -> float:
        """Updates that tuning made, as a share of the training run."""
        return self.spent / self.updates

    @property
    def rungs(self) -> list[Rung]:
        """The trials of the chosen family by length, from short to long."""
        return rungs([trial for trial in self.trials if trial.family == self.family])

    def plot_trials(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the loss at the end of each trial against its LR, with the chosen LR, and return the axes.

        Args:
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate.tuner.figure import draw_trials

        return draw_trials(self, ax)

    def carry(
        self, *, batch: int | None = None, width: float = 1.0, depth: float = 1.0, updates: int | None = None
    ) -> Carried:
        """The LR for another batch size, another net, or another length of training, without training.

        docs/carry.md says what the rules were measured on, and how much better they are than keeping the LR.

        Args:
            batch: Examples in an update of the new training; the same as in the plan by default.
            width: Width of the new net as a multiple of the one that was tuned.
            depth: Its number of layers or blocks, likewise.
            updates: Length of the new training in updates; the same as in the plan by default.

        Returns:
            The LR, its interval, the schedule, and the reasons.

        Raises:
            ArgumentError: if nothing changes, or a change is larger than what was measured.
            ArgumentTypeError: if an argument is of the wrong type.
            NoAnswerError: if there is no rule for the optimizer, or the plan does not know its batch or noise scale.
        """
        return carry(self, batch=batch, width=width, depth=depth, updates=updates)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the planned schedule and return the axes.

        Args:
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        return self.schedule.plot(self.length, ax)

    def as_record(self) -> dict[str, Any]:
        """The plan in the form that JSON can hold."""
        return {
            "schedule": repr(self.schedule),
            "max_lr": self.max_lr,
            "interval": [*map(records.encode_float, self.interval)],
            "family": self.family,
            "step_size": self.step_size,
            "cycles": self.cycles,
            "updates": self.updates,
            "spent": self.spent,
            "cost": self.cost,
            "reasons": self.reasons.as_record(),
            "bounds": self.bounds.as_record() if isinstance(self.bounds, Bounds) else None,
            "trials": [_trial_record(trial) for trial in self.trials],
            "probe": self.probe and self.probe.as_record(),
            "curve": self.curve and self.curve.as_record(),
            **{name: getattr(self, name) for name in _FOR_CARRYING},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Plan":
        """The inverse of `as_record`."""
        content = Fields(record)
        curve = content.read("curve", checks.optional(nested(Curve.from_record)))
        bounds = content.read("bounds", checks.optional(nested(Bounds.from_record)))
        return cls(
            schedule=nested(parse)("schedule", content.read("schedule", checks.text)),
            max_lr=content["max_lr"],
            interval=content.read("interval", records.decode_interval),
            family=content["family"],
            probe=content.read("probe", checks.optional(nested(Probe.from_record))) if "probe" in record else None,
            curve=curve,
            # The reason why a curve has no bounds follows from the curve.
            bounds=bounds if bounds is not None or curve is None else curve.bounds(),
            step_size=content["step_size"],
            cycles=content["cycles"],
            updates=content["updates"],
            spent=content["spent"],
            reasons=content.read("reasons", nested(Reasons.from_record)),
            trials=content.read("trials", checks.several(nested(_trial))),
            **{name: content[name] for name in _FOR_CARRYING if name in record},
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON, whole or not at all.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.save(path, "plan", self.as_record())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """Read a plan that `save` wrote.

        Raises:
            OutputError: if the file cannot be read or holds no plan.
        """
        return records.load(path, "plan", cls.from_record)

    def _summary(self) -> dict[str, str]:
        """What a user wants to know first."""
        diverged = sum(trial.diverged for trial in self.trials)
        lrs = [trial.max_lr for trial in self.trials]
        before = {}
        if self.probe is not None:
            before["probe"] = f"LR {self.probe.lr:.2g}, {interval_text(*self.probe.interval)} ({self.probe.updates} updates)"
        if self.curve is not None:
            bounds = f"base_lr {self.bounds.base_lr:.2g}, max_lr {self.bounds.max_lr:.2g}" if self.bounds else "no answer"
            before["range test"] = f"{bounds} ({len(self.curve)} updates)"
        return {
            "max_lr": f"{self.max_lr:.2g} (nearly as good: {interval_text(*self.interval)})",
            "schedule": f"{self.schedule!r}",
            "family": self.family,
            "train for": f"{self.length} updates",
            **before,
            "trials": f"{len(lrs)} at LRs from {min(lrs):.2g} to {max(lrs):.2g}, {diverged} of them diverged",
            "cost": f"{self.spent} updates, {100 * self.cost:.0f} % of one training run",
        }

    def __repr__(self) -> str:
        rows = "\n".join(f"  {name + ':':<12}{value}" for name, value in self._summary().items())
        return f"Plan\n{rows}\n  {'reasons:':<12}print(plan.reasons)"

    def _repr_html_(self) -> str:
        """The notebook form: the summary, the picture of the schedule, the reasons by section."""
        try:
            picture = schedule_svg(self.schedule, self.length)
        except MissingExtraError as error:
            picture = f"<p>{escape(str(error))}</p>"
        return html.notebook("Plan", self._summary().items(), self.reasons.sections(), picture)


def interval_text(low: float, high: float) -> str:
    """An interval that may be open on either side."""
    if math.isinf(high):
        return f"{low:.2g} and above" if low else "no trial shows a limit"
    return f"{low:.2g} to {high:.2g}" if low else f"{high:.2g} and below"


def _trial_record(trial: Trial) -> dict[str, Any]:
    record = {field.name: getattr(trial, field.name) for field in fields(trial)}
    losses = {name: records.encode_float(record[name]) for name in ("loss", "highest_loss")}
    return {**record, **losses, "final_losses": [*map(records.encode_float, trial.final_losses)]}


def _loss(name: str, value: object) -> float:
    loss = records.decode_float(name, value)
    if math.isnan(loss):
        checks.refuse(name, "a number or infinite", value, "a loss that is not finite is recorded as infinite")
    return loss


_TRIAL: Mapping[str, checks.Check[Any]] = {
    "max_lr": checks.positive,
    "updates": checks.length,
    "updates_made": partial(checks.whole, at_least=0, at_most=checks.LONGEST),
    "loss": _loss,
    "score": checks.optional(checks.finite),
    "family": checks.text,
    "purpose": checks.text,
    "final_losses": checks.several(_loss),
    "highest_loss": _loss,
}
"""The check of each field of the record of a trial."""


def _trial(record: Any) -> Trial:
    content = Fields(record)
    # Trials of older plans have no purpose.
    return Trial(
        **{name: content.read(name, check) for name, check in _TRIAL.items() if name in record or name != "purpose"}
    )
