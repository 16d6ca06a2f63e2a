"""The answer of the tuner: a schedule with its bounds, its cost, and its reasons."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from learnrate import html, records
from learnrate.errors import MissingExtraError
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.schedules import Schedule, parse
from learnrate.schedules.base import known_length
from learnrate.schedules.figure import schedule_svg
from learnrate.tuner.choice import Choice
from learnrate.tuner.families import Run
from learnrate.tuner.reasons import Reasons, reasons_of
from learnrate.tuner.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Plan:
    """A schedule for a whole run, with the evidence for it.

    Attributes:
        schedule: The schedule; `schedule.length` is where to stop if the run should end with a cycle.
        max_lr: Its peak.
        interval: The lowest and the highest peak at which a run is expected to learn nearly as much: see the reasons. The
            lowest is 0 if no LR below the best one was tried, the highest is infinite if no LR above it was: then no trial
            shows where the interval ends.
        family: The kind of schedule.
        bounds: What the range test shows; `NoAnswer` if that is too little, and the trials alone decided.
        step_size: Half a cycle in updates; None if the schedule is not triangular2.
        cycles: Number of cycles; None likewise.
        updates: Length of the training run.
        spent: Updates that tuning made.
        reasons: Why, in sentences by section: `print(plan.reasons)`, `plan.reasons.choice`.
        trials: All trials, in their order.
        curve: The range test.
    """

    schedule: Schedule
    max_lr: float
    interval: tuple[float, float]
    family: str
    bounds: Bounds | NoAnswer
    step_size: int | None
    cycles: int | None
    updates: int
    spent: int
    reasons: Reasons
    trials: tuple[Trial, ...]
    curve: Curve

    @classmethod
    def of(cls, choice: Choice, curve: Curve, bounds: Bounds | NoAnswer, run: Run) -> "Plan":
        """The plan of a choice."""
        estimate, cycling = choice.estimate, choice.cycling
        return cls(
            schedule=choice.schedule,
            max_lr=estimate.lr,
            interval=choice.interval,
            family=choice.family,
            bounds=bounds,
            step_size=cycling.step_size if cycling else None,
            cycles=cycling.cycles if cycling else None,
            updates=run.updates,
            spent=choice.cost.spent,
            reasons=reasons_of(choice, bounds, run),
            trials=choice.trials,
            curve=curve,
        )

    @property
    def length(self) -> int:
        """Number of updates to train for: the length of the schedule, or of the training run if it has no end."""
        return known_length(self.schedule) or self.updates

    @property
    def cost(self) -> float:
        """Updates that tuning made, as a share of the training run."""
        return self.spent / self.updates

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
            "interval": [records.encode_float(end) for end in self.interval],
            "family": self.family,
            "step_size": self.step_size,
            "cycles": self.cycles,
            "updates": self.updates,
            "spent": self.spent,
            "cost": self.cost,
            "reasons": self.reasons.as_record(),
            "bounds": self.bounds.as_record() if isinstance(self.bounds, Bounds) else None,
            "trials": [_trial_record(trial) for trial in self.trials],
            "curve": self.curve.as_record(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Plan":
        """The inverse of `as_record`."""
        curve = Curve.from_record(record["curve"])
        low, high = record["interval"]
        return cls(
            schedule=parse(record["schedule"]),
            max_lr=record["max_lr"],
            interval=(float(low), float(high)),
            family=record["family"],
            # The reason why a curve has no bounds follows from the curve.
            bounds=curve.bounds() if record["bounds"] is None else Bounds.from_record(record["bounds"]),
            step_size=record["step_size"],
            cycles=record["cycles"],
            updates=record["updates"],
            spent=record["spent"],
            reasons=Reasons.from_record(record["reasons"]),
            trials=tuple(_trial(trial) for trial in record["trials"]),
            curve=curve,
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
        bounds = f"base_lr {self.bounds.base_lr:.2g}, max_lr {self.bounds.max_lr:.2g}" if self.bounds else "no answer"
        return {
            "max_lr": f"{self.max_lr:.2g} (nearly as good: {_range(*self.interval)})",
            "schedule": f"{self.schedule!r}",
            "family": self.family,
            "train for": f"{self.length} updates",
            "range test": f"{bounds} ({len(self.curve)} updates)",
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


def _range(low: float, high: float) -> str:
    """An interval that may be open on either side."""
    if math.isinf(high):
        return f"{low:.2g} and above" if low else "any"
    return f"{low:.2g} to {high:.2g}" if low else f"{high:.2g} and below"


_LOSSES = ("loss", "highest_loss")


def _trial_record(trial: Trial) -> dict[str, Any]:
    record = {field.name: getattr(trial, field.name) for field in fields(trial)}
    losses = {name: records.encode_float(record[name]) for name in _LOSSES}
    return {**record, **losses, "final_losses": list(trial.final_losses)}


def _trial(record: Mapping[str, Any]) -> Trial:
    losses = {name: float(record[name]) for name in _LOSSES}
    return Trial(**{**record, **losses, "final_losses": tuple(record["final_losses"])})
